"""uvicorn's WebSocket protocol with a straight line for Engine.IO.

ASGI moves each message through a queue, a task's wake-up and a dictionary. Here a text message
goes to a plain function as it is parsed, and ready frames are written to the transport as they
are: a room's event costs each socket one `write`. The application finds the connection in the
scope's extensions (`link_of`).

Frames are cut out of the stream here. The common one (whole, text, of decent size) is unmasked
and passed on; any other is fed, byte for byte, to the parser of the websockets library, which so
stands at a frame's beginning whenever it is asked.

Bound to uvicorn's `WebSocketsSansIOProtocol`; the lock file pins it, `test_socket_*` guard it.
"""

from collections.abc import Callable

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request
from websockets.utils import apply_mask

_EXTENSION = "kcs.link"
_CLOSE_TIMEOUT_S = 1.0
_NO_TEXT = 1007
_FIN = _MASKED = 0x80
_WHOLE_TEXT = 0x81
_FIRST_CONTROL_OPCODE = 8
_LONGEST_HEAD = 14


class Link(WebSocketsSansIOProtocol):
    """One WebSocket connection."""

    _on_text: Callable[[str], None] | None = None
    _pending: bytes = b""
    """The beginning of a frame."""
    _fragmented = False
    """The last data frame was not the end of its message."""
    _given_up = False
    """The parser has the rest of the stream: a frame is too long, or the connection is over."""

    def take_texts(self, on_text: Callable[[str], None]) -> None:
        """From now on each text message goes to `on_text` instead of ASGI's `receive`."""
        self._on_text = on_text

    def data_received(self, data: bytes) -> None:
        if self._on_text is None or self._given_up:
            super().data_received(data)
            return
        if self._pending:
            data = self._pending + data
        start, size = 0, len(data)
        while start < size and not self.close_sent:
            head, end = _frame_at(data, start, size)
            if end - start > _LONGEST_HEAD + self.config.ws_max_size:
                self._given_up = True
                super().data_received(data[start:])
                return
            if not head or end > size:
                break
            masked = data[start + 1] >= _MASKED  # or the parser refuses it
            if data[start] == _WHOLE_TEXT and masked and not self._fragmented:
                self._pass_on(apply_mask(data[head:end], data[head - 4 : head]))
            else:
                self._feed(data[start:end])
            start = end
        self._pending = data[start:] if start < size else b""

    def _feed(self, frame: bytes) -> None:
        """An unusual frame goes to the parser."""
        if frame[0] & 0x0F < _FIRST_CONTROL_OPCODE:
            self._fragmented = frame[0] < _FIN
        super().data_received(frame)

    def _pass_on(self, body: bytes) -> None:
        assert self._on_text is not None
        try:
            text = body.decode()
        except UnicodeDecodeError:
            self.shut(_NO_TEXT)
        else:
            self._on_text(text)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # the handshake is sound: a scope and a task were made
            self.scope["extensions"][_EXTENSION] = {"link": self}

    def send_receive_event_to_app(self) -> None:
        if self._on_text is None or self.close_sent or self.curr_msg_data_type != "text":
            super().send_receive_event_to_app()
            return
        body, self.frames = b"".join(self.frames), []
        self._pass_on(body)

    def write_frame(self, frame: bytes) -> None:
        """Sends a ready frame; nothing happens on a connection that is closing."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frame)

    @property
    def backlog(self) -> int:
        """Bytes that the other side has not taken yet."""
        return self.transport.get_write_buffer_size() if not self.disconnected else 0

    def shut(self, code: int = 1000) -> None:
        """Sends a close frame; the connection ends at the answer to it, or a second later."""
        if self.close_sent or self.disconnected:
            return
        try:
            self.conn.send_close(code)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_CLOSE_TIMEOUT_S, self.transport.abort)

    def cut(self) -> None:
        """Ends the connection now; what is not sent yet is dropped."""
        self.transport.abort()


def _frame_at(data: bytes, start: int, size: int) -> tuple[int, int]:
    """Where a frame's body begins and ends (RFC 6455, section 5.2); (0, 0): too little is there.

    An unmasked frame, which no client may send, is taken to have a body of its own length too:
    the parser refuses it.
    """
    if size - start < 2:
        return 0, 0
    length = data[start + 1] & 0x7F
    head = start + 2
    if length == 126:
        head += 2
        length = int.from_bytes(data[start + 2 : head], "big")
    elif length == 127:
        head += 8
        length = int.from_bytes(data[start + 2 : head], "big")
    if data[start + 1] >= _MASKED:
        head += 4
    return (head, head + length) if head <= size else (0, 0)


def link_of(scope: Scope) -> Link:
    """The connection behind an ASGI WebSocket scope.

    Raises:
        RuntimeError: uvicorn was not given `Link` as its `ws` protocol.
    """
    try:
        link = scope["extensions"][_EXTENSION]["link"]
    except KeyError:
        raise RuntimeError(
            "uvicorn must run with ws=kcs_signaling.adapters.websockets.Link"
        ) from None
    assert isinstance(link, Link)
    return link
