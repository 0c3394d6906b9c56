"""What each operation does: one table, one handler per operation.

`operations` runs them. A handler raises what went wrong; it answers when it is done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from kcs_contracts import node_api as api
from kcs_contracts.ids import (
    ConsumerId,
    Epoch,
    Generation,
    MeetingId,
    ParticipantId,
    ProducerId,
    TransportId,
)
from kcs_contracts.models import JsonObject
from kcs_sfu.agent.codecs import rtp_capabilities
from kcs_sfu.agent.errors import OperationFailed, not_found
from kcs_sfu.agent.metrics import Metrics
from kcs_sfu.agent.node import Node
from kcs_sfu.agent.participant import Participant
from kcs_sfu.agent.room import Room
from kcs_sfu.mediasoup.errors import NotFoundError, ObjectClosed

_Handler = Callable[["Batch", Any], Awaitable[api.Answer]]
_DONE = api.Done()


class _HasStats(Protocol):
    @property
    def id(self) -> str: ...

    async def get_stats(self) -> Sequence[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Whose operations run where, and on which media plane (epoch and generation)."""

    node: Node
    metrics: Metrics
    meeting_id: MeetingId
    plane: tuple[Epoch, Generation]

    @property
    def room(self) -> Room | None:
        """The meeting's room, if it is open."""
        return self.node.rooms.get(self.meeting_id)

    @property
    def was_reset(self) -> bool:
        """The media plane is another than at the batch's start, or is about to be."""
        broken = self.room is not None and self.room.broken
        return broken or self.node.plane(self.meeting_id) != self.plane

    @property
    def open_room(self) -> Room:
        """The meeting's room.

        Raises:
            OperationFailed: NOT_FOUND, it is not open.
        """
        if self.room is None:
            raise OperationFailed("NOT_FOUND", "the room is not open on this node")
        return self.room

    def participant(self, participant_id: ParticipantId) -> Participant:
        """The participant in the room, or NOT_FOUND."""
        participant = self.open_room.participants.get(participant_id)
        if participant is None:
            raise not_found("participant", participant_id)
        return participant


# --- rooms and participants --------------------------------------------------------------------


async def _open_room(batch: Batch, _: api.OpenRoom) -> api.Answer:
    room = batch.node.open_room(batch.meeting_id)
    await room.usable()
    return api.RoomOpened(rtp_capabilities=rtp_capabilities())


async def _close_room(batch: Batch, _: api.CloseRoom) -> api.Answer:
    batch.node.close_room(batch.meeting_id)
    return _DONE


async def _set_debug(batch: Batch, op: api.SetDebug) -> api.Answer:
    batch.node.detail(batch.meeting_id).switch(op.until_ms, bytes.fromhex(op.pseudonym_key))
    return _DONE


async def _close_participant(batch: Batch, op: api.CloseParticipant) -> api.Answer:
    if batch.room is not None:
        batch.room.dismiss(op.participant_id)
    return _DONE


async def _describe(batch: Batch, op: api.DescribeParticipant) -> api.Answer:
    found = batch.open_room.participants.get(op.participant_id)
    if found is None:
        return api.ParticipantMedia(transports=(), producers=(), consumers=())
    return api.ParticipantMedia(
        transports=tuple(
            api.TransportView(transport_id=TransportId(transport.id), direction=direction)
            for direction, transport in found.transports.items()
        ),
        producers=tuple(ProducerId(id_) for id_ in found.producers),
        consumers=tuple(
            api.ConsumerView(
                consumer_id=ConsumerId(consumer.id),
                producer_id=ProducerId(consumer.producer_id),
                paused=consumer.paused,
            )
            for consumer in found.consumers.values()
        ),
    )


async def _get_stats(batch: Batch, op: api.GetStats) -> api.Answer:
    found = batch.participant(op.participant_id)
    transports, producers, consumers = await asyncio.gather(
        _stats(found.transports.values()),
        _stats(found.producers.values()),
        _stats(found.consumers.values()),
    )
    return api.ParticipantStats(transports=transports, producers=producers, consumers=consumers)


# --- transports --------------------------------------------------------------------------------


async def _create_transport(batch: Batch, op: api.CreateTransport) -> api.Answer:
    participant = batch.open_room.admit(op.participant_id)
    try:
        transport = await participant.create_transport(op.direction)
    finally:
        if not participant.transports:
            participant.close()  # a newcomer who got nothing
    return api.TransportCreated(
        transport_id=TransportId(transport.id),
        direction=op.direction,
        ice_parameters=_json(transport.ice_parameters),
        ice_candidates=tuple(_json(candidate) for candidate in transport.ice_candidates),
        dtls_parameters=_json(transport.dtls_parameters),
    )


async def _connect_transport(batch: Batch, op: api.ConnectTransport) -> api.Answer:
    participant = batch.participant(op.participant_id)
    await participant.connect_transport(op.transport_id, op.dtls_parameters)
    return _DONE


async def _restart_ice(batch: Batch, op: api.RestartIce) -> api.Answer:
    transport = batch.participant(op.participant_id).transport(op.transport_id)
    return api.IceRestarted(ice_parameters=_json(await transport.restart_ice()))


# --- sending -----------------------------------------------------------------------------------


async def _produce(batch: Batch, op: api.Produce) -> api.Answer:
    producer = await batch.participant(op.participant_id).produce(
        op.transport_id, op.source, op.rtp_parameters, op.paused
    )
    return api.Produced(
        producer_id=ProducerId(producer.id), source=op.source, paused=producer.paused
    )


async def _close_producer(batch: Batch, op: api.CloseProducer) -> api.Answer:
    batch.participant(op.participant_id).producer(op.producer_id).close()
    return _DONE


async def _pause_producer(batch: Batch, op: api.PauseProducer) -> api.Answer:
    await batch.participant(op.participant_id).producer(op.producer_id).pause()
    return _DONE


async def _resume_producer(batch: Batch, op: api.ResumeProducer) -> api.Answer:
    await batch.participant(op.participant_id).resume_producer(op.producer_id)
    return _DONE


async def _set_muted(batch: Batch, op: api.SetMuted) -> api.Answer:
    await batch.open_room.set_muted(op.participant_id, op.kind, op.muted)
    return _DONE


# --- receiving ---------------------------------------------------------------------------------


async def _consume(batch: Batch, op: api.Consume) -> api.Answer:
    participant = batch.participant(op.participant_id)
    consumer = await participant.consume(op.producer_id, op.rtp_capabilities, op.paused)
    return api.Consumed(
        consumer_id=ConsumerId(consumer.id),
        producer_id=ProducerId(consumer.producer_id),
        kind=consumer.kind,
        type=consumer.type,
        rtp_parameters=_json(consumer.rtp_parameters),
        producer_paused=consumer.producer_paused,
    )


async def _close_consumer(batch: Batch, op: api.CloseConsumer) -> api.Answer:
    batch.participant(op.participant_id).consumer(op.consumer_id).close()
    return _DONE


async def _pause_consumer(batch: Batch, op: api.PauseConsumer) -> api.Answer:
    await batch.participant(op.participant_id).consumer(op.consumer_id).pause()
    return _DONE


async def _resume_consumer(batch: Batch, op: api.ResumeConsumer) -> api.Answer:
    await batch.participant(op.participant_id).consumer(op.consumer_id).resume()
    return _DONE


async def _set_preferred_layers(batch: Batch, op: api.SetPreferredLayers) -> api.Answer:
    consumer = batch.participant(op.participant_id).consumer_of(op.producer_id)
    await consumer.set_preferred_layers(
        spatial_layer=op.spatial_layer, temporal_layer=op.temporal_layer
    )
    return _DONE


async def _request_key_frame(batch: Batch, op: api.RequestKeyFrame) -> api.Answer:
    await batch.participant(op.participant_id).consumer(op.consumer_id).request_key_frame()
    return _DONE


HANDLERS: dict[type[api.Operation], _Handler] = {
    api.OpenRoom: _open_room,
    api.CloseRoom: _close_room,
    api.CloseParticipant: _close_participant,
    api.DescribeParticipant: _describe,
    api.CreateTransport: _create_transport,
    api.ConnectTransport: _connect_transport,
    api.RestartIce: _restart_ice,
    api.Produce: _produce,
    api.CloseProducer: _close_producer,
    api.PauseProducer: _pause_producer,
    api.ResumeProducer: _resume_producer,
    api.SetMuted: _set_muted,
    api.Consume: _consume,
    api.CloseConsumer: _close_consumer,
    api.PauseConsumer: _pause_consumer,
    api.ResumeConsumer: _resume_consumer,
    api.SetPreferredLayers: _set_preferred_layers,
    api.RequestKeyFrame: _request_key_frame,
    api.GetStats: _get_stats,
    api.SetDebug: _set_debug,
}
"""Every operation of the contract; a test holds it complete."""


def _json(value: object) -> JsonObject:
    """A TypedDict of the driver, as the contract's JSON."""
    return cast(JsonObject, value)


async def _stats(things: Iterable[_HasStats]) -> dict[str, list[JsonObject]]:
    """Of each that is still there when it is asked."""
    listed = list(things)
    answers = await asyncio.gather(*(thing.get_stats() for thing in listed), return_exceptions=True)
    found: dict[str, list[JsonObject]] = {}
    for thing, answer in zip(listed, answers, strict=True):
        if isinstance(answer, ObjectClosed | NotFoundError):
            continue
        if isinstance(answer, BaseException):
            raise answer
        found[thing.id] = [_json(entry) for entry in answer]
    return found
