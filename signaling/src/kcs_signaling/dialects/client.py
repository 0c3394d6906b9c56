"""The `/` dialect (client guide): camelCase, answers as events, errors as the `error` event.

The guide's sample client must run as it stands; what it takes for granted is kept here:
`participant-joined` also goes to the joiner, a participant's id is its user's, `produce` names no
transport, and streams are announced one at a time (see `announcements`). A client that asks for
an acknowledgement gets the one of the `/meeting` dialect. What the guide has no words of its own
for is what `/meeting` says, in camelCase.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kcs_contracts import protocol
from kcs_contracts.events import (
    ChatPosted,
    DomainEvent,
    MediaMoved,
    MediaReset,
    MeetingEnded,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    Typed,
)
from kcs_contracts.ids import MeetingId
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import guide_client as guide
from kcs_contracts.protocol.camel import camel_object
from kcs_contracts.protocol.roles import SENDING
from kcs_contracts.rooms import MediaKind, Participant, Producer, Source
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects import views
from kcs_signaling.dialects.announcements import Announcements
from kcs_signaling.dialects.breakout_calls import call_into_rooms
from kcs_signaling.dialects.commands import SHARED
from kcs_signaling.dialects.rendering import Told, reached, rendered, what_hosts_see
from kcs_signaling.dialects.table import Answered, Command, Dialect, Handlers, SocketPeer
from kcs_signaling.errors import NotFound, SignalingError
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Audience, Peer, Room, Seat
from kcs_signaling.rooms.permissions import authorise, is_host
from kcs_signaling.service.chat import may_see
from kcs_signaling.service.rooms import JoinRequest

_SOURCES: dict[MediaKind, Source] = {"audio": Source.MIC, "video": Source.CAMERA}
_HEARD = {event.name for event in protocol.SHARED_HEARD}
_OWN_WORDS = (
    ChatPosted,
    MediaMoved,
    MediaReset,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    Typed,
)
"""Events that the guide has words of its own for."""


class ClientPeer(SocketPeer):
    """A socket that speaks the client guide's dialect."""

    def __init__(self, identity: Identity, connection: Connection, audience: Audience):
        super().__init__(identity, connection, audience)
        self.announcements = Announcements(self._announce)

    def _announce(self, producer: Producer) -> None:
        told: guide.NewProducer = {
            "participantId": producer.participant_id,
            "producerId": producer.id,
            "kind": producer.kind,
            "source": producer.source,
        }
        self.connection.emit("new-producer", told)


handlers = Handlers(SHARED.in_camel())


class ClientDialect(Dialect[ClientPeer]):
    """The client guide's clients."""

    events = protocol.CLIENT
    handlers = handlers
    label = "client"
    crosses = False

    def make_peer(self, identity: Identity, connection: Connection) -> ClientPeer:
        return ClientPeer(identity, connection, self)

    def failed(self, peer: ClientPeer, command: Command, error: JsonObject) -> None:
        peer.connection.emit("error", {**error, "event": command.event[:64]})

    def refusal(self, peer: ClientPeer, code: str, message: str) -> Packet:
        """See `Namespace`."""
        return event_packet(self.name, "error", {"code": code, "message": message, "event": None})

    def say(self, name: str, payload: Mapping[str, Any]) -> Packet:
        """See `Dialect`."""
        return event_packet(self.name, name, camel_object(payload))

    async def disconnected(self, peer: ClientPeer) -> None:
        peer.announcements.clear()
        await super().disconnected(peer)

    def removed(self, peer: Peer, meeting_id: MeetingId, note: str) -> None:
        """See `Audience`."""
        assert isinstance(peer, ClientPeer)
        peer.announcements.clear()
        super().removed(peer, meeting_id, note)

    async def come_in(self, peer: ClientPeer, wanted: JoinRequest) -> Answered:
        """Joins, and tells the peer of itself; or says that it waits."""
        peer.wants_in, before = wanted, peer.seat
        entrance = await self.services.rooms.join(peer, wanted)
        if entrance is None:
            waits: guide.WaitingForApproval = {"meetingId": wanted.meeting_id, "waiting": True}
            return Answered(waits, emits="waiting")
        seat = entrance.seat
        seat.settled = True
        if before is not None and seat is not before:
            peer.announcements.clear()  # what it receives by was the other room's
        joined = _joined(seat.now, len(seat.room.state.participants))

        def go_on() -> None:
            if is_host(seat.role):
                for told in what_hosts_see(seat.room, seat.participant_id):
                    self.send([peer], self.say(told.name, told.payload))
            call_into_rooms(self, seat.room, [peer])

        return Answered(joined, emits="participant-joined", then=go_on)

    # --- what happens in the room ---------------------------------------------------------------

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        """See `Audience`."""
        here = [peer for peer in peers if isinstance(peer, ClientPeer)]
        self._announce(event, here)
        for told in _in_the_guides_words(room, event):
            self.send(reached(told, list(here)), event_packet(self.name, told.name, told.payload))
        if not isinstance(event, _OWN_WORDS):
            for told in rendered(room, event):
                if told.name in _HEARD and (reaches := reached(told, list(here))):
                    self.send(reaches, self.say(told.name, told.payload))
        if isinstance(event, MeetingEnded) and event.return_to is None:
            ended = {"code": "MEETING_ENDED", "message": "the meeting has ended", "event": None}
            self.send(here, event_packet(self.name, "error", ended))
        call_into_rooms(self, room, here, event)

    @staticmethod
    def _announce(event: DomainEvent, peers: list[ClientPeer]) -> None:
        match event:
            case ProducerOpened(producer=producer):
                for peer in peers:
                    if peer.seat and peer.seat.participant_id != producer.participant_id:
                        peer.announcements.add(producer)
            case ProducerClosed(producer_id=which):
                for peer in peers:
                    peer.announcements.remove(which)
            case MediaReset() | MediaMoved() | MeetingEnded():
                for peer in peers:
                    peer.announcements.clear()


def _in_the_guides_words(room: Room, event: DomainEvent) -> Iterator[Told]:
    match event:
        case ParticipantJoined(participant=who, count=count):
            yield Told(
                "participant-joined", _joined(who, count), lambda peer: peer.session != who.session
            )
        case ParticipantLeft(participant_id=gone, display_name=name):
            yield Told("participant-left", {"participantId": gone, "userName": name})
        case ProducerClosed(producer_id=which, participant_id=who_id, source=source):
            closed: guide.ProducerClosed = {
                "participantId": who_id,
                "producerId": which,
                "kind": source.kind,
            }
            yield Told("producer-closed", closed, _others(who_id))
        case MediaReset(reason=reason):
            yield Told("media:reset", {"meetingId": room.id, "reason": reason})
        case MediaMoved():
            yield Told("media:reset", {"meetingId": room.id, "reason": "moved"})
        case ChatPosted():
            yield Told("new-message", _message(room.id, event), _sees(event))
        case Typed(participant_id=who_id, typing=typing):
            known = room.state.participants.get(who_id)
            name = known.display_name if known else ""
            said = {"userId": who_id, "userName": name, "typing": typing}
            yield Told("user-typing", said, _others(who_id))
        case _:
            for told in rendered(room, event):
                if told.name == "participant:muted":
                    yield told._replace(payload=_muted(told.payload))


def _muted(told: Mapping[str, Any]) -> guide.ParticipantMuted:
    return {
        "meetingId": told["meeting_id"],
        "targetUserId": told["target_user_id"],
        "moderatorName": told["moderator_name"],
        "muteType": told["kind"],
        "muted": told["muted"],
    }


def _others(who: str) -> Any:
    return lambda peer: peer.seat is None or peer.seat.participant_id != who


def _sees(said: ChatPosted) -> Any:
    return lambda peer: peer.seat is not None and may_see(said, peer.seat)


def _joined(who: Participant, count: int) -> guide.ParticipantJoined:
    return {
        "participantId": who.id,
        "userName": who.display_name,
        "userId": who.id,
        "participantCount": count,
    }


def _message(meeting_id: str, said: ChatPosted) -> guide.NewMessage:
    return {
        "id": said.message_id,
        "meeting_id": meeting_id,
        "sender_id": said.sender_id,
        "sender_name": said.sender_name,
        "message": said.text,
        "message_type": "text",
        "recipient_type": said.recipient_type,
        "recipient_id": said.recipient_id,
        "reply_to": said.reply_to,
        "timestamp": views.at_ms(said.at_ms),
    }


# --- commands ------------------------------------------------------------------------------------


@handlers.of(guide.JOIN)
async def join(dialect: ClientDialect, peer: ClientPeer, request: guide.JoinMeeting) -> Answered:
    """Into the meeting, or its waiting room."""
    wanted = JoinRequest(request.meeting_id, request.user_id, request.user_name)
    return await dialect.come_in(peer, wanted)


@handlers.of(guide.LEAVE)
async def leave(
    dialect: ClientDialect, peer: ClientPeer, request: guide.LeaveMeeting
) -> guide.MeetingIs:
    """Out of it."""
    meeting_id = await dialect.services.rooms.leave(peer, request.meeting_id)
    peer.announcements.clear()
    return {"meetingId": meeting_id}


@handlers.of(guide.CREATE_TRANSPORT)
async def create_transport(
    dialect: ClientDialect, peer: ClientPeer, request: guide.CreateTransport
) -> Answered:
    """A way for media; once a client can receive, it is told what there is to receive."""
    if request.direction == "recv":
        peer.announcements.clear()
    (made,) = await dialect.services.media.create_transports(peer, [request.direction])
    created: guide.TransportCreated = {
        "direction": made.direction,
        "params": {
            "id": made.transport_id,
            "iceParameters": made.ice_parameters,
            "iceCandidates": list(made.ice_candidates),
            "dtlsParameters": made.dtls_parameters,
            "iceServers": list(dialect.services.turn.for_user(peer.identity.user_id).servers),
        },
    }

    def announce() -> None:
        seat = peer.seat
        if request.direction == "recv" and seat is not None:
            peer.announcements.open(
                each
                for each in seat.room.state.producers.values()
                if each.participant_id != seat.participant_id
            )

    return Answered(created, then=announce)


@handlers.of(guide.CONNECT_TRANSPORT)
async def connect_transport(
    dialect: ClientDialect, peer: ClientPeer, request: guide.ConnectTransport
) -> guide.TransportConnected:
    """The client's half of DTLS."""
    await dialect.services.media.connect_transport(
        peer, request.transport_id, request.dtls_parameters
    )
    return {"transportId": request.transport_id}


@handlers.of(guide.PRODUCE)
async def produce(
    dialect: ClientDialect, peer: ClientPeer, request: guide.Produce
) -> guide.ProducedIs:
    """A stream of the peer's; video after `screen:start` is the screen."""
    seat = peer.seated()
    source = _SOURCES[request.kind]
    if source is Source.CAMERA and seat.starts_screen:
        source = Source.SCREEN
        authorise(seat.role, SENDING[source], seat.room.state.live.settings)
    producer = await dialect.services.media.produce(peer, source, request.rtp_parameters)
    if source is Source.SCREEN:
        seat.starts_screen = False
    return {"producerId": producer.id}


@handlers.of(guide.CONSUME)
async def consume(
    dialect: ClientDialect, peer: ClientPeer, request: guide.Consume
) -> guide.Subscribed:
    """Somebody's stream: the one announced last of those that are meant."""
    producer = peer.announcements.find(request.producer_participant_id, request.kind)
    if producer is None:
        producer = _any_producer(peer.seated(), request)
    try:
        made = await dialect.services.media.consume(peer, producer.id, request.rtp_capabilities)
    except SignalingError:
        peer.announcements.refused(producer.id)
        raise
    peer.announcements.consumed(producer.id, made.consumer.consumer_id)
    return {
        "id": made.consumer.consumer_id,
        "producerId": producer.id,
        "kind": made.consumer.kind,
        "rtpParameters": made.consumer.rtp_parameters,
    }


@handlers.of(guide.RESUME_CONSUMER)
async def resume_consumer(
    dialect: ClientDialect, peer: ClientPeer, request: guide.ConsumerNamed
) -> guide.ConsumerIs:
    """Its media flows, and the next stream is announced."""
    await dialect.services.media.resume_consumer(peer, request.consumer_id)
    peer.announcements.resumed(request.consumer_id)
    return {"consumerId": request.consumer_id}


@handlers.of(guide.PAUSE_CONSUMER)
async def pause_consumer(
    dialect: ClientDialect, peer: ClientPeer, request: guide.ConsumerNamed
) -> guide.ConsumerIs:
    """Its media is held back."""
    await dialect.services.media.pause_consumer(peer, request.consumer_id)
    return {"consumerId": request.consumer_id}


@handlers.of(guide.CHANGE_QUALITY)
async def change_quality(
    dialect: ClientDialect, peer: ClientPeer, request: guide.QualityChange
) -> guide.QualityChanged:
    """A layer at most, for all video of a participant."""
    seat = peer.seated()
    streams = [
        each
        for each in seat.room.state.producers_of(request.participant_id)
        if each.kind == "video" and each.id in seat.consumers
    ]
    if not streams:
        raise NotFound("you receive no video of that participant")
    for producer in streams:
        await dialect.services.media.prefer_layer(peer, producer.id, request.quality)
    return {"participantId": request.participant_id, "quality": request.quality}


@handlers.of(guide.MUTE)
async def mute(dialect: ClientDialect, peer: ClientPeer, request: guide.Mute) -> guide.MuteIs:
    """Somebody's stream is paused at the server."""
    await dialect.services.people.mute(
        peer, request.target_user_id, request.mute_type, request.muted
    )
    return {
        "meetingId": request.meeting_id,
        "targetUserId": request.target_user_id,
        "muteType": request.mute_type,
        "muted": request.muted,
    }


@handlers.of(guide.SEND)
async def send(
    dialect: ClientDialect, peer: ClientPeer, request: guide.SendMessage
) -> guide.NewMessage:
    """Something said."""
    private = request.recipient_type == "private"
    said = await dialect.services.chat.send(
        peer,
        request.message,
        reply_to=request.reply_to,
        to=request.recipient_type,
        recipient=request.recipient_id if private else None,
    )
    return _message(request.meeting_id, said)


@handlers.of(guide.TYPING)
async def typing(
    dialect: ClientDialect, peer: ClientPeer, request: guide.Typing
) -> guide.UserTyping:
    """About to say something."""
    await dialect.services.chat.typing(peer, request.typing)
    who = peer.seated().now
    return {"userId": who.id, "userName": who.display_name, "typing": request.typing}


def _any_producer(seat: Seat, request: guide.Consume) -> Producer:
    """A stream that was not announced, or is consumed already: asked for again."""
    for producer in reversed(seat.room.state.producers_of(request.producer_participant_id)):
        if producer.kind == request.kind:
            return producer
    raise NotFound(f"that participant sends no {request.kind}")
