"""Meeting: what is declared is registered, has room in time, tells how it goes, and is ended.

Three things run here: workers take Meetings that changed, one at a time each; a sweep looks where
all of them are (`meeting_sweep`); a review compares with signaling. There is no finalizer: the end
of a Meeting that was deleted while nobody watched is made up for by the review.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions.meeting_index import Entry, Index, scheduled_participants
from kcs_operator.errors import NotFound
from kcs_operator.handlers.meeting_steps import AHEAD_S, MeetingSteps
from kcs_operator.handlers.meeting_sweep import Sweep
from kcs_operator.handlers.watching import Cache
from kcs_operator.loop import Loop, log_failure, result_of, told
from kcs_operator.metrics import MEETINGS
from kcs_operator.settings import Settings
from kcs_operator.signaling import Signaling, SignalingAway
from kcs_operator.tracing import Trigger

_log = structlog.get_logger(__name__)

REVIEW_S = 300.0
"""How often signaling's list is compared."""
_WORKERS = 8
_LONGEST_PAUSE_S = 60.0


class Meetings:
    """All Meetings of the namespace. `run` it while leading, when the cache is filled."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        signaling: Signaling,
        cache: Cache,
        settings: Settings,
        start_seconds: Callable[[str], float] = lambda pool: 60.0,
    ):
        self._cluster, self._cache = cluster, cache
        self.index = Index()
        self._steps = MeetingSteps(cluster, placement, signaling, cache, self.index, settings)
        group = settings.operator
        self._sweep = Sweep(
            cluster,
            placement,
            signaling,
            self._steps,
            self.index,
            self._alone,
            group.status_seconds,
            start_seconds,
        )
        self._least_s = group.status_seconds
        self._sweep_s = max(group.tick_seconds, min(group.status_seconds, 5.0))
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: dict[str, Trigger] = {}
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._to_end: dict[MeetingId, float] = {}

    def touch(self, kind: str, name: str) -> None:
        """A listener of the cache: that object changed."""
        if kind == "meetings":
            self._put(name, "change")

    def scheduled(self, pool: str, horizon_s: float, most: int) -> int:
        """People in meetings of the pool, so many of each at most, that start within the horizon or
        a little later, and that no node has room for yet: for `Pools(scheduled=...)`."""
        horizon_s += AHEAD_S
        pools = self._steps.pools()
        return scheduled_participants(self.index, pool, pools, time.time(), horizon_s, most)

    async def run(self) -> None:
        """Until it is cancelled."""
        for body in self._cache.meetings.values():
            self.index.put(body)
            self._put(body["metadata"]["name"], "start")
        self._cache.listen(self.touch)
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())
            sweeps = Loop("MeetingSweep", "", _of_all(self.sweep), self._sweep_s)
            reviews = Loop("MeetingReview", "", _of_all(self.review), REVIEW_S)
            group.create_task(sweeps.run())
            group.create_task(reviews.run())

    async def sweep(self) -> None:
        """See `meeting_sweep.Sweep.sweep`; and ends what could not be ended before."""
        now = time.time()
        for meeting_id in [each for each, at in self._to_end.items() if at <= now]:
            await self._end(meeting_id)
        await self._sweep.sweep()
        for phase, count in self.index.phases.items():
            MEETINGS.labels(phase=phase or "None").set(count)

    async def review(self) -> None:
        """See `meeting_sweep.Sweep.review`; and takes up again what is not settled."""
        await self._sweep.review()
        now = time.time()
        for entry in self.index:
            if entry.condition("Registered").get("status") == "False":
                entry.again = True  # what was refused may be taken by another version of signaling
            if not entry.is_settled(now):
                self._put(entry.name, "review")

    async def reconcile(self, name: str) -> None:
        """Brings one Meeting to what is declared, or to its end.

        Raises:
            OperatorError: a step failed; it is to be tried again.
        """
        body = self._cache.meetings.get(name)
        before = self.index.get(name)
        if before is not None and body is None and not self._cache.saw_deleted(before.uid):
            body = await self._asked(name)
        if before is not None and (body is None or body["metadata"]["uid"] != before.uid):
            self.index.remove(name)
            await self._end(before.id)
        if body is None:
            return
        entry = self.index.put(body)
        if "deletionTimestamp" in body["metadata"]:
            await self._end(entry.id)
        elif entry.is_settled(time.time()):
            return
        elif (wait_s := self._least_s - (time.monotonic() - entry.written_at)) > 0:
            self._later(name, wait_s, "change")
        else:
            await self._steps.register(entry, self._sweep.ahead_s(entry))

    async def _asked(self, name: str) -> Object | None:
        """A list did not have it, no watch told of its end. An end is for good: it is asked for."""
        try:
            body = await self._cluster.get("meetings", name)
        except NotFound:
            return None
        self._cache.put("meetings", name, body)
        return body

    async def _end(self, meeting_id: MeetingId) -> None:
        """Ends it, now or later."""
        try:
            await self._steps.end(meeting_id)
        except SignalingAway as error:
            self._to_end[meeting_id] = time.time() + 10.0
            _log.warning("meeting_not_ended", meeting_id=meeting_id, error=str(error))
        else:
            self._to_end.pop(meeting_id, None)

    async def _alone(self, name: str, work: Callable[[Entry], Awaitable[None]]) -> None:
        entry = self.index.get(name)
        if entry is None or name in self._busy:
            return
        self._busy.add(name)
        try:
            await work(entry)
        finally:
            self._busy.discard(name)

    def _put(self, name: str, trigger: Trigger) -> None:
        if name not in self._queued:
            self._queued[name] = trigger
            self._queue.put_nowait(name)

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            trigger = self._queued.pop(name)
            if name in self._busy:
                self._later(name, 0.2, trigger)
                continue
            self._busy.add(name)
            try:
                await self._once(name, trigger)
            finally:
                self._busy.discard(name)

    async def _once(self, name: str, trigger: Trigger) -> None:
        try:
            with told("Meeting", name, trigger):
                await self.reconcile(name)
        except Exception as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            if failures == 1 or result_of(error) == "bug":
                log_failure("Meeting", error)
            self._later(name, min(_LONGEST_PAUSE_S, 2.0 ** min(failures, 10) / 2), "retry")
        else:
            self._failures.pop(name, None)

    def _later(self, name: str, pause_s: float, trigger: Trigger) -> None:
        asyncio.get_running_loop().call_later(pause_s, self._put, name, trigger)


def _of_all(work: Callable[[], Awaitable[None]]) -> Callable[[str], Awaitable[Any]]:
    async def reconcile(_: str) -> None:
        await work()

    return reconcile
