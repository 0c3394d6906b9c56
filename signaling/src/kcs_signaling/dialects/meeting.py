"""The `/meeting` dialect (architecture guide, "WebSocket Events"): snake_case, acknowledgements.

Each request is answered by its acknowledgement and, where the guide names one, by an event with
the same data. WebRTC parameters keep mediasoup's camelCase inside: they go straight to and from
mediasoup-client.
"""

from collections.abc import Iterable, Sequence

from kcs_contracts import protocol
from kcs_contracts.events import DomainEvent
from kcs_contracts.ids import MeetingId
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import TransportCreated
from kcs_contracts.protocol import chat, media, moving, people, room
from kcs_contracts.protocol.views import Consumer, MeetingNamed, Message, Transport
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects import views
from kcs_signaling.dialects.breakout_calls import call_into_rooms
from kcs_signaling.dialects.commands import SHARED
from kcs_signaling.dialects.rendering import reached, rendered
from kcs_signaling.dialects.table import Answered, Command, Dialect, Handlers, SocketPeer
from kcs_signaling.dialects.welcome import ice_servers, recent_messages, welcome
from kcs_signaling.errors import InvalidRequest, SignalingError
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.service.media import Subscription
from kcs_signaling.service.rooms import JoinRequest

handlers = Handlers(SHARED)


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
        self,
        peer: SocketPeer,
        wanted: JoinRequest,
        directions: Sequence[str] = (),
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
            self.services.rooms.settle(peer, seat)
            raise

        def go_on() -> None:
            self.services.rooms.settle(peer, seat, news)
            call_into_rooms(self, seat.room, [peer])

        return Answered(answer, emits="room:joined", then=go_on)

    async def _transports(
        self, peer: SocketPeer, directions: Sequence[str]
    ) -> list[TransportCreated]:
        """Those asked for; none if they cannot be had now: the client asks again by itself."""
        wanted = [each for each in dict.fromkeys(directions) if each in ("send", "recv")]
        if peer.seated().role.value == "guest":
            wanted = [each for each in wanted if each == "recv"]
        try:
            return await self.services.media.create_transports(peer, wanted)  # type: ignore[arg-type]
        except SignalingError:
            return []

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        """See `Audience`."""
        here = list(peers)
        for told in rendered(room, event):
            if reaches := reached(told, here):
                self.send(reaches, event_packet(self.name, told.name, told.payload))
        call_into_rooms(self, room, here, event)


# --- coming and going ----------------------------------------------------------------------------


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


# --- media ---------------------------------------------------------------------------------------


@handlers.of(media.CREATE_TRANSPORT)
async def create_transport(
    dialect: MeetingDialect, peer: SocketPeer, request: media.TransportCreate
) -> Transport:
    """A way for media."""
    (made,) = await dialect.services.media.create_transports(
        peer, [request.direction], epoch=request.epoch
    )
    return views.transport(made, ice_servers(dialect.services, peer))


@handlers.of(media.CONNECT_TRANSPORT)
async def connect_transport(
    dialect: MeetingDialect, peer: SocketPeer, request: media.TransportConnect
) -> media.TransportIs:
    """The client's half of DTLS."""
    await dialect.services.media.connect_transport(
        peer, request.transport_id, request.dtls_parameters, epoch=request.epoch
    )
    return {"transport_id": request.transport_id}


@handlers.of(media.PRODUCE)
async def produce(
    dialect: MeetingDialect, peer: SocketPeer, request: media.ProduceRequest
) -> media.Produced:
    """A stream of the peer's."""
    producer = await dialect.services.media.produce(
        peer,
        request.media_source,
        request.rtp_parameters,
        transport_id=request.transport_id,
        paused=request.paused,
        epoch=request.epoch,
    )
    return {
        "producer_id": producer.id,
        "kind": producer.kind,
        "source": producer.source,
        "paused": producer.paused,
    }


@handlers.of(media.CONSUME)
async def consume(
    dialect: MeetingDialect, peer: SocketPeer, request: media.ConsumeRequest
) -> Consumer:
    """Somebody's stream."""
    made = await dialect.services.media.consume(
        peer, request.producer_id, request.rtp_capabilities, epoch=request.epoch
    )
    return views.consumer(made)


@handlers.of(media.CONSUME_BATCH)
async def consume_batch(
    dialect: MeetingDialect, peer: SocketPeer, request: media.ConsumeBatch
) -> media.ConsumedBatch:
    """Several streams."""
    outcomes = await dialect.services.media.consume_batch(
        peer,
        request.producer_ids,
        request.rtp_capabilities,
        paused=request.paused,
        epoch=request.epoch,
    )
    both = list(zip(request.producer_ids, outcomes, strict=True))
    return {
        "consumers": [views.consumer(made) for _, made in both if isinstance(made, Subscription)],
        "failed": [
            {"producer_id": which, "code": error.code, "message": error.message}
            for which, error in both
            if isinstance(error, SignalingError)
        ],
    }


@handlers.of(media.RESUME_CONSUMER)
async def resume_consumer(
    dialect: MeetingDialect, peer: SocketPeer, request: media.ConsumerNamed
) -> media.ConsumerIs:
    """Its media flows."""
    await dialect.services.media.resume_consumer(peer, request.consumer_id, epoch=request.epoch)
    return {"consumer_id": request.consumer_id}


@handlers.of(media.RESUME_CONSUMERS)
async def resume_consumers(
    dialect: MeetingDialect, peer: SocketPeer, request: media.ConsumersNamed
) -> media.ConsumersAre:
    """Their media flows."""
    there = await dialect.services.media.resume_consumers(
        peer, request.consumer_ids, epoch=request.epoch
    )
    return {"consumer_ids": there}


@handlers.of(media.PAUSE_CONSUMER)
async def pause_consumer(
    dialect: MeetingDialect, peer: SocketPeer, request: media.ConsumerNamed
) -> media.ConsumerIs:
    """Its media is held back."""
    await dialect.services.media.pause_consumer(peer, request.consumer_id, epoch=request.epoch)
    return {"consumer_id": request.consumer_id}


@handlers.of(media.CHANGE_QUALITY)
async def change_quality(
    dialect: MeetingDialect, peer: SocketPeer, request: media.QualityChange
) -> media.QualityChanged:
    """A layer at most."""
    await dialect.services.media.prefer_layer(
        peer, request.producer_id, request.layer, epoch=request.epoch
    )
    return {"producer_id": request.producer_id, "layer": request.layer}


@handlers.of(moving.CROSS)
async def cross(
    dialect: MeetingDialect, peer: SocketPeer, request: moving.Crossed
) -> moving.CrossedTo:
    """The peer's media is at the next server, too."""
    await dialect.services.moving.cross(peer, request.epoch)
    return {"meeting_id": request.meeting_id, "epoch": request.epoch}


# --- people and chat, in this dialect's words ----------------------------------------------------


@handlers.of(people.MUTE)
async def mute(dialect: MeetingDialect, peer: SocketPeer, request: people.Mute) -> people.Muted:
    """Somebody's stream is paused at the server."""
    await dialect.services.people.mute(
        peer, request.target_user_id, request.kind, request.muted, request.reason
    )
    return {
        "meeting_id": request.meeting_id,
        "target_user_id": request.target_user_id,
        "kind": request.kind,
        "muted": request.muted,
    }


@handlers.of(chat.SEND)
async def send(dialect: MeetingDialect, peer: SocketPeer, request: chat.Send) -> Message:
    """Something said."""
    said = await dialect.services.chat.send(
        peer,
        request.message,
        reply_to=request.reply_to,
        to=request.recipient_type,
        recipient=request.recipient_id,
    )
    return views.posted(request.meeting_id, said)


@handlers.of(chat.TYPING)
async def typing(dialect: MeetingDialect, peer: SocketPeer, request: chat.Typing) -> chat.TypingIs:
    """About to say something."""
    await dialect.services.chat.typing(peer, request.is_typing)
    return {
        "meeting_id": request.meeting_id,
        "user_id": peer.seated().participant_id,
        "is_typing": request.is_typing,
    }


_ENTRANCES = (room.JOIN.name, room.CREATE.name)
_MAX_ID_LENGTH = 64


def _meeting_named(args: Sequence[object]) -> str | None:
    """The meeting that a command speaks of, if it says so in a few characters."""
    payload = args[0] if args else None
    named = payload.get("meeting_id") if isinstance(payload, dict) else None
    return named if isinstance(named, str) and len(named) <= _MAX_ID_LENGTH else None


def _meeting_of(peer: Peer) -> MeetingId | None:
    seat: Seat | None = peer.seat
    return seat.room.id if seat is not None else None
