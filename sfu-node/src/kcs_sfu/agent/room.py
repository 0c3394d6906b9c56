"""One meeting's media on this node: a router, more when it is large, and who sends and receives.

A room outlives its workers: when one of them dies, `rebuild` makes a new media plane of the next
generation, in which every participant negotiates again; who is muted stays so. `Node` owns rooms;
a room owns its routers, participants and the task that builds them.
"""

import asyncio
import time
from collections.abc import Coroutine

import structlog

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, ProducerId
from kcs_contracts.rooms import MediaKind, Source
from kcs_sfu.agent.detail import Detail
from kcs_sfu.agent.errors import OperationFailed
from kcs_sfu.agent.participant import Participant
from kcs_sfu.agent.priorities import Sender
from kcs_sfu.agent.quality import Quality
from kcs_sfu.agent.reporter import Reporter
from kcs_sfu.agent.router_span import RouterSpan
from kcs_sfu.agent.settings import NodeSettings
from kcs_sfu.agent.speakers import SpeakerWatch
from kcs_sfu.agent.workers import WorkerPool
from kcs_sfu.mediasoup.errors import MediasoupError

_log = structlog.get_logger(__name__)
_USABLE_S = 2.0
"""How long an operation waits for a room that is being built."""
_RETRY_S = 0.05
_MUTABLE: dict[MediaKind, Source] = {"audio": Source.MIC, "video": Source.CAMERA}


class Room:
    """The room of a meeting in one epoch."""

    def __init__(
        self,
        meeting_id: MeetingId,
        epoch: Epoch,
        generation: Generation,
        pool: WorkerPool,
        reporter: Reporter,
        settings: NodeSettings,
        quality: Quality,
        detail: Detail,
    ):
        self.meeting_id, self.epoch, self.generation = meeting_id, epoch, generation
        self.settings, self.quality, self.detail = settings, quality, detail
        self.participants: dict[ParticipantId, Participant] = {}
        self.senders: dict[str, Sender] = {}
        """Producers of the room, and who sends them."""
        self.speaker: ParticipantId | None = None
        """Who spoke last: stays when nobody speaks."""
        self.empty_since: float | None = time.monotonic()
        self.moved_at: float | None = None
        """Since when the meeting lives elsewhere: see `Node.tend`."""
        self._pool, self._reporter = pool, reporter
        self._muted: set[tuple[ParticipantId, Source]] = set()
        self._spans: list[RouterSpan] = []
        self.speakers = self._new_speakers()
        self._usable, self._closed = asyncio.Event(), False
        self._tasks: set[asyncio.Task[None]] = set()
        self._start(self._build(tell=False))

    # --- the media plane ---------------------------------------------------------------------

    @property
    def home(self) -> RouterSpan:
        """The router that everybody sends to."""
        if not self._spans:
            raise _rebuilding()
        return self._spans[0]

    @property
    def broken(self) -> bool:
        """One of its workers died, and it is not being rebuilt yet."""
        return any(span.router.closed for span in self._spans)

    async def usable(self) -> None:
        """Returns when the room has its routers.

        Raises:
            OperationFailed: UNAVAILABLE, there is no worker to build it on yet.
        """
        if self.broken:
            self._usable.clear()  # the pool is about to say so
        if not self._usable.is_set():
            try:
                await asyncio.wait_for(self._usable.wait(), _USABLE_S)
            except TimeoutError:
                raise _rebuilding() from None

    def rebuild(self) -> None:
        """Starts the next generation on a live worker; all media of the old one is gone."""
        self._close_media()
        self._usable.clear()
        self.generation = Generation(self.generation + 1)
        self._start(self._build(tell=True))

    async def span_to_receive(self) -> RouterSpan:
        """The router for a new receiver: the home, or another worker's when the home is full."""
        expected, limit = max(1, len(self.senders)), self.settings.consumers_per_worker
        for span in self._spans:
            if span.slot.consumers + expected <= limit:
                return span
        slot, used = self._pool.least_loaded(), [span.slot for span in self._spans]
        if slot is None or slot in used or slot.consumers + expected > limit:
            return min(self._spans, key=lambda span: span.slot.consumers)
        generation = self.generation
        span = await RouterSpan.open(slot)
        if generation != self.generation or self._closed:
            span.close()
            raise _rebuilding()
        self._spans.append(span)
        return span

    # --- participants ------------------------------------------------------------------------

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

    async def set_muted(self, participant_id: ParticipantId, kind: MediaKind, muted: bool) -> None:
        """Mutes a participant's microphone or camera, also one to come, or lifts that."""
        source = _MUTABLE[kind]
        if not muted:
            self._muted.discard((participant_id, source))
            return
        self._muted.add((participant_id, source))
        participant = self.participants.get(participant_id)
        if participant is not None:
            await participant.mute(source)

    def is_muted(self, participant_id: ParticipantId, source: Source) -> bool:
        """Whether what it sends from there must be paused."""
        return (participant_id, source) in self._muted

    def dismiss(self, participant_id: ParticipantId) -> None:
        """The participant left the meeting: its media closes, and it is not muted any more."""
        for source in _MUTABLE.values():
            self._muted.discard((participant_id, source))
        participant = self.participants.get(participant_id)
        if participant is not None:
            participant.close()

    def producer_gone(
        self, participant_id: ParticipantId, producer_id: ProducerId, report: bool
    ) -> None:
        """A producer closed; reported to placement when nobody asked for it."""
        self.senders.pop(producer_id, None)
        if report and not self.home.router.worker.closed:
            self._reporter.producer_closed(self.meeting_id, participant_id, producer_id)

    def close_idle_transports(self, idle_s: float) -> None:
        """Closes transports whose browser has been gone for so long."""
        for participant in list(self.participants.values()):
            participant.close_idle_transports(idle_s)

    def close(self) -> None:
        """Closes all; nothing is reported: whoever closes a room knows."""
        self._closed = True
        self._close_media()

    # --- who speaks --------------------------------------------------------------------------

    def _new_speakers(self) -> SpeakerWatch:
        return SpeakerWatch(
            self._sender_of,
            self._speaker_changed,
            lambda levels: self._reporter.levels(self.meeting_id, self.epoch, levels),
        )

    def _sender_of(self, producer_id: str) -> ParticipantId | None:
        sender = self.senders.get(producer_id)
        return sender and sender.participant_id

    def _speaker_changed(self, who: ParticipantId | None) -> None:
        if who is not None:
            cameras = [Sender(each, Source.CAMERA) for each in (self.speaker, who) if each]
            self.speaker = who
            for producer_id in [id_ for id_, sender in self.senders.items() if sender in cameras]:
                for participant in self.participants.values():
                    participant.prioritize(producer_id)
        self._reporter.speaker(self.meeting_id, self.epoch, who)

    # --- building ----------------------------------------------------------------------------

    async def _build(self, *, tell: bool) -> None:
        self._spans.append(await self._open_home())
        if tell:
            # Before anybody can produce: placement forgets the producers of older generations.
            await self._reporter.media_reset(self.meeting_id, self.epoch, self.generation)
        self._usable.set()

    async def _open_home(self) -> RouterSpan:
        while True:
            slot = await self._pool.pick()
            span = None
            try:
                span = await RouterSpan.open(slot)
                self.speakers = self._new_speakers()
                await self.speakers.open(span.router)
            except BaseException as error:
                if span is not None:
                    span.close()
                if not isinstance(error, MediasoupError):
                    raise
                _log.warning("room_build_failed", meeting_id=self.meeting_id, error=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                return span

    def _close_media(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.speakers.close()
        for participant in list(self.participants.values()):
            participant.close()
        for span in self._spans:
            span.close()
        self._spans.clear()
        self.senders.clear()

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("room_task_failed", meeting_id=self.meeting_id, exc_info=error)


def _rebuilding() -> OperationFailed:
    return OperationFailed("UNAVAILABLE", "the room's media worker is being restarted")
