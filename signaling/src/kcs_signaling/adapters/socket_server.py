"""The Socket.IO side: namespaces over Engine.IO sessions, and one command at a time per peer.

python-socketio's own server starts a task per event, buffers announced attachments and scans all
rooms when a socket goes; nothing of it would be left on our path, so the protocol (which is
small) stands here, over engineio's transports.

All that a socket sends goes through its inbox, in order: connects, events, disconnects and the
end of the socket itself. One worker task per socket takes from the inbox and ends when it is
empty. So handlers of a peer never run at once, and whoever says `leave` and hangs up has left.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog
from starlette.types import Receive, Scope, Send

from kcs_signaling.adapters import packets
from kcs_signaling.adapters.engine import Engine, Socket
from kcs_signaling.adapters.packets import BinaryRefused, Kind, Malformed, Message, Packet
from kcs_signaling.metrics import SOCKETS
from kcs_signaling.settings import Settings

_log = structlog.get_logger()
_END = Message(Kind.DISCONNECT, "", None, None)
"""The last message in every inbox: the socket is gone."""
_CLOSE_TIMEOUT_S = 2.0

P = TypeVar("P")
Work = Callable[[], Awaitable[None]]
"""What the server itself does in a socket's turn; it must not raise."""


class ConnectRefused(Exception):
    """The client is not let into the namespace; its text goes to the client."""


class Connection:
    """One socket's presence in one namespace."""

    def __init__(self, namespace: str, session: "Session"):
        self.id = secrets.token_urlsafe(12)
        self.namespace = namespace
        self._session = session

    @property
    def address(self) -> str:
        """The client's, as limits count it."""
        return self._session.socket.address

    def write(self, packet: Packet) -> None:
        """Sends a packet that others may get too."""
        self._session.socket.write(packet)

    def emit(self, name: str, payload: object) -> None:
        """Sends an event to this socket alone."""
        self._session.socket.write(packets.event(self.namespace, name, payload))

    def run(self, work: Work) -> None:
        """Does something for this client in its turn, after the commands that wait; nothing if it
        is gone by then, so that nobody comes into a room who can never leave it."""

        async def in_turn() -> None:
            joined = self._session.joined.get(self.namespace)
            if joined is not None and joined.connection is self:
                await work()

        self._session.put(in_turn)

    def close(self) -> None:
        """Takes the client out for good: it is told that the server wanted it so."""
        self.write(packets.disconnected(self.namespace))
        self._session.socket.shut()


class Namespace(Protocol[P]):
    """What lives in a namespace; `P` is what it makes of a connection."""

    name: str

    def connect(self, connection: Connection, auth: object) -> P:
        """Lets a client in.

        Raises:
            ConnectRefused: it may not.
        """

    async def handle(
        self, peer: P, event: str, args: Sequence[object], *, acknowledged: bool
    ) -> object:
        """Answers an event; the answer is sent if the client asked for one. Never raises."""

    async def disconnected(self, peer: P) -> None:
        """The client has left the namespace, or its socket is gone. Never raises."""

    def refusal(self, peer: P, code: str, message: str) -> Packet:
        """The event that tells a client why its socket is closed."""


class _Joined(Generic[P]):
    """A namespace with a connection in it."""

    def __init__(self, namespace: Namespace[P], connection: Connection, auth: object):
        self.namespace, self.connection = namespace, connection
        self.peer = namespace.connect(connection, auth)


class Session:
    """A socket's namespaces and its inbox."""

    def __init__(self, socket: Socket):
        self.socket = socket
        self.joined: dict[str, _Joined[Any]] = {}
        self.inbox: deque[Message | Work] = deque()
        self.worker: asyncio.Task[None] | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self.put: Callable[[Message | Work], None] = self.inbox.append


class SocketServer:
    """An ASGI application that serves the namespaces."""

    def __init__(self, settings: Settings, namespaces: Sequence[Namespace[Any]]):
        self._namespaces = {each.name: each for each in namespaces}
        self._limit = settings.socket.queue_length
        self._connect_timeout_s = settings.socket.connect_timeout_seconds
        self._workers: set[asyncio.Task[None]] = set()
        self.engine = Engine(
            self,
            allowed_origins=settings.http.allowed_origins,
            allow_missing_origin=settings.http.allow_missing_origin,
            max_message_bytes=settings.socket.max_message_bytes,
            connect_timeout_s=self._connect_timeout_s,
            trusted_proxies=settings.http.trusted_proxies,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.engine.handle_request(scope, receive, send)

    async def close(self) -> None:
        """Closes every socket, so that clients reconnect elsewhere, and ends their commands.

        What a command is at when 2 s are over is cancelled.
        """
        for socket in list(self.engine.sockets.values()):
            socket.shut()
        if workers := list(self._workers):
            _, late = await asyncio.wait(workers, timeout=_CLOSE_TIMEOUT_S)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # --- what the engine tells ----------------------------------------------------------------

    def opened(self, socket: Socket) -> None:
        """A session begins; it has 2 s to connect to a namespace."""
        socket.owner = session = Session(socket)
        session.put = partial(self._put, session)
        self._start_deadline(socket.owner)

    def received(self, socket: Socket, text: str) -> None:
        """A message came in: into the inbox with it."""
        session: Session = socket.owner
        try:
            message = packets.parse(text)
        except BinaryRefused as error:
            self._refuse(session, "binary", str(error))
        except Malformed as error:
            self._refuse(session, "malformed", str(error))
        else:
            if len(session.inbox) >= self._limit:
                self._refuse(session, "overflow", "too many commands wait for their answers")
            else:
                self._put(session, message)

    def closed(self, socket: Socket) -> None:
        """The session is over; what it asked for before is done first."""
        session: Session = socket.owner
        if session.deadline is not None:
            session.deadline.cancel()
        self._put(session, _END)

    # --- in order -----------------------------------------------------------------------------

    def _put(self, session: Session, message: Message | Work) -> None:
        session.inbox.append(message)
        if session.worker is None:
            session.worker = asyncio.create_task(self._work(session))
            self._workers.add(session.worker)
            session.worker.add_done_callback(self._workers.discard)

    async def _work(self, session: Session) -> None:
        try:
            while session.inbox:
                message = session.inbox.popleft()
                try:
                    await self._take(session, message)
                except Exception:  # the loop goes on: it has to come to the socket's end
                    _log.exception("socket_worker_failed")
                    session.socket.refuse("malformed")
                if session.inbox:
                    await asyncio.sleep(0)  # what never waits, as errors, must not hold others up
        finally:
            session.worker = None

    async def _take(self, session: Session, message: Message | Work) -> None:
        if not isinstance(message, Message):
            await message()
        elif message.kind is Kind.EVENT:
            await self._event(session, message)
        elif message.kind is Kind.CONNECT:
            self._connect(session, message)
        elif message.kind is Kind.DISCONNECT:
            await self._disconnect(session, message)
        # ACK and CONNECT_ERROR: nobody asked for them

    async def _event(self, session: Session, message: Message) -> None:
        joined = session.joined.get(message.namespace)
        if joined is None:
            if not session.socket.closed:
                self._refuse(session, "malformed", "connect to the namespace first")
            return
        assert isinstance(message.data, list)
        name, *args = message.data
        acknowledged = message.ack is not None
        answer = await joined.namespace.handle(joined.peer, name, args, acknowledged=acknowledged)
        if message.ack is not None:
            session.socket.write(packets.ack(message.namespace, message.ack, answer))

    def _connect(self, session: Session, message: Message) -> None:
        name = message.namespace
        namespace = self._namespaces.get(name)
        if session.socket.closed:
            return
        if namespace is None or name in session.joined:
            session.socket.write(packets.connect_error(name[:100], "Invalid namespace"))
            return
        connection = Connection(name, session)
        try:
            session.joined[name] = _Joined(namespace, connection, message.data)
        except ConnectRefused as refused:
            session.socket.write(packets.connect_error(name, str(refused)))
            return
        if session.deadline is not None:
            session.deadline.cancel()
            session.deadline = None
        SOCKETS.labels(name).inc()
        session.socket.write(packets.connected(name, connection.id))

    async def _disconnect(self, session: Session, message: Message) -> None:
        names = list(session.joined) if message is _END else [message.namespace]
        for name in names:
            if joined := session.joined.pop(name, None):
                SOCKETS.labels(name).dec()
                await joined.namespace.disconnected(joined.peer)
        if not session.joined and not session.socket.closed:
            self._start_deadline(session)

    def _start_deadline(self, session: Session) -> None:
        if session.deadline is None:
            session.deadline = asyncio.get_running_loop().call_later(
                self._connect_timeout_s, session.socket.refuse, "no_namespace"
            )

    def _refuse(self, session: Session, reason: str, text: str) -> None:
        """Tells why, and closes the socket; what still waited in the inbox is dropped."""
        session.inbox.clear()
        for name, joined in session.joined.items():
            refusal = joined.namespace.refusal(joined.peer, "INVALID_REQUEST", text)
            session.socket.write(refusal)
            _log.info("socket_refused", reason=reason, namespace=name)
        session.socket.refuse(reason)
