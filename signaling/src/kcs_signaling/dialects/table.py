"""What all dialects share: which function answers which event, and the one way from an event to its
answer.

An event is looked up, its payload validated, its sender authorised, its limit asked, its handler
run; whatever goes wrong becomes an error with a code. The events themselves are declared in
`kcs_contracts.protocol`; a dialect adds handlers for all of its namespace's, and how it renders
answers, errors and what happens in the room.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar, cast

import structlog
from prometheus_client import Counter, Histogram
from pydantic import ValidationError

from kcs_contracts.ids import MeetingId, SessionId
from kcs_contracts.limits import Limit
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol.camel import camel_object, camel_payload
from kcs_contracts.protocol.declare import ClientEvent, Payload
from kcs_contracts.protocol.declare import Protocol as Events
from kcs_contracts.protocol.roles import Action
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection, ConnectRefused
from kcs_signaling.dialects.room_services import RoomServices
from kcs_signaling.errors import (
    AccessDenied,
    InternalError,
    InvalidRequest,
    NotJoined,
    RateLimited,
    SignalingError,
    UnknownEvent,
)
from kcs_signaling.identity import Identity
from kcs_signaling.metrics import COMMAND_SECONDS, COMMANDS, EVENTS_DELIVERED, SOCKETS_REFUSED
from kcs_signaling.rooms.peer import Audience, Peer, Room
from kcs_signaling.rooms.permissions import authorise
from kcs_signaling.service.detail import detail
from kcs_signaling.service.rooms import JoinRequest

_log = structlog.get_logger()
_MAX_ERROR_TEXT = 300
REFUSED = Limit(count=100, per_seconds=10)
"""Commands of one person that are unknown, malformed, or not theirs to give."""


class SocketPeer(Peer):
    """A peer that a dialect speaks to over a socket."""

    def __init__(self, identity: Identity, connection: Connection, audience: Audience):
        super().__init__(identity, SessionId(connection.id), audience)
        self.connection = connection
        self.wants_in: JoinRequest | None = None
        """How it asked to join a meeting that it waits for."""
        self._unread_until = 0.0

    def lose_patience(self, limited: RateLimited) -> None:
        """Nothing that it sends is read before it may try again."""
        self._unread_until = time.monotonic() + (limited.retry_after_s or 0)

    def check_patience(self) -> None:
        """Raises: RateLimited: too soon."""
        left_s = self._unread_until - time.monotonic()
        if left_s > 0:
            raise RateLimited(
                "too much of what you send is refused", retry_after_s=max(round(left_s, 3), 0.001)
            )


class Answered(NamedTuple):
    """An answer, where there is more to say of it than its data."""

    data: Mapping[str, Any]
    emits: str | None = None
    """Another event than the declared one carries it."""
    then: Callable[[], None] | None = None
    """What follows once it has been sent."""


D = TypeVar("D", bound="Dialect[Any]")
PeerT = TypeVar("PeerT", bound=SocketPeer)
P = TypeVar("P", bound=Payload)
Answer = Mapping[str, Any] | Answered
Handler = Callable[[Any, Any, Any], Awaitable[Answer]]


@dataclass(frozen=True)
class Bound:
    """An event and the function that answers it."""

    event: ClientEvent[Any, Any]
    payload: type[Payload]
    handler: Handler
    in_camel: bool = False
    """The payload comes, and the answer goes, in camelCase."""


class Handlers:
    """Functions `(dialect, peer, request) -> answer`, each under the event that it answers."""

    def __init__(self, *others: "Handlers"):
        self._bound: dict[str, Bound] = {}
        for each in others:
            self._bound.update(each._bound)

    def of(
        self, event: ClientEvent[P, Any]
    ) -> Callable[
        [Callable[[D, PeerT, P], Awaitable[Answer]]], Callable[[D, PeerT, P], Awaitable[Answer]]
    ]:
        """Decorates the function that answers the event."""

        def bind(
            handler: Callable[[D, PeerT, P], Awaitable[Answer]],
        ) -> Callable[[D, PeerT, P], Awaitable[Answer]]:
            self._bound[event.name] = Bound(event, event.payload, handler)
            return handler

        return bind

    def in_camel(self) -> "Handlers":
        """The same ones for the client guide's spelling."""
        spelled = Handlers()
        for name, each in self._bound.items():
            payload: type[Payload] = camel_payload(each.payload)
            spelled._bound[name] = Bound(each.event, payload, each.handler, in_camel=True)
        return spelled

    @property
    def names(self) -> set[str]:
        """The events that have a handler."""
        return set(self._bound)

    def table(self, events: Events) -> Mapping[str, Bound]:
        """All handlers by event.

        Raises:
            ValueError: they are not those of the namespace's events.
        """
        declared = {event.name for event in events.client_events}
        if declared != self.names:
            raise ValueError(f"{events.namespace}: {sorted(declared ^ self.names)} do not match")
        return self._bound


class Command(NamedTuple):
    """An event as it came in, before anything of it was believed."""

    event: str
    args: Sequence[object]
    acknowledged: bool
    """The client asked for an acknowledgement, which says all that an error event would."""


class Dialect(ABC, Generic[PeerT]):
    """A namespace whose clients are peers of rooms: an `Audience` and a `Namespace` in one."""

    events: Events
    """What is declared for the namespace."""
    handlers: Handlers
    label: str
    """The dialect's name in metrics."""

    def __init__(self, services: RoomServices):
        self.services = services
        self.name = self.events.namespace
        self._table = self.handlers.table(self.events)

    # --- what a dialect adds ------------------------------------------------------------------

    @abstractmethod
    def make_peer(self, identity: Identity, connection: Connection) -> PeerT:
        """The dialect's own kind of peer."""

    def failed(self, peer: PeerT, command: Command, error: JsonObject) -> None:
        """Tells the client of an error beside the acknowledgement, where the dialect does."""

    def say(self, name: str, payload: Mapping[str, Any]) -> Packet:
        """An event of `/meeting` in the dialect's own spelling."""
        return event_packet(self.name, name, payload)

    # --- a namespace of the socket server -----------------------------------------------------

    def connect(self, connection: Connection, auth: object) -> PeerT:
        """Lets the bearer of a good token in: `auth` is `{"token": ...}`."""
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            identity = self.services.tokens.verify(token if isinstance(token, str) else "")
        except AccessDenied as error:
            SOCKETS_REFUSED.labels("token").inc()
            raise ConnectRefused("Authentication failed") from error
        return self.make_peer(identity, connection)

    async def disconnected(self, peer: PeerT) -> None:
        """The socket is gone; whoever was in a meeting may come back."""
        await self.services.rooms.lose(peer)

    async def handle(
        self, peer: PeerT, event: str, args: Sequence[object], *, acknowledged: bool
    ) -> JsonObject:
        """`{"ok": true, "data"}`, or `{"ok": false, "error": {"code", "message"}}`."""
        started = time.perf_counter()
        before = peer.seat.room if peer.seat is not None else None
        bound = self._table.get(event)
        label = bound.event.name if bound else "unknown"
        result = "ok"
        try:
            peer.check_patience()
            if bound is None:
                await self._count_refused(peer)
                raise UnknownEvent("there is no such event here")
            answer: JsonObject = {"ok": True, "data": await self._run(peer, bound, args)}
        except Exception as raised:
            error = _known(raised, self.label, label)
            result = error.code
            answer = {"ok": False, "error": _described(error, label)}
            self.failed(peer, Command(event, args, acknowledged), answer["error"])
        commands, seconds = _counters(self.label, label, result)
        commands.inc()
        took_s = time.perf_counter() - started
        seconds.observe(took_s)
        detail(
            peer.seat.room if peer.seat is not None else before,
            "command",
            user_id=peer.participant_id,
            dialect=self.label,
            command=label,
            result=result,
            ms=round(took_s * 1000, 2),
        )
        return answer

    async def _run(self, peer: PeerT, bound: Bound, args: Sequence[object]) -> Mapping[str, Any]:
        try:
            payload = _read(bound, args)
            _admit(bound.event, peer, payload)
        except SignalingError:
            await self._count_refused(peer)
            raise
        await self._count(peer, bound.event)
        answered = await bound.handler(self, peer, payload)
        if not isinstance(answered, Answered):
            answered = Answered(answered)
        data = camel_object(answered.data) if bound.in_camel else answered.data
        emits = answered.emits or bound.event.emits
        if emits is not None:
            peer.connection.emit(emits, data)
        if answered.then is not None:
            answered.then()
        return data

    async def _count(self, peer: PeerT, event: ClientEvent[Any, Any]) -> None:
        who = peer.identity.user_id
        await self.services.limits.check(
            event.counts_as or event.name,
            event.limit,
            who=f"{peer.seat.room.id}/{who}" if peer.seat is not None else who,
            address=peer.connection.address,
        )

    async def _count_refused(self, peer: PeerT) -> None:
        """What is refused before its own limit is asked has one of its own: who goes on all the
        same is not even read for a while."""
        try:
            await self.services.limits.check(
                "refused", REFUSED, who=peer.identity.user_id, address=peer.connection.address
            )
        except RateLimited as error:
            peer.lose_patience(error)
            raise

    # --- telling ------------------------------------------------------------------------------

    def send(self, peers: Iterable[Peer], packet: Packet) -> None:
        """Sends one event to all these peers, rendered once."""
        sent = 0
        for peer in peers:
            cast(SocketPeer, peer).connection.write(packet)
            sent += 1
        EVENTS_DELIVERED.inc(sent)

    def part(self, peer: Peer, meeting_id: MeetingId) -> None:
        """See `Audience`."""
        assert isinstance(peer, SocketPeer)
        peer.connection.write(self.say("session:replaced", {"meeting_id": meeting_id}))
        peer.connection.close()

    def removed(self, peer: Peer, meeting_id: MeetingId, note: str) -> None:
        """See `Audience`."""
        removed = {"meeting_id": meeting_id, "reason": note}
        self.send([peer], self.say("removed:from-meeting", removed))

    def resync(self, peer: Peer, room: Room) -> None:
        """See `Audience`."""
        lost = {"meeting_id": room.id, "version": room.state.version}
        self.send([peer], self.say("room:resync", lost))

    def decided(self, peer: Peer, meeting_id: MeetingId, admitted: bool, note: str) -> None:
        """See `Audience`; who was let in joins by this, as if it had asked again."""
        assert isinstance(peer, SocketPeer)
        if admitted:
            wanted = peer.wants_in or JoinRequest(meeting_id)
            peer.connection.run(lambda: self._come_in(cast(PeerT, peer), wanted))
        else:
            denied = {"meeting_id": meeting_id, "reason": note}
            self.send([peer], self.say("waiting:denied", denied))

    @abstractmethod
    async def come_in(self, peer: PeerT, wanted: JoinRequest) -> Answered:
        """Joins, and answers as the event that asked for it does."""

    async def _come_in(self, peer: PeerT, wanted: JoinRequest) -> None:
        if peer.seat is not None and peer.seat.room.id == wanted.meeting_id:
            return  # it asked again by itself
        try:
            answered = await self.come_in(peer, wanted)
            if answered.emits is not None:
                peer.connection.emit(answered.emits, answered.data)
            if answered.then is not None:
                answered.then()
        except Exception as raised:
            error = _known(raised, self.label, "room:join")
            command = Command("room:join", ({"meeting_id": wanted.meeting_id},), False)
            self.failed(peer, command, _described(error, command.event))


@cache
def _counters(dialect: str, event: str, result: str) -> tuple[Counter, Histogram]:
    """Both are bounded: events by the table, results by the errors' codes."""
    return COMMANDS.labels(dialect, event, result), COMMAND_SECONDS.labels(event)


def _read(bound: Bound, args: Sequence[object]) -> Payload:
    if len(args) > 1:
        raise InvalidRequest("an event takes one argument, an object")
    try:
        return bound.payload.model_validate(args[0] if args else {})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part)[:40] for part in each['loc']) or 'payload'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)[:5]
        )
        raise InvalidRequest(problems[:_MAX_ERROR_TEXT]) from None


def _admit(event: ClientEvent[Any, Any], peer: Peer, payload: Payload) -> None:
    """Whoever needs a role needs a seat, and speaks of the meeting that it is in."""
    if event.needs is None:
        return
    seat = peer.seated()
    if getattr(payload, "meeting_id", seat.room.id) != seat.room.id:
        raise NotJoined("you are not in that meeting")
    action = event.needs if isinstance(event.needs, Action) else event.needs(payload)
    authorise(seat.role, action, seat.room.state.live.settings)


def _known(raised: Exception, dialect: str, command: str) -> SignalingError:
    if isinstance(raised, SignalingError):
        return raised
    _log.error("command_failed", dialect=dialect, command=command, exc_info=raised)
    return InternalError("something went wrong on our side; it is logged")


def _described(error: SignalingError, event: str) -> JsonObject:
    described: JsonObject = {"code": error.code, "message": error.message}
    if error.retry_after_s is not None:
        described["retry_after"] = error.retry_after_s
    if isinstance(error, RateLimited):
        described["event"] = event
    return described
