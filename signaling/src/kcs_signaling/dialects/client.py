"""The `/` dialect (client guide): camelCase, answers as events, errors as the `error` event.

The guide's sample client must run as it stands; what it takes for granted is kept here:
`participant-joined` also goes to the joiner, a participant's id is its user's, `produce` names no
transport, and streams are announced one at a time (see `announcements`). A client that asks for
an acknowledgement gets the one of the `/meeting` dialect.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from kcs_contracts.events import (
    DomainEvent,
    MediaReset,
    MeetingEnded,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
)
from kcs_contracts.ids import MediaIdText, MeetingId, MeetingIdText, ParticipantIdText, UserIdText
from kcs_contracts.models import JsonObject
from kcs_contracts.rooms import MediaKind, Participant, Producer, Source
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects.announcements import Announcements
from kcs_signaling.dialects.table import (
    Command,
    Dialect,
    DisplayName,
    Event,
    Payload,
    SocketPeer,
)
from kcs_signaling.errors import NotFound, SignalingError
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Audience, Peer, Room
from kcs_signaling.rooms.permissions import SENDING, Action
from kcs_signaling.service.media import Layer
from kcs_signaling.service.rooms import JoinRequest

_SOURCES: dict[MediaKind, Source] = {"audio": Source.MIC, "video": Source.CAMERA}


class CamelPayload(Payload):
    """The guide's names on the wire, ours in the code."""

    model_config = ConfigDict(alias_generator=to_camel)


class JoinMeeting(CamelPayload):
    meeting_id: MeetingIdText
    user_id: UserIdText | None = None
    user_name: DisplayName | None = None


class LeaveMeeting(CamelPayload):
    meeting_id: MeetingIdText


class CreateTransport(CamelPayload):
    meeting_id: MeetingIdText
    direction: Literal["send", "recv"]


class ConnectTransport(CamelPayload):
    transport_id: MediaIdText
    dtls_parameters: JsonObject


class ProduceRequest(CamelPayload):
    meeting_id: MeetingIdText
    kind: MediaKind
    rtp_parameters: JsonObject


class ConsumeRequest(CamelPayload):
    meeting_id: MeetingIdText
    producer_participant_id: ParticipantIdText
    kind: MediaKind
    rtp_capabilities: JsonObject


class ConsumerNamed(CamelPayload):
    consumer_id: MediaIdText


class QualityChange(CamelPayload):
    meeting_id: MeetingIdText
    participant_id: ParticipantIdText
    quality: Layer


class ClientPeer(SocketPeer):
    """A socket that speaks the client guide's dialect."""

    def __init__(self, identity: Identity, connection: Connection, audience: Audience):
        super().__init__(identity, connection, audience)
        self.announcements = Announcements(self._announce)

    def _announce(self, producer: Producer) -> None:
        self.connection.emit(
            "new-producer",
            {
                "participantId": producer.participant_id,
                "producerId": producer.id,
                "kind": producer.kind,
            },
        )


class ClientDialect(Dialect[ClientPeer]):
    """The client guide's clients."""

    name = "/"
    label = "client"

    def events(self) -> Sequence[Event[ClientPeer, Any]]:
        receive = Action.RECEIVE
        return (
            Event("join-meeting", JoinMeeting, self._join, emits="participant-joined"),
            Event("leave-meeting", LeaveMeeting, self._leave),
            Event(
                "create-transport",
                CreateTransport,
                self._create_transport,
                lambda p: Action.SEND_AUDIO if p.direction == "send" else Action.RECEIVE,
                emits="transport-created",
                after=self._transport_created,
            ),
            Event(
                "connect-transport",
                ConnectTransport,
                self._connect_transport,
                receive,
                emits="transport-connected",
            ),
            Event(
                "produce",
                ProduceRequest,
                self._produce,
                lambda p: SENDING[_SOURCES[p.kind]],
                emits="produced",
            ),
            Event("consume", ConsumeRequest, self._consume, receive, emits="subscribed"),
            Event("resume-consumer", ConsumerNamed, self._resume_consumer, receive),
            Event("pause-consumer", ConsumerNamed, self._pause_consumer, receive),
            Event(
                "quality:change",
                QualityChange,
                self._change_quality,
                receive,
                emits="quality:changed",
            ),
        )

    def make_peer(self, identity: Identity, connection: Connection) -> ClientPeer:
        return ClientPeer(identity, connection, self)

    def failed(self, peer: ClientPeer, command: Command, error: JsonObject) -> None:
        peer.connection.emit("error", {**error, "event": command.event[:64]})

    def refusal(self, peer: ClientPeer, code: str, message: str) -> Packet:
        return event_packet(self.name, "error", {"code": code, "message": message, "event": None})

    async def disconnected(self, peer: ClientPeer) -> None:
        peer.announcements.clear()
        await super().disconnected(peer)

    # --- commands -----------------------------------------------------------------------------

    async def _join(self, peer: ClientPeer, request: JoinMeeting) -> JsonObject:
        wanted = JoinRequest(request.meeting_id, request.user_id, request.user_name)
        entrance = await self.rooms.join(peer, wanted)
        seat = entrance.seat
        return _joined(seat.participant, len(seat.room.state.participants))

    async def _leave(self, peer: ClientPeer, request: LeaveMeeting) -> JsonObject:
        meeting_id = await self.rooms.leave(peer, request.meeting_id)
        peer.announcements.clear()
        return {"meetingId": meeting_id}

    async def _create_transport(self, peer: ClientPeer, request: CreateTransport) -> JsonObject:
        if request.direction == "recv":
            peer.announcements.clear()
        made = await self.media.create_transport(peer, request.direction)
        return {
            "direction": made.direction,
            "params": {
                "id": made.transport_id,
                "iceParameters": made.ice_parameters,
                "iceCandidates": made.ice_candidates,
                "dtlsParameters": made.dtls_parameters,
                "iceServers": self.turn.for_user(peer.identity.user_id).servers,
            },
        }

    def _transport_created(self, peer: ClientPeer, request: CreateTransport) -> None:
        """The answer is on its way: now the client can consume what is there already."""
        if request.direction == "recv" and peer.seat is not None:
            seat = peer.seat
            peer.announcements.open(
                each
                for each in seat.room.state.producers.values()
                if each.participant_id != seat.participant_id
            )

    async def _connect_transport(self, peer: ClientPeer, request: ConnectTransport) -> JsonObject:
        await self.media.connect_transport(peer, request.transport_id, request.dtls_parameters)
        return {"transportId": request.transport_id}

    async def _produce(self, peer: ClientPeer, request: ProduceRequest) -> JsonObject:
        source = _SOURCES[request.kind]
        producer = await self.media.produce(peer, source, request.rtp_parameters)
        return {"producerId": producer.id}

    async def _consume(self, peer: ClientPeer, request: ConsumeRequest) -> JsonObject:
        producer = peer.announcements.find(request.producer_participant_id, request.kind)
        if producer is None:
            producer = _any_producer(peer, request)
        try:
            made = await self.media.consume(peer, producer.id, request.rtp_capabilities)
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

    async def _resume_consumer(self, peer: ClientPeer, request: ConsumerNamed) -> JsonObject:
        await self.media.resume_consumer(peer, request.consumer_id)
        peer.announcements.resumed(request.consumer_id)
        return {"consumerId": request.consumer_id}

    async def _pause_consumer(self, peer: ClientPeer, request: ConsumerNamed) -> JsonObject:
        await self.media.pause_consumer(peer, request.consumer_id)
        return {"consumerId": request.consumer_id}

    async def _change_quality(self, peer: ClientPeer, request: QualityChange) -> JsonObject:
        seat = peer.seated()
        streams = [
            each
            for each in seat.room.state.producers.values()
            if each.participant_id == request.participant_id
            and each.kind == "video"
            and each.id in seat.consumers
        ]
        if not streams:
            raise NotFound("you receive no video of that participant")
        for producer in streams:
            await self.media.prefer_layer(peer, producer.id, request.quality)
        return {"participantId": request.participant_id, "quality": request.quality}

    # --- what happens in the room ---------------------------------------------------------------

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        """See `Audience`."""
        match event:
            case ParticipantJoined(participant=who, count=count):
                told = [peer for peer in peers if peer.session != who.session]
                self.send(told, "participant-joined", _joined(who, count))
            case ParticipantLeft(participant_id=gone, display_name=name):
                left = {"participantId": gone, "userName": name}
                self.send(peers, "participant-left", left)
            case ProducerOpened(producer=producer):
                for peer in _clients(peers):
                    if peer.seat and peer.seat.participant_id != producer.participant_id:
                        peer.announcements.add(producer)
            case ProducerClosed():
                self._tell_closed(peers, event)
            case MediaReset(reason=reason):
                for peer in _clients(peers):
                    peer.announcements.clear()
                self.send(peers, "media:reset", {"meetingId": room.id, "reason": reason})
            case MeetingEnded():
                ended = {"code": "MEETING_ENDED", "message": "the meeting has ended"}
                self.send(peers, "error", {**ended, "event": None})

    def _tell_closed(self, peers: Iterable[Peer], event: ProducerClosed) -> None:
        told = []
        for peer in _clients(peers):
            peer.announcements.remove(event.producer_id)
            if peer.seat and peer.seat.participant_id != event.participant_id:
                told.append(peer)
        closed = {
            "participantId": event.participant_id,
            "producerId": event.producer_id,
            "kind": event.source.kind,
        }
        self.send(told, "producer-closed", closed)

    def part(self, peer: Peer, meeting_id: MeetingId) -> None:
        """See `Audience`."""
        assert isinstance(peer, ClientPeer)
        peer.connection.emit("session:replaced", {"meetingId": meeting_id})
        peer.connection.close()


def _clients(peers: Iterable[Peer]) -> Iterable[ClientPeer]:
    return (peer for peer in peers if isinstance(peer, ClientPeer))


def _joined(who: Participant, count: int) -> JsonObject:
    return {
        "participantId": who.id,
        "userName": who.display_name,
        "userId": who.id,
        "participantCount": count,
    }


def _any_producer(peer: Peer, request: ConsumeRequest) -> Producer:
    """A stream that was not announced, or is consumed already: asked for again."""
    producers = peer.seated().room.state.producers_of(request.producer_participant_id)
    for producer in reversed(producers):
        if producer.kind == request.kind:
            return producer
    raise NotFound(f"that participant sends no {request.kind}")
