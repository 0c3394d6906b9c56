"""Socket.IO packets (protocol revision 5) as text, in and out.

`Packet` is ready to send: its text, and the WebSocket frame around it, are made once however
many sockets it goes to. `parse` reads a packet and is strict: what it refuses closes the socket.
"""

from enum import StrEnum
from typing import NamedTuple

import orjson

_MAX_ID_DIGITS = 10
_DIGITS = frozenset("0123456789")


class Kind(StrEnum):
    """The packet types that are accepted."""

    CONNECT = "0"
    DISCONNECT = "1"
    EVENT = "2"
    ACK = "3"
    CONNECT_ERROR = "4"


_KINDS = {kind.value: kind for kind in Kind}


class Malformed(ValueError):
    """Not a packet that a client of ours sends."""


class BinaryRefused(Malformed):
    """A packet that announces binary attachments, which would have to be buffered."""


class Message(NamedTuple):
    """A packet that came in."""

    kind: Kind
    namespace: str
    ack: int | None
    """The client wants an acknowledgement with this id."""
    data: object


class Packet:
    """An Engine.IO packet, ready to be sent to any number of sockets."""

    __slots__ = ("_frame", "text")

    def __init__(self, text: str):
        self.text = text
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """The unmasked WebSocket text frame (RFC 6455, section 5.2)."""
        if self._frame is None:
            body = self.text.encode()
            size = len(body)
            if size < 126:
                head = bytes((0x81, size))
            elif size < 65_536:
                head = b"\x81\x7e" + size.to_bytes(2, "big")
            else:
                head = b"\x81\x7f" + size.to_bytes(8, "big")
            self._frame = head + body
        return self._frame

    def encode(self, b64: bool = False) -> str:
        """The text, as engineio asks for it in a polling payload."""
        return self.text


PING = Packet("2")
CLOSE = Packet("1")
NOOP = Packet("6")


def event(namespace: str, name: str, payload: object) -> Packet:
    """An event with one argument."""
    return Packet(f"42{_prefix(namespace)}{orjson.dumps([name, payload]).decode()}")


def ack(namespace: str, number: int, answer: object) -> Packet:
    """The acknowledgement of the client's event `number`."""
    return Packet(f"43{_prefix(namespace)}{number}{orjson.dumps([answer]).decode()}")


def connected(namespace: str, sid: str) -> Packet:
    """The client is in the namespace."""
    return Packet(f"40{_prefix(namespace)}{orjson.dumps({'sid': sid}).decode()}")


def connect_error(namespace: str, message: str) -> Packet:
    """The client is not let into the namespace."""
    return Packet(f"44{_prefix(namespace)}{orjson.dumps({'message': message}).decode()}")


def disconnected(namespace: str) -> Packet:
    """The server takes the client out of the namespace: the client does not come back by itself."""
    return Packet(f"41{_prefix(namespace)}")


def parse(text: str) -> Message:
    """Reads a Socket.IO packet (the text of an Engine.IO message).

    Raises:
        Malformed: it is none.
        BinaryRefused: it announces binary attachments.
    """
    if text[:1] in ("5", "6"):
        raise BinaryRefused("binary attachments are not accepted")
    kind = _KINDS.get(text[:1])
    if kind is None:
        raise Malformed("unknown packet type")
    namespace, at = _namespace(text)
    end = at
    while end < len(text) and text[end] in _DIGITS:
        end += 1
        if end - at > _MAX_ID_DIGITS:
            raise Malformed("the acknowledgement id is too long")
    try:
        data = orjson.loads(text[end:]) if end < len(text) else None
    except orjson.JSONDecodeError as error:
        raise Malformed("the packet is no JSON") from error
    if kind is Kind.EVENT and not _is_event(data):
        raise Malformed("the packet is no event")
    return Message(kind, namespace, int(text[at:end]) if end > at else None, data)


def _namespace(text: str) -> tuple[str, int]:
    """The namespace and where the rest begins."""
    if not text.startswith("/", 1):
        return "/", 1
    comma = text.find(",", 1)
    end = len(text) if comma < 0 else comma
    return text[1:end].partition("?")[0], min(end + 1, len(text))


def _is_event(data: object) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], str)


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else namespace + ","
