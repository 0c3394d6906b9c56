"""The `/meeting` dialect (architecture guide, "WebSocket Events"): snake_case, acknowledgements.

Each request is answered by its acknowledgement and, where the guide names one, by an event with
the same data. WebRTC parameters keep mediasoup's camelCase inside: they go straight to and from
mediasoup-client.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from kcs_contracts.events import (
    ActiveSpeaker,
    DomainEvent,
    MediaReset,
    MediaToggled,
    MeetingEnded,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
)
from kcs_contracts.ids import MediaIdText, MeetingId, MeetingIdText, UserIdText
from kcs_contracts.models import JsonObject
from kcs_contracts.rooms import MediaKind, Participant, Producer, Source
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects.table import (
    Command,
    Dialect,
    DisplayName,
    Event,
    Payload,
    RoleText,
    SocketPeer,
    SourceText,
    others,
)
from kcs_signaling.errors import InvalidRequest
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.rooms.permissions import SENDING, Action
from kcs_signaling.service.media import Layer
from kcs_signaling.service.rooms import Entrance, JoinRequest
from kcs_signaling.tokens import meeting_token_expiry


class RoomCreate(Payload):
    meeting_id: MeetingIdText
    user_id: UserIdText | None = None
    role: RoleText | None = None


class RoomJoin(RoomCreate):
    display_name: DisplayName | None = None


class RoomLeave(Payload):
    meeting_id: MeetingIdText
    user_id: UserIdText | None = None


class TransportCreate(Payload):
    meeting_id: MeetingIdText
    direction: Literal["send", "recv"]


class TransportConnect(Payload):
    transport_id: MediaIdText
    dtls_parameters: JsonObject


class TransportNamed(Payload):
    transport_id: MediaIdText


class IceRefresh(Payload):
    meeting_id: MeetingIdText


class ProduceRequest(Payload):
    transport_id: MediaIdText
    kind: Literal["audio", "video", "screen"]
    rtp_parameters: JsonObject
    source: SourceText | None = None
    paused: bool = False

    @property
    def media_source(self) -> Source:
        """What is sent; the guide's kind `screen` is a source here.

        Raises:
            InvalidRequest: kind and source do not agree.
        """
        usual = {"audio": Source.MIC, "video": Source.CAMERA, "screen": Source.SCREEN}[self.kind]
        source = self.source or usual
        kinds = (source.kind, "screen") if source is Source.SCREEN else (source.kind,)
        if self.kind not in kinds:
            raise InvalidRequest(f"source: {source.value} is not {self.kind}")
        return source


class ProducerNamed(Payload):
    producer_id: MediaIdText


class ConsumeRequest(Payload):
    producer_id: MediaIdText
    rtp_capabilities: JsonObject | None = None


class ConsumerNamed(Payload):
    consumer_id: MediaIdText


class MediaToggle(Payload):
    meeting_id: MeetingIdText
    kind: MediaKind
    enabled: bool


class QualityChange(Payload):
    producer_id: MediaIdText
    layer: Layer


class MeetingDialect(Dialect[SocketPeer]):
    """The architecture guide's clients, and our own web client."""

    name = "/meeting"
    label = "meeting"

    def events(self) -> Sequence[Event[SocketPeer, Any]]:
        receive = Action.RECEIVE
        return (
            Event("room:create", RoomCreate, self._create, emits="room:created"),
            Event("room:join", RoomJoin, self._join, emits="room:joined"),
            Event("room:leave", RoomLeave, self._leave),
            Event(
                "transport:create",
                TransportCreate,
                self._create_transport,
                lambda p: _USING[p.direction],
                emits="transport:created",
            ),
            Event("transport:connect", TransportConnect, self._connect_transport, receive),
            Event("transport:restart-ice", TransportNamed, self._restart_ice, receive),
            Event("ice:refresh", IceRefresh, self._refresh_ice, receive),
            Event(
                "produce",
                ProduceRequest,
                self._produce,
                lambda p: SENDING[p.media_source],
                emits="producer:created",
            ),
            Event("produce:close", ProducerNamed, self._close_producer, receive),
            Event("consume", ConsumeRequest, self._consume, receive, emits="consumer:created"),
            Event("consumer:resume", ConsumerNamed, self._resume_consumer, receive),
            Event("consumer:pause", ConsumerNamed, self._pause_consumer, receive),
            Event("consumer:close", ConsumerNamed, self._close_consumer, receive),
            Event("media:toggle", MediaToggle, self._toggle, lambda p: _SWITCHING[p.kind]),
            Event("quality:change", QualityChange, self._change_quality, receive),
        )

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
        told = {"meeting_id": _meeting_of(peer), "code": code, "error": message, "event": None}
        return event_packet(self.name, "room:error", told)

    # --- commands -----------------------------------------------------------------------------

    async def _create(self, peer: SocketPeer, request: RoomCreate) -> JsonObject:
        wanted = JoinRequest(request.meeting_id, request.user_id, None, request.role)
        meeting = await self.rooms.create(peer.identity, wanted)
        config = {
            "display_name": meeting.display_name,
            "max_participants": meeting.max_participants,
            "default_role": meeting.default_role,
        }
        return {"meeting_id": meeting.id, "room_id": meeting.id, "config": config}

    async def _join(self, peer: SocketPeer, request: RoomJoin) -> JsonObject:
        wanted = JoinRequest(
            request.meeting_id, request.user_id, request.display_name, request.role
        )
        entrance = await self.rooms.join(peer, wanted)
        # From here to the return nothing awaits: the answer is the state as the bus goes on.
        return self._welcome(peer, entrance)

    def _welcome(self, peer: SocketPeer, entrance: Entrance) -> JsonObject:
        meeting, seat = entrance.meeting, entrance.seat
        state, who = seat.room.state, seat.participant
        until = meeting_token_expiry(meeting, datetime.now(UTC).timestamp())
        person = peer.identity.model_copy(update={"user_name": who.display_name})
        return {
            "meeting_id": meeting.id,
            "user_id": who.id,
            "your_role": who.role,
            "display_name": who.display_name,
            "participants": [_participant(each) for each in state.participants.values()],
            "producers": [
                _producer(each)
                for each in state.producers.values()
                if each.participant_id != who.id
            ],
            "rtp_capabilities": seat.room.rtp_capabilities,
            **self._ice_servers(peer),
            "settings": {
                "max_participants": meeting.max_participants,
                "default_role": meeting.default_role,
                "display_name": meeting.display_name,
            },
            "version": state.version,
            "resume_token": self.tokens.meeting(meeting.id, person, who.role, expires_at=until),
            "resumed": entrance.resumed,
            "media": {"epoch": state.epoch, "generation": state.generation},
        }

    async def _leave(self, peer: SocketPeer, request: RoomLeave) -> JsonObject:
        if request.user_id not in (None, peer.identity.user_id):
            raise InvalidRequest("user_id: you can leave for yourself alone")
        return {"meeting_id": await self.rooms.leave(peer, request.meeting_id)}

    async def _create_transport(self, peer: SocketPeer, request: TransportCreate) -> JsonObject:
        made = await self.media.create_transport(peer, request.direction)
        return {
            "transport_id": made.transport_id,
            "direction": made.direction,
            "ice_parameters": made.ice_parameters,
            "ice_candidates": made.ice_candidates,
            "dtls_parameters": made.dtls_parameters,
            **self._ice_servers(peer),
        }

    async def _connect_transport(self, peer: SocketPeer, request: TransportConnect) -> JsonObject:
        await self.media.connect_transport(peer, request.transport_id, request.dtls_parameters)
        return {"transport_id": request.transport_id}

    async def _restart_ice(self, peer: SocketPeer, request: TransportNamed) -> JsonObject:
        parameters = await self.media.restart_ice(peer, request.transport_id)
        return {"transport_id": request.transport_id, "ice_parameters": parameters}

    async def _refresh_ice(self, peer: SocketPeer, request: IceRefresh) -> JsonObject:
        return self._ice_servers(peer)

    def _ice_servers(self, peer: SocketPeer) -> JsonObject:
        """With credentials that the client renews before they end (`ice:refresh`)."""
        ice = self.turn.for_user(peer.identity.user_id)
        return {"ice_servers": ice.servers, "ice_ttl_seconds": ice.ttl_seconds}

    async def _produce(self, peer: SocketPeer, request: ProduceRequest) -> JsonObject:
        producer = await self.media.produce(
            peer,
            request.media_source,
            request.rtp_parameters,
            transport_id=request.transport_id,
            paused=request.paused,
        )
        return {"producer_id": producer.id, "kind": producer.kind, "source": producer.source}

    async def _close_producer(self, peer: SocketPeer, request: ProducerNamed) -> JsonObject:
        await self.media.close_producer(peer, request.producer_id)
        return {"producer_id": request.producer_id}

    async def _consume(self, peer: SocketPeer, request: ConsumeRequest) -> JsonObject:
        made = await self.media.consume(peer, request.producer_id, request.rtp_capabilities)
        return {
            "consumer_id": made.consumer.consumer_id,
            "producer_id": made.producer.id,
            "user_id": made.producer.participant_id,
            "kind": made.consumer.kind,
            "source": made.producer.source,
            "type": made.consumer.type,
            "rtp_parameters": made.consumer.rtp_parameters,
            "producer_paused": made.consumer.producer_paused,
        }

    async def _resume_consumer(self, peer: SocketPeer, request: ConsumerNamed) -> JsonObject:
        await self.media.resume_consumer(peer, request.consumer_id)
        return {"consumer_id": request.consumer_id}

    async def _pause_consumer(self, peer: SocketPeer, request: ConsumerNamed) -> JsonObject:
        await self.media.pause_consumer(peer, request.consumer_id)
        return {"consumer_id": request.consumer_id}

    async def _close_consumer(self, peer: SocketPeer, request: ConsumerNamed) -> JsonObject:
        await self.media.close_consumer(peer, request.consumer_id)
        return {"consumer_id": request.consumer_id}

    async def _toggle(self, peer: SocketPeer, request: MediaToggle) -> JsonObject:
        await self.media.toggle(peer, request.kind, request.enabled)
        return {
            "meeting_id": request.meeting_id,
            "kind": request.kind,
            "enabled": request.enabled,
        }

    async def _change_quality(self, peer: SocketPeer, request: QualityChange) -> JsonObject:
        await self.media.prefer_layer(peer, request.producer_id, request.layer)
        return {"producer_id": request.producer_id, "layer": request.layer}

    # --- what happens in the room ---------------------------------------------------------------

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        """See `Audience`."""
        match event:
            case ParticipantJoined(participant=who):
                self.send(
                    others(peers, who.id),
                    "participant:joined",
                    {
                        "meeting_id": room.id,
                        "user_id": who.id,
                        "display_name": who.display_name,
                        "role": who.role,
                    },
                )
            case ParticipantLeft(participant_id=gone, reason=reason):
                self.send(
                    others(peers, gone),
                    "participant:left",
                    {
                        "meeting_id": room.id,
                        "user_id": gone,
                        "reason": reason,
                    },
                )
            case MediaToggled(participant_id=who_id, kind=kind, enabled=enabled):
                self.send(
                    peers,
                    "participant:media:updated",
                    {
                        "meeting_id": room.id,
                        "user_id": who_id,
                        "kind": kind,
                        "enabled": enabled,
                    },
                )
            case ProducerOpened(producer=producer):
                self.send(
                    others(peers, producer.participant_id), "new-producer", _producer(producer)
                )
            case ProducerPaused(producer_id=which, participant_id=who_id, paused=paused):
                name = "producer:paused" if paused else "producer:resumed"
                self.send(others(peers, who_id), name, {"producer_id": which, "user_id": who_id})
            case ProducerClosed():
                self._tell_closed(peers, event)
            case MediaReset(reason=reason, epoch=epoch, generation=generation):
                self.send(
                    peers,
                    "media:reset",
                    {
                        "meeting_id": room.id,
                        "reason": reason,
                        "epoch": epoch,
                        "generation": generation,
                    },
                )
            case ActiveSpeaker(participant_id=speaker):
                self.send(peers, "speaker:active", {"meeting_id": room.id, "user_id": speaker})
            case MeetingEnded(reason=reason):
                self.send(peers, "room:closed", {"meeting_id": room.id, "reason": reason})

    def _tell_closed(self, peers: Iterable[Peer], event: ProducerClosed) -> None:
        told = others(peers, event.participant_id)
        closed = {
            "producer_id": event.producer_id,
            "user_id": event.participant_id,
            "source": event.source,
        }
        self.send(told, "producer:closed", closed)
        for peer in told:
            consumer = peer.seat.consumers.get(event.producer_id) if peer.seat else None
            if consumer is not None:
                ended = {
                    "consumer_id": consumer,
                    "producer_id": event.producer_id,
                    "reason": event.reason,
                }
                self.send([peer], "consumer:closed", ended)

    def part(self, peer: Peer, meeting_id: MeetingId) -> None:
        """See `Audience`."""
        assert isinstance(peer, SocketPeer)
        peer.connection.emit("session:replaced", {"meeting_id": meeting_id})
        peer.connection.close()


_ENTRANCES = ("room:join", "room:create")
_MAX_ID_LENGTH = 64
_USING = {"send": Action.SEND_AUDIO, "recv": Action.RECEIVE}
_SWITCHING: dict[MediaKind, Action] = {"audio": Action.SEND_AUDIO, "video": Action.SEND_VIDEO}


def _meeting_named(args: Sequence[object]) -> str | None:
    """The meeting that a command speaks of, if it says so in a few characters."""
    payload = args[0] if args else None
    named = payload.get("meeting_id") if isinstance(payload, dict) else None
    return named if isinstance(named, str) and len(named) <= _MAX_ID_LENGTH else None


def _meeting_of(peer: Peer) -> MeetingId | None:
    return peer.seat.room.id if peer.seat is not None else None


def _participant(who: Participant) -> JsonObject:
    joined = datetime.fromtimestamp(who.joined_at_ms / 1000, UTC)
    return {
        "user_id": who.id,
        "display_name": who.display_name,
        "role": who.role,
        "audio_enabled": who.audio_enabled,
        "video_enabled": who.video_enabled,
        "screen_sharing": who.screen_sharing,
        "joined_at": joined.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _producer(producer: Producer) -> JsonObject:
    return {
        "producer_id": producer.id,
        "user_id": producer.participant_id,
        "kind": producer.kind,
        "source": producer.source,
        "paused": producer.paused,
    }
