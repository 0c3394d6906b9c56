"""How the architecture guide's clients are spoken to, and how they come and go."""

from collections.abc import Iterable, Sequence

from kcs_contracts import protocol
from kcs_contracts.events import DomainEvent
from kcs_contracts.ids import MeetingId
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import Direction, TransportCreated
from kcs_contracts.protocol import room
from kcs_contracts.protocol.views import MeetingNamed
from kcs_contracts.rooms import Role
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects.breakout_calls import call_into_rooms
from kcs_signaling.dialects.commands import SHARED
from kcs_signaling.dialects.meeting import commands
from kcs_signaling.dialects.rendering import reached, rendered
from kcs_signaling.dialects.table import Answered, Command, Dialect, Handlers, SocketPeer
from kcs_signaling.dialects.welcome import recent_messages, welcome
from kcs_signaling.errors import InvalidRequest, SignalingError
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.service.rooms import JoinRequest
from kcs_signaling.service.telling import settle

handlers = Handlers(SHARED, commands.handlers)
_ENTRANCES = (room.JOIN.name, room.CREATE.name)
_MAX_ID_LENGTH = 64


class MeetingDialect(Dialect[SocketPeer]):
    """The architecture guide's clients, and our own web client."""

    events = protocol.MEETING
    handlers = handlers
    label = "meeting"
    crosses = True

    def make_peer(self, identity: Identity, connection: Connection) -> SocketPeer:
        return SocketPeer(identity, connection, self)

    def failed(self, peer: SocketPeer, command: Command, error: JsonObject) -> None:
        """`room:error` tells of a meeting that cannot be entered, as the guide has it.

        It also tells of any other command that failed, if no acknowledgement was asked for.
        """
        if command.event in _ENTRANCES or not command.acknowledged:
            told = {name: value for name, value in error.items() if name != "message"}
            told |= {"error": error["message"], "event": command.event[:64]}
            meeting_id = _meeting_named(command.args) or _meeting_of(peer)
            peer.connection.emit("room:error", {"meeting_id": meeting_id, **told})

    def refusal(self, peer: SocketPeer, code: str, message: str) -> Packet:
        """See `Namespace`."""
        told = {"meeting_id": _meeting_of(peer), "code": code, "error": message, "event": None}
        return event_packet(self.name, "room:error", told)

    async def come_in(
        self, peer: SocketPeer, wanted: JoinRequest, directions: Sequence[Direction] = ()
    ) -> Answered:
        """Joins, and answers with the room; or says that the peer waits."""
        peer.wants_in = wanted
        entrance = await self.services.rooms.join(peer, wanted)
        if entrance is None:
            waits: room.RoomWaiting = {"meeting_id": wanted.meeting_id, "waiting": True}
            return Answered(waits, emits="room:waiting")
        seat = entrance.seat
        since = wanted.since if entrance.resumed else None  # else it is of another room or stay
        try:
            transports = await self._transports(peer, directions)
            messages = await recent_messages(self.services, peer)
            news = await self.services.rooms.missed(seat, since)
            # From here to `go_on` nothing awaits: the answer is the state as the bus goes on.
            answer = welcome(
                self.services,
                peer,
                seat,
                messages=messages,
                transports=transports,
                resumed=entrance.resumed,
            )
        except BaseException:
            settle(peer, seat)
            raise

        def go_on() -> None:
            settle(peer, seat, news)
            call_into_rooms(self, seat.room, [peer])

        return Answered(answer, emits="room:joined", then=go_on)

    async def _transports(
        self, peer: SocketPeer, directions: Sequence[Direction]
    ) -> list[TransportCreated]:
        """Those asked for; none if they cannot be had now: the client asks again by itself."""
        wanted = list(dict.fromkeys(directions))
        if peer.seated().role is Role.GUEST:
            wanted = [each for each in wanted if each == "recv"]
        try:
            return await self.services.transports.create(peer, wanted)
        except SignalingError:
            return []

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        """See `Audience`."""
        here = list(peers)
        for told in rendered(room, event):
            if reaches := reached(told, here):
                self.send(reaches, event_packet(self.name, told.name, told.payload))
        call_into_rooms(self, room, here, event)


@handlers.of(room.CREATE)
async def create(
    dialect: MeetingDialect, peer: SocketPeer, request: room.RoomCreate
) -> room.RoomCreated:
    """A room on a media server, before anybody is in it."""
    wanted = JoinRequest(request.meeting_id, request.user_id, None, request.role)
    meeting = await dialect.services.rooms.create(peer.identity, wanted)
    return {
        "meeting_id": meeting.id,
        "room_id": meeting.id,
        "config": {
            "display_name": meeting.display_name,
            "max_participants": meeting.max_participants,
            "default_role": meeting.default_role,
        },
    }


@handlers.of(room.JOIN)
async def join(dialect: MeetingDialect, peer: SocketPeer, request: room.RoomJoin) -> Answered:
    """Into the meeting, or its waiting room."""
    wanted = JoinRequest(
        request.meeting_id, request.user_id, request.display_name, request.role, request.since
    )
    return await dialect.come_in(peer, wanted, request.transports)


@handlers.of(room.LEAVE)
async def leave(dialect: MeetingDialect, peer: SocketPeer, request: room.RoomLeave) -> MeetingNamed:
    """Out of it."""
    if request.user_id not in (None, peer.identity.user_id):
        raise InvalidRequest("user_id: you can leave for yourself alone")
    return {"meeting_id": await dialect.services.rooms.leave(peer, request.meeting_id)}


def _meeting_named(args: Sequence[object]) -> str | None:
    """The meeting that a command speaks of, if it says so in a few characters."""
    payload = args[0] if args else None
    named = payload.get("meeting_id") if isinstance(payload, dict) else None
    return named if isinstance(named, str) and len(named) <= _MAX_ID_LENGTH else None


def _meeting_of(peer: Peer) -> MeetingId | None:
    return peer.seat.room.id if peer.seat is not None else None
