"""What all dialects share: a declaration per event, and the one way from an event to its answer.

An event is looked up, its payload validated, its sender authorised, its handler run; whatever
goes wrong becomes an error with a code. A dialect adds its table, and how it renders answers,
errors and what happens in the room.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, cast

import structlog
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from kcs_contracts.ids import ParticipantId, SessionId
from kcs_contracts.models import JsonObject
from kcs_contracts.rooms import Role, Source
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection, ConnectRefused
from kcs_signaling.errors import (
    AccessDenied,
    InternalError,
    InvalidRequest,
    NotJoined,
    SignalingError,
    UnknownEvent,
)
from kcs_signaling.identity import Identity
from kcs_signaling.metrics import COMMAND_SECONDS, COMMANDS, EVENTS_DELIVERED, SOCKETS_REFUSED
from kcs_signaling.rooms.peer import Audience, Peer
from kcs_signaling.rooms.permissions import Action, authorise
from kcs_signaling.service.media import RoomMedia
from kcs_signaling.service.rooms import RoomService
from kcs_signaling.tokens import Tokens
from kcs_signaling.turn import Turn

_log = structlog.get_logger()
_MAX_ERROR_TEXT = 300

DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
RoleText = Annotated[Role, Field(strict=False)]
SourceText = Annotated[Source, Field(strict=False)]


class Payload(BaseModel):
    """What comes with an event: closed, and without conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SocketPeer(Peer):
    """A peer that a dialect speaks to over a socket."""

    def __init__(self, identity: Identity, connection: Connection, audience: Audience):
        super().__init__(identity, SessionId(connection.id), audience)
        self.connection = connection


PeerT = TypeVar("PeerT", bound=SocketPeer)
PayloadT = TypeVar("PayloadT", bound=Payload)


@dataclass(frozen=True)
class Event(Generic[PeerT, PayloadT]):
    """One event that clients send."""

    name: str
    payload: type[PayloadT]
    handler: Callable[[PeerT, PayloadT], Awaitable[JsonObject]]
    needs: Action | Callable[[PayloadT], Action] | None = None
    """What the sender's role must allow; None: the handler needs nobody to be in a meeting."""
    emits: str | None = None
    """The event that carries the answer to the sender, beside the acknowledgement."""
    after: Callable[[PeerT, PayloadT], None] | None = None
    """What follows once the answer has been sent."""


class Command(NamedTuple):
    """An event as it came in, before anything of it was believed."""

    event: str
    args: Sequence[object]
    acknowledged: bool
    """The client asked for an acknowledgement, which says all that an error event would."""


class Dialect(Generic[PeerT]):
    """A namespace whose clients are peers of rooms: an `Audience` and a `Namespace` in one."""

    name: str
    """The Socket.IO namespace."""
    label: str
    """The dialect's name in metrics."""

    def __init__(self, rooms: RoomService, media: RoomMedia, tokens: Tokens, turn: Turn):
        self.rooms, self.media, self.tokens, self.turn = rooms, media, tokens, turn
        self._table: dict[str, Event[PeerT, Any]] = {each.name: each for each in self.events()}

    # --- what a dialect adds ------------------------------------------------------------------

    def events(self) -> Sequence[Event[PeerT, Any]]:
        """The table."""
        raise NotImplementedError

    def make_peer(self, identity: Identity, connection: Connection) -> PeerT:
        """The dialect's own kind of peer."""
        raise NotImplementedError

    def failed(self, peer: PeerT, command: Command, error: JsonObject) -> None:
        """Tells the client of an error beside the acknowledgement, where the dialect does."""

    # --- a namespace of the socket server -----------------------------------------------------

    def connect(self, connection: Connection, auth: object) -> PeerT:
        """Lets the bearer of a good token in: `auth` is `{"token": ...}`."""
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            identity = self.tokens.verify(token if isinstance(token, str) else "")
        except AccessDenied as error:
            SOCKETS_REFUSED.labels("token").inc()
            raise ConnectRefused("Authentication failed") from error
        return self.make_peer(identity, connection)

    async def disconnected(self, peer: PeerT) -> None:
        """The socket is gone; whoever was in a meeting may come back."""
        await self.rooms.lose(peer)

    async def handle(
        self, peer: PeerT, event: str, args: Sequence[object], *, acknowledged: bool
    ) -> JsonObject:
        """`{"ok": true, "data"}`, or `{"ok": false, "error": {"code", "message"}}`."""
        started = time.perf_counter()
        declared = self._table.get(event)
        label = declared.name if declared else "unknown"
        result = "ok"
        try:
            if declared is None:
                raise UnknownEvent("there is no such event here, or it is not available yet")
            payload = _read(declared, args)
            _admit(declared, peer, payload)
            data = await declared.handler(peer, payload)
            answer: JsonObject = {"ok": True, "data": data}
            if declared.emits is not None:
                peer.connection.emit(declared.emits, data)
            if declared.after is not None:
                declared.after(peer, payload)
        except Exception as raised:
            error = _known(raised, self.label, label)
            result = error.code
            answer = {"ok": False, "error": _described(error)}
            self.failed(peer, Command(event, args, acknowledged), answer["error"])
        commands, seconds = _counters(self.label, label, result)
        commands.inc()
        seconds.observe(time.perf_counter() - started)
        return answer

    # --- telling ------------------------------------------------------------------------------

    def send(self, peers: Iterable[Peer], name: str, payload: JsonObject) -> None:
        """Sends one event to all these peers, rendered once."""
        packet, sent = event_packet(self.name, name, payload), 0
        for peer in peers:
            cast(SocketPeer, peer).connection.write(packet)
            sent += 1
        EVENTS_DELIVERED.inc(sent)


@cache
def _counters(dialect: str, event: str, result: str) -> tuple[Counter, Histogram]:
    """Both are bounded: events by the table, results by the errors' codes."""
    return COMMANDS.labels(dialect, event, result), COMMAND_SECONDS.labels(event)


def others(peers: Iterable[Peer], participant_id: ParticipantId) -> list[Peer]:
    """All but the participant itself."""
    return [p for p in peers if p.seat is None or p.seat.participant_id != participant_id]


def _read(event: Event[Any, PayloadT], args: Sequence[object]) -> PayloadT:
    if len(args) > 1:
        raise InvalidRequest("an event takes one argument, an object")
    try:
        return event.payload.model_validate(args[0] if args else {})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part)[:40] for part in each['loc']) or 'payload'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)[:5]
        )
        raise InvalidRequest(problems[:_MAX_ERROR_TEXT]) from None


def _admit(event: Event[Any, PayloadT], peer: Peer, payload: PayloadT) -> None:
    """Whoever needs a role needs a seat, and speaks of the meeting that it is in."""
    if event.needs is None:
        return
    seat = peer.seated()
    if getattr(payload, "meeting_id", seat.room.id) != seat.room.id:
        raise NotJoined("you are not in that meeting")
    authorise(seat.role, event.needs if isinstance(event.needs, Action) else event.needs(payload))


def _known(raised: Exception, dialect: str, command: str) -> SignalingError:
    if isinstance(raised, SignalingError):
        return raised
    _log.error("command_failed", dialect=dialect, command=command, exc_info=raised)
    return InternalError("something went wrong on our side; it is logged")


def _described(error: SignalingError) -> JsonObject:
    described: JsonObject = {"code": error.code, "message": error.message}
    if error.retry_after_s is not None:
        described["retry_after"] = error.retry_after_s
    return described
