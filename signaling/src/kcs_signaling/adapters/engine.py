"""The Engine.IO side: python-engineio, hardened, with the hot path short.

engineio keeps the handshake, long polling and the HTTP of the upgrade. Replaced are: the socket
(no task, queue or timer future per message; see `websockets`), the check of the origin (an
explicit list alone; engineio would also trust X-Forwarded-Host), and whatever would let one
client cost more than its share. Whoever breaks a rule loses that socket and nothing else happens.

Closing: `Socket.shut` is the one way. It stops the timers, tells the listener, then closes the
transport; the session is forgotten at once.
"""

# engineio ships no types:
# mypy: disable-error-code="no-untyped-call"

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import engineio
from engineio import async_socket, exceptions, payload
from starlette.types import Receive, Scope, Send

from kcs_signaling.adapters import packets
from kcs_signaling.adapters.addresses import Network, client_address
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.websockets import Link, link_of
from kcs_signaling.metrics import SOCKETS_REFUSED

MAX_QUERY_BYTES = 1024
"""Engine.IO's own fields take some 80. Others are not read: `meeting`, which load balancers hash
by, may say what it likes; the meeting that a peer is in is the one that it joined."""
MAX_BACKLOG_PACKETS = 1000
MAX_BACKLOG_BYTES = 4 * 1024 * 1024
_TOO_BIG = 1009


class Listener(Protocol):
    """Whoever speaks Socket.IO over the sessions; plain functions that return at once."""

    def opened(self, socket: "Socket") -> None: ...
    def received(self, socket: "Socket", text: str) -> None: ...
    def closed(self, socket: "Socket") -> None: ...


class Socket(async_socket.AsyncSocket):
    """One Engine.IO session, by polling until it is upgraded, or by WebSocket."""

    server: "Engine"

    def __init__(self, server: "Engine", sid: str, address: str):
        super().__init__(server, sid)
        self.address = address
        """The client's, as limits count it, when the session began."""
        self._waits_for_pong = True  # the first ping is due
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.owner: Any = None
        """The listener's own."""

    def write(self, packet: Packet) -> None:
        """Sends, or queues for the next poll; a socket that does not keep up is closed."""
        if self.closed:
            return
        if self._link is not None:
            self._link.write_frame(packet.frame)
            if self._link.backlog > MAX_BACKLOG_BYTES:
                self.refuse("slow_consumer", cut=True)
        else:
            self.queue.put_nowait(packet)
            if self.queue.qsize() > MAX_BACKLOG_PACKETS:
                self.refuse("slow_consumer", cut=True)

    def refuse(self, reason: str, *, cut: bool = False) -> None:
        """Closes the socket because of what it did; the reason is counted."""
        if not self.closed:
            SOCKETS_REFUSED.labels(reason).inc()
            self.shut(cut=cut)

    def shut(self, *, cut: bool = False) -> None:
        """Closes the session; `cut` does not wait for what is still to be sent."""
        if self.closed:
            return
        self.closing = self.closed = True
        self._stop_timer()
        self.server.sockets.pop(self.sid, None)
        self.server.listener.closed(self)
        if self._link is None:
            self.queue.put_nowait(packets.CLOSE)
        elif cut:
            self._link.cut()
        else:
            self._link.shut()

    # --- what engineio calls ------------------------------------------------------------------

    async def send(self, pkt: Any) -> None:
        self.write(Packet(pkt.encode()))

    async def close(self, wait: bool = True, abort: bool = False, reason: object = None) -> None:
        self.shut()

    def schedule_ping(self) -> None:
        """The next ping, 25 s after the last pong; a pong nobody asked for changes nothing."""
        if self._waits_for_pong:
            self._waits_for_pong = False
            self._start_timer(self.server.ping_interval, self._ping)

    def _ping(self) -> None:
        self._waits_for_pong = True
        self._start_timer(self.server.ping_timeout, self.shut)
        self.write(packets.PING)

    def _start_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def handle_post_request(self, environ: Mapping[str, Any]) -> None:
        """A polling client's packets; too large a body or too many of them close the session."""
        limit = self.server.max_http_buffer_size
        try:
            length = int(environ.get("CONTENT_LENGTH", "0"))
            if length > limit:
                raise ValueError("the body is too long")
            body = (await environ["wsgi.input"].read(limit + 1)).decode()
            if len(body) > limit:
                raise ValueError("the body is too long")
            texts = body.split("\x1e")
            if len(texts) > payload.Payload.max_decode_packets:
                raise ValueError("too many packets")
        except ValueError as error:
            SOCKETS_REFUSED.labels("too_long").inc()
            raise exceptions.ContentTooLongError from error  # engineio closes the session
        for text in texts:
            self._take(text)

    async def _upgrade_websocket(self, environ: Mapping[str, Any]) -> str:
        """Serves a WebSocket until it ends: a session's first transport, or an upgrade."""
        receive: Receive = environ["asgi.receive"]
        send: Send = environ["asgi.send"]
        link = link_of(environ["asgi.scope"])
        await send({"type": "websocket.accept"})
        if self.connected and not await self._probe(receive, link):
            link.shut()
            return ""
        self.connected = self.upgraded = True
        self._link = link
        while not self.queue.empty():
            link.write_frame(self.queue.get_nowait().frame)
        link.take_texts(self._take)
        await self._serve(receive)
        return ""

    async def _probe(self, receive: Receive, link: Link) -> bool:
        """The upgrade's handshake; while it lasts, packets wait in the queue."""
        if self.upgrading or self.upgraded:
            return False
        self.upgrading = True
        try:
            async with asyncio.timeout(self.server.connect_timeout_s):
                if (await receive()).get("text") != "2probe":
                    return False
                link.write_frame(Packet("3probe").frame)
                self.queue.put_nowait(packets.NOOP)  # ends the poll that waits
                return (await receive()).get("text") == "5" and not self.closed
        except TimeoutError:
            return False
        finally:
            self.upgrading = False

    async def _serve(self, receive: Receive) -> None:
        """Waits for the end; texts that came before `take_texts` come this way too."""
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                self.refuse("binary")
                return
            self._take(text)
        if message.get("code") == _TOO_BIG:
            self.refuse("too_long")
        self.shut()

    def _take(self, text: str) -> None:
        kind = text[:1]
        if self.closed:
            return
        if kind == "4":
            self.server.listener.received(self, text[1:])
        elif kind == "3":
            self.schedule_ping()
        elif kind == "1":
            self.shut()
        elif kind == "b":
            self.refuse("binary")
        elif kind != "6":
            self.refuse("malformed")


class Engine(engineio.AsyncServer):
    """Sessions at one ASGI path."""

    def __init__(
        self,
        listener: Listener,
        *,
        allowed_origins: Collection[str],
        allow_missing_origin: bool,
        max_message_bytes: int,
        connect_timeout_s: float,
        trusted_proxies: Sequence[Network],
    ):
        super().__init__(
            logger=logging.getLogger("engineio"),  # else it adds a handler of its own
            async_mode="asgi",
            ping_interval=25,
            ping_timeout=20,
            max_http_buffer_size=max_message_bytes,
            cors_allowed_origins=list(allowed_origins),
            cors_credentials=False,
            http_compression=False,
            monitor_clients=False,  # each socket has its own timer
            async_handlers=False,
        )
        self.listener = listener
        self.connect_timeout_s = connect_timeout_s
        self._origins = frozenset(origin.encode() for origin in allowed_origins)
        self._allow_missing_origin = allow_missing_origin
        self._trusted_proxies = trusted_proxies
        self.sockets: dict[str, Socket] = {}

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if not self._origin_is_known(scope):
            SOCKETS_REFUSED.labels("origin").inc()
            await _refuse(scope, send, 403, b"This origin may not connect.")
        elif len(scope["query_string"]) > MAX_QUERY_BYTES:
            SOCKETS_REFUSED.labels("too_long").inc()
            await _refuse(scope, send, 414, b"The query is too long.")
        else:
            await super().handle_request(scope, receive, send)

    def _origin_is_known(self, scope: Scope) -> bool:
        """The Origin header against the list; no other header has a say."""
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if not origins:
            return self._allow_missing_origin
        return len(origins) == 1 and origins[0] in self._origins

    async def _handle_connect(
        self, environ: Mapping[str, Any], transport: str, jsonp_index: int | None = None
    ) -> Any:
        if jsonp_index is not None:
            return self._bad_request("JSONP is not served")
        sid = self.generate_id()
        address = client_address(environ["asgi.scope"], self._trusted_proxies)
        socket = self.sockets[sid] = Socket(self, sid, address)
        hello = {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingInterval": self.ping_interval * 1000,
            "pingTimeout": self.ping_timeout * 1000,
            "maxPayload": self.max_http_buffer_size,
        }
        await socket.send(engineio.packet.Packet(engineio.packet.OPEN, hello))
        socket.schedule_ping()
        self.listener.opened(socket)
        if transport == "websocket":
            try:
                return await socket.handle_get_request(environ)
            finally:
                socket.shut()
        socket.connected = True
        return self._ok(await socket.poll())


async def _refuse(scope: Scope, send: Send, status: int, why: bytes) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})  # 403 before the handshake is done
        return
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain")],
        }
    )
    await send({"type": "http.response.body", "body": why})
