"""One meeting's media on this node: a router, more when it is large, and who sends and receives.

A room outlives its workers: when one of them dies, `rebuild` makes a new media plane of the next
generation, in which every participant negotiates again. `Node` owns rooms; a room owns its
routers, participants and the task that builds them.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, ProducerId
from kcs_sfu.agent.errors import OperationFailed
from kcs_sfu.agent.participant import Participant
from kcs_sfu.agent.reporter import Reporter
from kcs_sfu.agent.router_span import RouterSpan
from kcs_sfu.agent.speakers import SpeakerWatch
from kcs_sfu.agent.workers import WorkerPool
from kcs_sfu.mediasoup.errors import MediasoupError

_log = structlog.get_logger(__name__)
_USABLE_S = 2.0
"""How long an operation waits for a room that is being built."""
_TOLD_S = 1.0
"""How long a rebuilt room waits until placement knows; then it serves, and goes on telling."""
_RETRY_S = 0.05


class Room:
    """The room of a meeting in one epoch."""

    def __init__(
        self,
        meeting_id: MeetingId,
        epoch: Epoch,
        pool: WorkerPool,
        reporter: Reporter,
        consumers_per_worker: int,
    ):
        self.meeting_id, self.epoch, self.generation = meeting_id, epoch, Generation(0)
        self.participants: dict[ParticipantId, Participant] = {}
        self.senders: dict[str, ParticipantId] = {}
        """Producers of the room, and who sends them."""
        self.empty_since: float | None = time.monotonic()
        self._pool, self._reporter, self._limit = pool, reporter, consumers_per_worker
        self._spans: list[RouterSpan] = []
        self.speakers = self._new_speakers()
        self._tasks: list[asyncio.Task[None]] = []
        self._built = self._start(self._build)

    # --- the media plane ---------------------------------------------------------------------

    @property
    def home(self) -> RouterSpan:
        """The router that everybody sends to."""
        return self._spans[0]

    @property
    def broken(self) -> bool:
        """One of its workers died and the rebuilding has not begun."""
        return any(span.router.closed for span in self._spans)

    async def usable(self) -> None:
        """Returns when the room has its routers.

        Raises:
            OperationFailed: UNAVAILABLE, there is no worker to build it on yet.
        """
        if self._built.done() and not self._built.cancelled() and not self.broken:
            return
        with suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait({self._built}, timeout=_USABLE_S)
        if not self._built.done() or self._built.cancelled() or self.broken:
            raise OperationFailed("UNAVAILABLE", "the room's media worker is being restarted")

    def rebuild(self) -> None:
        """Starts the next generation on a live worker; all media of the old one is gone."""
        self._close_media()
        self.generation = Generation(self.generation + 1)
        self.speakers = self._new_speakers()
        self._built = self._start(self._build)

    async def span_to_receive(self) -> RouterSpan:
        """The router for a new receiver: the home, or another worker's when the home is full."""
        expected = max(1, len(self.senders))
        for span in self._spans:
            if span.slot.consumers + expected <= self._limit:
                return span
        slot, used = self._pool.least_loaded(), [span.slot for span in self._spans]
        if slot is None or slot in used or slot.consumers + expected > self._limit:
            return min(self._spans, key=lambda span: span.slot.consumers)
        span = await RouterSpan.open(slot)
        self._spans.append(span)
        return span

    # --- participants ------------------------------------------------------------------------

    def participant(self, participant_id: ParticipantId) -> Participant | None:
        """The participant, when it has anything here."""
        return self.participants.get(participant_id)

    def admit(self, participant_id: ParticipantId) -> Participant:
        """The participant, new if it was not here."""
        participant = self.participants.get(participant_id)
        if participant is None:
            participant = self.participants[participant_id] = Participant(participant_id, self)
            self.empty_since = None
        return participant

    def forget(self, participant: Participant) -> None:
        """The participant has closed."""
        if self.participants.get(participant.id) is participant:
            del self.participants[participant.id]
        if not self.participants:
            self.empty_since = time.monotonic()

    def producer_gone(
        self, participant_id: ParticipantId, producer_id: ProducerId, report: bool
    ) -> None:
        """A producer closed; reported to placement when nobody asked for it."""
        self.senders.pop(producer_id, None)
        if report and not self.home.router.closed:
            self._reporter.producer_closed(self.meeting_id, participant_id, producer_id)

    def close(self) -> None:
        """Closes all; nothing is reported: whoever closes a room knows."""
        self._close_media()

    # --- building ----------------------------------------------------------------------------

    async def _build(self) -> None:
        while not await self._built_home():
            await asyncio.sleep(_RETRY_S)
        if self.generation > 0:
            telling = self._start(self._tell_reset)
            await asyncio.wait({telling}, timeout=_TOLD_S)

    async def _built_home(self) -> bool:
        slot = await self._pool.pick()
        try:
            span = await RouterSpan.open(slot)
        except MediasoupError as error:
            _log.warning("room_build_failed", meeting=self.meeting_id, error=str(error))
            return False
        try:
            await self.speakers.open(span.router)
        except MediasoupError as error:
            span.close()
            _log.warning("room_build_failed", meeting=self.meeting_id, error=str(error))
            return False
        except BaseException:
            span.close()
            raise
        self._spans.append(span)
        return True

    async def _tell_reset(self) -> None:
        await self._reporter.media_reset(self.meeting_id, self.epoch, self.generation)

    def _close_media(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self.speakers.close()
        for participant in list(self.participants.values()):
            participant.close()
        for span in self._spans:
            span.close()
        self._spans.clear()
        self.senders.clear()

    def _start(self, run: "Callable[[], object]") -> asyncio.Task[None]:
        raise NotImplementedError
