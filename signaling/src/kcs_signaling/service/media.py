"""Media in a room: transports, producers and consumers, made at the node, told by placement.

A producer lives in two places: at the node, and in placement, which tells the others. It is
opened at the node first; where placement then refuses it (the media was reset meanwhile), it is
closed again, so that nobody sends what nobody knows.

While a meeting is moving, a command may name the epoch of the home that it is meant for; without
one, the present home is meant.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

import structlog

from kcs_contracts.ids import Epoch, ParticipantId, ProducerId
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.node_api import (
    Answer,
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
    SetMuted,
    SetPreferredLayers,
    TransportCreated,
)
from kcs_contracts.placement import Placement
from kcs_contracts.protocol.media import Layer
from kcs_contracts.rooms import MediaKind, Producer, Source
from kcs_signaling.errors import AccessDenied, InvalidRequest, NotFound, SignalingError
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.rooms.permissions import authorise_over, is_host
from kcs_signaling.rooms.state import Producers
from kcs_signaling.service.detail import detail
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()
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

    async def create_transports(
        self, peer: Peer, directions: Sequence[Direction], *, epoch: Epoch | None = None
    ) -> list[TransportCreated]:
        """New transports; an older one of the same direction goes, with all that it carried."""
        seat = peer.seated()
        if not directions:
            return []
        who, known = seat.participant_id, _producers_at(seat, epoch)
        older = [each for each in known.values() if each.participant_id == who]
        done = await self._nodes.ask(
            seat.room,
            OpenRoom(),  # it may have been closed when it was empty, or have moved
            *(CreateTransport(participant_id=who, direction=d) for d in directions),
            epoch=epoch,
        )
        opened, *created = done.answers
        assert isinstance(opened, RoomOpened)
        seat.room.rtp_capabilities = opened.rtp_capabilities
        if "recv" in directions:
            seat.keep_consumers(seat.consumers.keys() - known.keys())
        for producer in older if "send" in directions else ():
            await self._close_known(seat, producer.id, "transport_closed")
        return [each for each in created if isinstance(each, TransportCreated)]

    async def connect_transport(
        self,
        peer: Peer,
        transport_id: str,
        dtls_parameters: JsonObject,
        *,
        epoch: Epoch | None = None,
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
            epoch,
        )

    async def restart_ice(
        self, peer: Peer, transport_id: str, *, epoch: Epoch | None = None
    ) -> JsonObject:
        """New ICE parameters for a transport that lost its way."""
        seat = peer.seated()
        restarted = await self._ask(
            seat,
            RestartIce(participant_id=seat.participant_id, transport_id=transport_id),
            IceRestarted,
            epoch,
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
        epoch: Epoch | None = None,
    ) -> Producer:
        """Opens a producer on the named transport, else on the send transport.

        A producer of the same source that the participant had is closed. Whoever was muted by a
        host and may not unmute themselves sends it paused; whoever may, is unmuted by it.

        Raises:
            ScreenShareTaken: it is a screen, and as many are shared as may be.
        """
        seat = peer.seated()
        who = seat.participant_id
        if source is Source.SCREEN_AUDIO and not (seat.starts_screen or seat.now.screen_sharing):
            raise InvalidRequest("screen_audio goes with a shared screen")  # no way around a mute
        muted = await self._muted(seat, source) if not paused else _is_muted(seat, source)
        paused = paused or muted
        op = Produce(
            participant_id=who,
            transport_id=transport_id,
            source=source,
            rtp_parameters=rtp_parameters,
            paused=paused,
        )
        again = [SetMuted(participant_id=who, kind=source.kind, muted=True)] if muted else []
        # again: a node that is new to them
        done = await self._nodes.ask(seat.room, *again, op, epoch=epoch)
        produced = done.answers[-1]
        assert isinstance(produced, Produced)
        producer = Producer(
            id=produced.producer_id, participant_id=who, source=source, paused=produced.paused
        )
        try:
            async with redis_calls():
                older = await self._placement.open_producer(
                    seat.room.id, producer, epoch=done.epoch, generation=done.generation
                )
        except SignalingError:
            await self._close_at(seat, producer.id, epoch)
            raise
        _log_stream(
            "producer_opened", seat, who, producer.id, source=source, paused=producer.paused
        )
        if older is not None:
            _log_stream("producer_closed", seat, who, older, source=source, reason="replaced")
            await self._close_at(seat, older, epoch)
        return producer

    async def _close_at(self, seat: Seat, producer_id: ProducerId, epoch: Epoch | None) -> None:
        """At the node alone, as well as that can be done."""
        op = CloseProducer(participant_id=seat.participant_id, producer_id=producer_id)
        try:
            await self._do(seat, op, epoch)
        except SignalingError as error:
            _log.info("node_not_told", meeting_id=seat.room.id, error=error.code)

    async def close_producer(
        self, peer: Peer, producer_id: str, *, epoch: Epoch | None = None
    ) -> None:
        """Ends one of the peer's own streams."""
        seat = peer.seated()
        who = seat.participant_id
        self._own(seat, producer_id)
        await self._do(seat, CloseProducer(participant_id=who, producer_id=producer_id), epoch)
        await self._close_known(seat, ProducerId(producer_id), "closed")

    async def toggle(self, peer: Peer, kind: MediaKind, enabled: bool) -> None:
        """Switches the microphone or the camera, and whatever producer it has.

        Raises:
            AccessDenied: a host muted the participant, who may not unmute themselves.
        """
        seat = peer.seated()
        who, source = seat.participant_id, _SWITCHED[kind]
        if enabled and await self._muted(seat, source):
            raise AccessDenied("a host muted you; ask them to let you unmute yourself")
        for epoch, producer in seat.room.state.streams_of(who):
            if producer.source is source and producer.paused == enabled:
                op = ResumeProducer if enabled else PauseProducer
                await self._do(seat, op(participant_id=who, producer_id=producer.id), epoch)
                async with redis_calls():
                    await self._placement.pause_producer(
                        seat.room.id, producer.id, who, not enabled
                    )
        async with redis_calls():
            await self._placement.toggle_media(seat.room.id, who, peer.session, kind, enabled)

    async def _muted(self, seat: Seat, source: Source) -> bool:
        """Whether a host's mute holds against a participant who wants to send; if they may unmute
        themselves, that ends it."""
        if not _is_muted(seat, source):
            return False
        if not (seat.room.state.live.settings.allow_unmute_self or is_host(seat.role)):
            return True
        who, kind = seat.participant_id, source.kind
        op = SetMuted(participant_id=who, kind=kind, muted=False)
        await self._nodes.ask_all(seat.room, op)
        async with redis_calls():
            await self._placement.mute(seat.room.id, who, kind, False)
        return False

    # --- screens ------------------------------------------------------------------------------

    async def start_screen(self, peer: Peer) -> None:
        """Takes one of the places for shared screens, and tells all.

        Raises:
            ScreenShareTaken: there is none.
        """
        seat = peer.seated()
        async with redis_calls():
            await self._placement.start_screen(seat.room.id, seat.participant_id, peer.session)
        seat.starts_screen = True

    async def stop_screen(self, peer: Peer, target: ParticipantId | None) -> None:
        """Closes the streams of a screen: the peer's, or, for a host, somebody else's.

        Raises:
            NotFound: they are not in the meeting.
            AccessDenied: they are a host, and the peer is not.
        """
        seat = peer.seated()
        who = target or seat.participant_id
        known = seat.room.state.participants.get(who)
        if known is None:
            raise NotFound("they are not in the meeting")
        if who != seat.participant_id:
            authorise_over(seat.role, known.role)
        seat.starts_screen = seat.starts_screen and who != seat.participant_id
        for epoch, producer in seat.room.state.streams_of(who):
            if producer.source in (Source.SCREEN, Source.SCREEN_AUDIO):
                op = CloseProducer(participant_id=who, producer_id=producer.id)
                with suppress(NotFound):
                    await self._do(seat, op, epoch)
                await self._close_known(seat, producer.id, "closed", who)
        async with redis_calls():
            await self._placement.stop_screen(seat.room.id, who)

    # --- consumers ----------------------------------------------------------------------------

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
        there = _producers_at(seat, epoch)
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
            else self._subscribed(seat, producer, next(answers), epoch)
            for producer in known
        ]
        if any(isinstance(outcome, Subscription) for outcome in outcomes):
            seat.rtp_capabilities = capabilities
        return outcomes

    @staticmethod
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

    async def resume_consumer(
        self, peer: Peer, consumer_id: str, *, epoch: Epoch | None = None
    ) -> None:
        """Lets a consumer's media flow."""
        seat = peer.seated()
        who = seat.participant_id
        await self._do(seat, ResumeConsumer(participant_id=who, consumer_id=consumer_id), epoch)

    async def resume_consumers(
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

    async def pause_consumer(
        self, peer: Peer, consumer_id: str, *, epoch: Epoch | None = None
    ) -> None:
        """Holds a consumer's media back."""
        seat = peer.seated()
        who = seat.participant_id
        await self._do(seat, PauseConsumer(participant_id=who, consumer_id=consumer_id), epoch)

    async def close_consumer(
        self, peer: Peer, consumer_id: str, *, epoch: Epoch | None = None
    ) -> None:
        """Ends a consumer."""
        seat = peer.seated()
        who = seat.participant_id
        await self._do(seat, CloseConsumer(participant_id=who, consumer_id=consumer_id), epoch)
        seat.forget_consumer(consumer_id)

    async def prefer_layer(
        self, peer: Peer, producer_id: str, layer: Layer, *, epoch: Epoch | None = None
    ) -> None:
        """Chooses the simulcast layer in which the peer gets a stream."""
        seat = peer.seated()
        await self._do(
            seat,
            SetPreferredLayers(
                participant_id=seat.participant_id,
                producer_id=producer_id,
                spatial_layer=_SPATIAL[layer],
            ),
            epoch,
        )

    # --- helpers ------------------------------------------------------------------------------

    async def _ask(self, seat: Seat, op: Operation, kind: type[A], epoch: Epoch | None = None) -> A:
        done = await self._nodes.ask(seat.room, op, epoch=epoch)
        answer = done.answers[0]
        assert isinstance(answer, kind)
        return answer

    async def _do(self, seat: Seat, op: Operation, epoch: Epoch | None = None) -> None:
        await self._nodes.ask(seat.room, op, epoch=epoch)

    async def _close_known(
        self,
        seat: Seat,
        producer_id: ProducerId,
        reason: Literal["closed", "transport_closed"],
        who: ParticipantId | None = None,
    ) -> None:
        """Whose it is, where that is not the seat's: `who`."""
        who, known = who or seat.participant_id, seat.room.state.producers.get(producer_id)
        async with redis_calls():
            closed = await self._placement.close_producer(seat.room.id, producer_id, who, reason)
        if closed:
            source = known.source if known is not None else None
            _log_stream("producer_closed", seat, who, producer_id, source=source, reason=reason)

    @staticmethod
    def _own(seat: Seat, producer_id: str) -> None:
        known = seat.room.state.producers.get(ProducerId(producer_id))
        if known is not None and known.participant_id != seat.participant_id:
            raise NotFound("you have no such producer")


def _producers_at(seat: Seat, epoch: Epoch | None) -> Producers:
    """What is sent to that home.

    Raises:
        NotFound: the meeting has none of that epoch (any more).
    """
    found = seat.room.state.producers_at(epoch)
    if found is None:
        raise NotFound("that media server is not the meeting's (any more); negotiate again")
    return found


def _log_stream(
    event: str, seat: Seat, who: ParticipantId, producer_id: ProducerId, **more: object
) -> None:
    _log.info(event, meeting_id=seat.room.id, user_id=who, producer_id=producer_id, **more)


def _is_muted(seat: Seat, source: Source) -> bool:
    now = seat.now
    if source is Source.MIC:
        return now.audio_muted
    return source is Source.CAMERA and now.video_muted
