"""Media in a room: transports, producers and consumers, made at the node, told by placement.

A producer lives in two places: at the node, and in placement, which tells the others. It is
opened at the node first; where placement then refuses it (the media was reset meanwhile), it is
closed again, so that nobody sends what nobody knows.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

from kcs_contracts.ids import ProducerId
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.node_api import (
    CloseConsumer,
    CloseProducer,
    ConnectTransport,
    Consume,
    Consumed,
    CreateTransport,
    Direction,
    IceRestarted,
    OpenRoom,
    Operation,
    PauseConsumer,
    PauseProducer,
    Produce,
    Produced,
    RestartIce,
    ResumeConsumer,
    ResumeProducer,
    RoomOpened,
    SetPreferredLayers,
    TransportCreated,
)
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import MediaKind, Producer, Source
from kcs_signaling.errors import InvalidRequest, NotFound, SignalingError
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes

Layer = Literal["low", "medium", "high"]
_SPATIAL: dict[Layer, int] = {"low": 0, "medium": 1, "high": 2}
_SWITCHED: dict[MediaKind, Source] = {"audio": Source.MIC, "video": Source.CAMERA}

A = TypeVar("A", bound=Contract)


@dataclass(frozen=True)
class Subscription:
    """A consumer, and whose stream it is."""

    consumer: Consumed
    producer: Producer


class RoomMedia:
    """The media commands of a peer that is in a meeting."""

    def __init__(self, placement: Placement, nodes: RoomNodes):
        self._placement, self._nodes = placement, nodes

    # --- transports ---------------------------------------------------------------------------

    async def create_transport(self, peer: Peer, direction: Direction) -> TransportCreated:
        """A new transport; an older one of that direction goes, with all that it carried."""
        seat = peer.seated()
        older = seat.room.state.producers_of(seat.participant_id) if direction == "send" else []
        done = await self._nodes.ask(
            seat.room,
            OpenRoom(),  # it may have been closed when it was empty, or have moved
            CreateTransport(participant_id=seat.participant_id, direction=direction),
        )
        opened, created = done.answers
        assert isinstance(opened, RoomOpened)
        assert isinstance(created, TransportCreated)
        seat.room.rtp_capabilities = opened.rtp_capabilities
        if direction == "recv":
            seat.consumers.clear()
        for producer in older:
            await self._close_known(seat, producer.id, "transport_closed")
        return created

    async def connect_transport(
        self, peer: Peer, transport_id: str, dtls_parameters: JsonObject
    ) -> None:
        """Hands the client's DTLS parameters over."""
        seat = peer.seated()
        await self._do(
            seat,
            ConnectTransport(
                participant_id=seat.participant_id,
                transport_id=transport_id,
                dtls_parameters=dtls_parameters,
            ),
        )

    async def restart_ice(self, peer: Peer, transport_id: str) -> JsonObject:
        """New ICE parameters for a transport that lost its way."""
        seat = peer.seated()
        restarted = await self._ask(
            seat,
            RestartIce(participant_id=seat.participant_id, transport_id=transport_id),
            IceRestarted,
        )
        return restarted.ice_parameters

    # --- producers ----------------------------------------------------------------------------

    async def produce(
        self,
        peer: Peer,
        source: Source,
        rtp_parameters: JsonObject,
        *,
        transport_id: str | None = None,
        paused: bool = False,
    ) -> Producer:
        """Opens a producer on the named transport, else on the send transport.

        A producer of the same source that the participant had is closed.
        """
        seat = peer.seated()
        who = seat.participant_id
        op = Produce(
            participant_id=who,
            transport_id=transport_id,
            source=source,
            rtp_parameters=rtp_parameters,
            paused=paused,
        )
        done = await self._nodes.ask(seat.room, op)
        produced = done.answers[0]
        assert isinstance(produced, Produced)
        producer = Producer(
            id=produced.producer_id, participant_id=who, source=source, paused=paused
        )
        close = CloseProducer(participant_id=who, producer_id=producer.id)
        try:
            async with redis_calls():
                older = await self._placement.open_producer(
                    seat.room.id, producer, epoch=done.epoch, generation=done.generation
                )
        except SignalingError:
            await self._nodes.tell(seat.room.id, close)
            raise
        if older is not None:
            await self._nodes.tell(
                seat.room.id, CloseProducer(participant_id=who, producer_id=older)
            )
        return producer

    async def close_producer(self, peer: Peer, producer_id: str) -> None:
        """Ends one of the peer's own streams."""
        seat = peer.seated()
        self._own(seat, producer_id)
        await self._do(
            seat, CloseProducer(participant_id=seat.participant_id, producer_id=producer_id)
        )
        await self._close_known(seat, ProducerId(producer_id), "closed")

    async def toggle(self, peer: Peer, kind: MediaKind, enabled: bool) -> None:
        """Switches the microphone or the camera, and whatever producer it has."""
        seat = peer.seated()
        who = seat.participant_id
        for producer in seat.room.state.producers_of(who):
            if producer.source is _SWITCHED[kind] and producer.paused == enabled:
                op = ResumeProducer if enabled else PauseProducer
                await self._do(seat, op(participant_id=who, producer_id=producer.id))
                async with redis_calls():
                    await self._placement.pause_producer(
                        seat.room.id, producer.id, who, not enabled
                    )
        async with redis_calls():
            await self._placement.toggle_media(seat.room.id, who, peer.session, kind, enabled)

    # --- consumers ----------------------------------------------------------------------------

    async def consume(
        self, peer: Peer, producer_id: str, rtp_capabilities: JsonObject | None
    ) -> Subscription:
        """Opens a paused consumer of somebody's stream.

        Without capabilities, those that the peer told last.
        """
        seat = peer.seated()
        producer = seat.room.state.producers.get(ProducerId(producer_id))
        if producer is None:
            raise NotFound("there is no such producer in the meeting")
        capabilities = seat.rtp_capabilities if rtp_capabilities is None else rtp_capabilities
        if capabilities is None:
            raise InvalidRequest("rtp_capabilities are needed the first time")
        consumer = await self._ask(
            seat,
            Consume(
                participant_id=seat.participant_id,
                producer_id=producer_id,
                rtp_capabilities=capabilities,
            ),
            Consumed,
        )
        if producer.id not in seat.room.state.producers:
            raise NotFound("the producer has just been closed")
        seat.rtp_capabilities = capabilities
        seat.consumers[producer.id] = consumer.consumer_id
        return Subscription(consumer, producer)

    async def resume_consumer(self, peer: Peer, consumer_id: str) -> None:
        """Lets a consumer's media flow."""
        seat = peer.seated()
        who = seat.participant_id
        await self._do(seat, ResumeConsumer(participant_id=who, consumer_id=consumer_id))

    async def pause_consumer(self, peer: Peer, consumer_id: str) -> None:
        """Holds a consumer's media back."""
        seat = peer.seated()
        who = seat.participant_id
        await self._do(seat, PauseConsumer(participant_id=who, consumer_id=consumer_id))

    async def close_consumer(self, peer: Peer, consumer_id: str) -> None:
        """Ends a consumer."""
        seat = peer.seated()
        who = seat.participant_id
        await self._do(seat, CloseConsumer(participant_id=who, consumer_id=consumer_id))
        seat.forget_consumer(consumer_id)

    async def prefer_layer(self, peer: Peer, producer_id: str, layer: Layer) -> None:
        """Chooses the simulcast layer in which the peer gets a stream."""
        seat = peer.seated()
        await self._do(
            seat,
            SetPreferredLayers(
                participant_id=seat.participant_id,
                producer_id=producer_id,
                spatial_layer=_SPATIAL[layer],
            ),
        )

    # --- helpers ------------------------------------------------------------------------------

    async def _ask(self, seat: Seat, op: Operation, kind: type[A]) -> A:
        done = await self._nodes.ask(seat.room, op)
        answer = done.answers[0]
        assert isinstance(answer, kind)
        return answer

    async def _do(self, seat: Seat, op: Operation) -> None:
        await self._nodes.ask(seat.room, op)

    async def _close_known(
        self, seat: Seat, producer_id: ProducerId, reason: Literal["closed", "transport_closed"]
    ) -> None:
        async with redis_calls():
            await self._placement.close_producer(
                seat.room.id, producer_id, seat.participant_id, reason
            )

    @staticmethod
    def _own(seat: Seat, producer_id: str) -> None:
        known = seat.room.state.producers.get(ProducerId(producer_id))
        if known is not None and known.participant_id != seat.participant_id:
            raise NotFound("you have no such producer")
