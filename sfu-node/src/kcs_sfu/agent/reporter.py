"""What a node tells placement about its rooms, beside the lease: on a task of its own.

Media never waits for Redis: reports go into a bounded queue and are dropped when it is full.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog
from redis.exceptions import RedisError

from kcs_contracts.events import ActiveSpeaker, AudioLevels
from kcs_contracts.ids import Epoch, Generation, MeetingId, NodeName, ParticipantId, ProducerId
from kcs_contracts.placement import Placement, PlacementError

_log = structlog.get_logger(__name__)
_QUEUE = 10_000
_LEVELS_QUEUE = 100
"""Levels are told only while the queue is short: late, they are of no use to anybody."""
_CALL_S = 2.0
_RESET_S = 1.0


class Reporter:
    """Tells placement; `run` does the work."""

    def __init__(self, placement: Placement, node: NodeName):
        self._placement, self._node = placement, node
        self._queue: asyncio.Queue[Callable[[], Awaitable[object]]] = asyncio.Queue(_QUEUE)

    def speaker(
        self, meeting_id: MeetingId, epoch: Epoch, participant_id: ParticipantId | None
    ) -> None:
        """Somebody else speaks now, or nobody: in a room that is the meeting's home."""
        event = ActiveSpeaker(participant_id=participant_id)
        self._put(partial(self._placement.publish, meeting_id, event, epoch=epoch))

    def levels(
        self, meeting_id: MeetingId, epoch: Epoch, levels: Mapping[ParticipantId, int]
    ) -> None:
        """How loud the loudest are, in dBov; nobody is: empty. As `speaker`."""
        if self._queue.qsize() < _LEVELS_QUEUE:
            event = AudioLevels(levels=dict(levels))
            self._put(partial(self._placement.publish, meeting_id, event, epoch=epoch))

    def producer_closed(
        self, meeting_id: MeetingId, participant_id: ParticipantId, producer_id: ProducerId
    ) -> None:
        """A producer closed with its transport, asked for by nobody."""
        self._put(
            partial(
                self._placement.close_producer,
                meeting_id,
                producer_id,
                participant_id,
                "transport_closed",
            )
        )

    async def media_reset(
        self, meeting_id: MeetingId, epoch: Epoch, generation: Generation
    ) -> None:
        """Tells the room's new generation; when that fails, the next renewal of the lease does."""
        try:
            async with asyncio.timeout(_RESET_S):
                await self._placement.reset_media(meeting_id, self._node, epoch, generation)
        except (PlacementError, RedisError, OSError, TimeoutError) as error:
            _log.warning("media_reset_not_told", meeting_id=meeting_id, error=str(error))

    async def run(self) -> None:
        """Sends reports, one after the other, until cancelled."""
        while True:
            report = await self._queue.get()
            try:
                async with asyncio.timeout(_CALL_S):
                    await report()
            except (PlacementError, RedisError, OSError, TimeoutError) as error:
                _log.warning("report_lost", error=str(error))

    def _put(self, report: Callable[[], Awaitable[object]]) -> None:
        try:
            self._queue.put_nowait(report)
        except asyncio.QueueFull:
            _log.warning("report_dropped", queued=_QUEUE)
