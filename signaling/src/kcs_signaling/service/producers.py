"""What people send: producers, opened at the node, told by placement.

A producer lives in two places: at the node, and in placement, which tells the others. It is
opened at the node first; where placement then refuses it (the media was reset meanwhile, or a host
took the role away that may send it), it is closed again, so that nobody sends what nobody knows.
"""

from typing import Literal

import structlog

from kcs_contracts.ids import Epoch, ParticipantId, ProducerId
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import (
    CloseProducer,
    PauseProducer,
    Produce,
    Produced,
    ResumeProducer,
    SetMuted,
)
from kcs_contracts.placement import Placement
from kcs_contracts.protocol.roles import senders
from kcs_contracts.rooms import MediaKind, Producer, Source
from kcs_signaling.errors import AccessDenied, InvalidRequest, NotFound, SignalingError
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.rooms.permissions import may_unmute_self
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()
SOURCES: dict[MediaKind, Source] = {"audio": Source.MIC, "video": Source.CAMERA}
"""What people send of each kind, but for screens."""


class RoomProducers:
    """Those of a peer that is in a meeting."""

    def __init__(self, placement: Placement, nodes: RoomNodes):
        self._placement, self._nodes = placement, nodes

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
            AccessDenied: the peer's role does not allow it any more.
        """
        seat = peer.seated()
        who = seat.participant_id
        if source is Source.SCREEN_AUDIO and not (seat.starts_screen or seat.now.screen_sharing):
            raise InvalidRequest("screen_audio goes with a shared screen")  # no way around a mute
        muted = await self._muted(seat, source) if not paused else _is_muted(seat, source)
        op = Produce(
            participant_id=who,
            transport_id=transport_id,
            source=source,
            rtp_parameters=rtp_parameters,
            paused=paused or muted,
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
                    seat.room.id,
                    producer,
                    epoch=done.epoch,
                    generation=done.generation,
                    roles=senders(source),
                )
        except SignalingError:
            await self._close_at_node(seat, producer.id, epoch)
            raise
        _log_stream(
            "producer_opened", seat, who, producer.id, source=source, paused=producer.paused
        )
        if older is not None:
            _log_stream("producer_closed", seat, who, older, source=source, reason="replaced")
            await self._close_at_node(seat, older, epoch)
        return producer

    async def close(self, peer: Peer, producer_id: str, *, epoch: Epoch | None = None) -> None:
        """Ends one of the peer's own streams."""
        seat = peer.seated()
        who, which = seat.participant_id, ProducerId(producer_id)
        known = seat.room.state.producers.get(which)
        if known is not None and known.participant_id != who:
            raise NotFound("you have no such producer")
        op = CloseProducer(participant_id=who, producer_id=which)
        await self._nodes.ask(seat.room, op, epoch=epoch)
        await self.closed(seat, which, who, "closed")

    async def closed(
        self,
        seat: Seat,
        producer_id: ProducerId,
        who: ParticipantId,
        reason: Literal["closed", "transport_closed"],
    ) -> None:
        """Tells everybody of a stream that is closed at the node; `who` sent it."""
        known = seat.room.state.producers.get(producer_id)
        async with redis_calls():
            closed = await self._placement.close_producer(seat.room.id, producer_id, who, reason)
        if closed:
            source = known.source if known is not None else None
            _log_stream("producer_closed", seat, who, producer_id, source=source, reason=reason)

    async def toggle(self, peer: Peer, kind: MediaKind, enabled: bool) -> None:
        """Switches the microphone or the camera, and whatever producer it has.

        Raises:
            AccessDenied: a host muted the participant, who may not unmute themselves.
        """
        seat = peer.seated()
        who, source = seat.participant_id, SOURCES[kind]
        if enabled and await self._muted(seat, source):
            raise AccessDenied("a host muted you; ask them to let you unmute yourself")
        for epoch, producer in seat.room.state.streams_of(who):
            if producer.source is source and producer.paused == enabled:
                op = ResumeProducer if enabled else PauseProducer
                which = op(participant_id=who, producer_id=producer.id)
                await self._nodes.ask(seat.room, which, epoch=epoch)
                async with redis_calls():
                    await self._placement.pause_producer(
                        seat.room.id, producer.id, who, not enabled
                    )
        async with redis_calls():
            await self._placement.toggle_media(seat.room.id, who, peer.session, kind, enabled)

    async def _close_at_node(
        self, seat: Seat, producer_id: ProducerId, epoch: Epoch | None
    ) -> None:
        """At the node alone, as well as that can be done."""
        op = CloseProducer(participant_id=seat.participant_id, producer_id=producer_id)
        try:
            await self._nodes.ask(seat.room, op, epoch=epoch)
        except SignalingError as error:
            _log.info("node_not_told", meeting_id=seat.room.id, error=error.code)

    async def _muted(self, seat: Seat, source: Source) -> bool:
        """Whether a host's mute holds against a participant who wants to send; if they may unmute
        themselves, that ends it."""
        if not _is_muted(seat, source):
            return False
        if not may_unmute_self(seat.role, seat.room.state.live.settings):
            return True
        who, kind = seat.participant_id, source.kind
        op = SetMuted(participant_id=who, kind=kind, muted=False)
        await self._nodes.ask_all(seat.room, op)
        async with redis_calls():
            await self._placement.mute(seat.room.id, who, kind, False)
        return False


def _log_stream(
    event: str, seat: Seat, who: ParticipantId, producer_id: ProducerId, **more: object
) -> None:
    _log.info(event, meeting_id=seat.room.id, user_id=who, producer_id=producer_id, **more)


def _is_muted(seat: Seat, source: Source) -> bool:
    now = seat.now
    if source is Source.MIC:
        return now.audio_muted
    return source is Source.CAMERA and now.video_muted
