"""What people receive: consumers, made at the node."""

from collections.abc import Sequence
from dataclasses import dataclass

from kcs_contracts.ids import Epoch, ProducerId
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import (
    Answer,
    CloseConsumer,
    Consume,
    Consumed,
    PauseConsumer,
    ResumeConsumer,
    SetPreferredLayers,
)
from kcs_contracts.protocol.media import Layer
from kcs_contracts.rooms import Producer
from kcs_signaling.errors import InvalidRequest, NotFound, SignalingError
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.service.detail import detail
from kcs_signaling.service.nodes import RoomNodes

_SPATIAL: dict[Layer, int] = {"low": 0, "medium": 1, "high": 2}


@dataclass(frozen=True)
class Subscription:
    """A consumer, and whose stream it is."""

    consumer: Consumed
    producer: Producer


class RoomConsumers:
    """Those of a peer that is in a meeting."""

    def __init__(self, nodes: RoomNodes):
        self._nodes = nodes

    async def consume(
        self,
        peer: Peer,
        producer_id: str,
        rtp_capabilities: JsonObject | None,
        *,
        epoch: Epoch | None = None,
    ) -> Subscription:
        """Opens a paused consumer of somebody's stream.

        Without capabilities, those that the peer told last.
        """
        (outcome,) = await self.consume_batch(peer, [producer_id], rtp_capabilities, epoch=epoch)
        if isinstance(outcome, SignalingError):
            raise outcome
        return outcome

    async def consume_batch(
        self,
        peer: Peer,
        producer_ids: Sequence[str],
        rtp_capabilities: JsonObject | None,
        *,
        paused: bool = True,
        epoch: Epoch | None = None,
    ) -> list[Subscription | SignalingError]:
        """The same for several, in one go at the node; each outcome by itself, in their order.

        Raises:
            InvalidRequest: there are no capabilities yet.
        """
        seat = peer.seated()
        capabilities = seat.rtp_capabilities if rtp_capabilities is None else rtp_capabilities
        if capabilities is None:
            raise InvalidRequest("rtp_capabilities are needed the first time")
        there = seat.producers_at(epoch)
        known = [there.get(ProducerId(each)) for each in producer_ids]
        ops = [
            Consume(
                participant_id=seat.participant_id,
                producer_id=producer.id,
                rtp_capabilities=capabilities,
                paused=paused,
            )
            for producer in known
            if producer is not None
        ]
        answers = iter(await self._nodes.try_each(seat.room, *ops, epoch=epoch) if ops else ())
        outcomes = [
            NotFound("there is no such producer in the meeting")
            if producer is None
            else _subscribed(seat, producer, next(answers), epoch)
            for producer in known
        ]
        if any(isinstance(outcome, Subscription) for outcome in outcomes):
            seat.rtp_capabilities = capabilities
        return outcomes

    async def resume(self, peer: Peer, consumer_id: str, *, epoch: Epoch | None = None) -> None:
        """Lets a consumer's media flow."""
        seat = peer.seated()
        op = ResumeConsumer(participant_id=seat.participant_id, consumer_id=consumer_id)
        await self._nodes.ask(seat.room, op, epoch=epoch)

    async def resume_batch(
        self, peer: Peer, consumer_ids: Sequence[str], *, epoch: Epoch | None = None
    ) -> list[str]:
        """The same for several; answers those that were there."""
        seat = peer.seated()
        who = seat.participant_id
        ops = [ResumeConsumer(participant_id=who, consumer_id=each) for each in consumer_ids]
        answers = await self._nodes.try_each(seat.room, *ops, epoch=epoch)
        return [
            each
            for each, answer in zip(consumer_ids, answers, strict=True)
            if not isinstance(answer, SignalingError)
        ]

    async def pause(self, peer: Peer, consumer_id: str, *, epoch: Epoch | None = None) -> None:
        """Holds a consumer's media back."""
        seat = peer.seated()
        op = PauseConsumer(participant_id=seat.participant_id, consumer_id=consumer_id)
        await self._nodes.ask(seat.room, op, epoch=epoch)

    async def close(self, peer: Peer, consumer_id: str, *, epoch: Epoch | None = None) -> None:
        """Ends a consumer."""
        seat = peer.seated()
        op = CloseConsumer(participant_id=seat.participant_id, consumer_id=consumer_id)
        await self._nodes.ask(seat.room, op, epoch=epoch)
        seat.forget_consumer(consumer_id)

    async def prefer_layer(
        self, peer: Peer, producer_id: str, layer: Layer, *, epoch: Epoch | None = None
    ) -> None:
        """Chooses the simulcast layer in which the peer gets a stream."""
        seat = peer.seated()
        op = SetPreferredLayers(
            participant_id=seat.participant_id,
            producer_id=producer_id,
            spatial_layer=_SPATIAL[layer],
        )
        await self._nodes.ask(seat.room, op, epoch=epoch)


def _subscribed(
    seat: Seat, producer: Producer, answer: Answer | SignalingError, epoch: Epoch | None
) -> Subscription | SignalingError:
    if isinstance(answer, SignalingError):
        who, code = seat.participant_id, answer.code
        detail(seat.room, "consumer_failed", user_id=who, producer_id=producer.id, error=code)
        return answer
    assert isinstance(answer, Consumed)
    if producer.id not in (seat.room.state.producers_at(epoch) or ()):
        return NotFound("the producer has just been closed")
    seat.consumers[producer.id] = answer.consumer_id
    return Subscription(answer, producer)
