"""The journal: what happens in calls on its way to SQL, which no call waits for.

Whoever has something to write calls a plain function, which puts it into a queue. One task takes
batches out of it, one transaction each: sessions in their order, audit entries in theirs, samples
in between. What a slow database does not take in time is written in smaller batches (`BatchSize`).
While it is away all wait, within bounds, and nothing is lost but what does not fit: statistics
first, the oldest first.

A batch whose transaction came to an unknown end is written again. Sessions bear that, but for a
stay that began and ended in one batch; of audit entries there may be two then.

`open_records` runs it and, at the end, lets it write what waits: for ten seconds while the database
takes it, for two while it takes not even one entry; a transaction that has begun has the three that
any has.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.rooms import Role
from kcs_signaling.errors import Unavailable
from kcs_signaling.metrics import JOURNAL_LOST, STAY_SECONDS
from kcs_signaling.records.audit import Act, append
from kcs_signaling.records.database import BatchSize, Database
from kcs_signaling.records.sessions import (
    Arrival,
    Departure,
    close_all_sessions,
    close_sessions,
    open_sessions,
)
from kcs_signaling.records.stats import StatsSample, add_samples

_log = structlog.get_logger()
CAPACITY = 50_000
"""How much may wait: some 25 MB."""
FLUSH_S = 2.0
_FLUSH_AT_MOST_S = 10.0
_GATHER_S = 0.2
"""Between a first entry and its transaction, so that others share it."""
_BACKOFF_S = (0.2, 5.0)


class _End(Contract):
    """A meeting is over."""

    meeting_id: MeetingId
    at: float


_Session = Arrival | Departure | _End
_T = TypeVar("_T")


class Journal:
    """Entries on their way into the records of one replica."""

    def __init__(self, database: Database, capacity: int = CAPACITY):
        self._database, self._capacity = database, capacity
        self._facts: deque[_Session | Act] = deque()
        self._samples: deque[StatsSample] = deque()
        self._news = asyncio.Event()
        self._turn, self._batch = asyncio.Lock(), BatchSize()
        self._lost: Counter[str] = Counter()
        self._write: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Entries that are in no transaction."""
        return len(self._facts) + len(self._samples)

    # --- what calls say -----------------------------------------------------------------------

    def opened(
        self, meeting_id: MeetingId, user_id: UserId, user_name: str, role: Role, at: float
    ) -> None:
        """Somebody came; whoever is there already stays in the same session.

        Args:
            meeting_id: the meeting's, or a breakout room's own: `k7f-x2mq-9tb:1`.
            at: Unix time, in s; so everywhere here.
        """
        self._put(
            Arrival(meeting_id=meeting_id, user_id=user_id, user_name=user_name, role=role, at=at)
        )

    def closed(self, meeting_id: MeetingId, user_id: UserId, at: float) -> None:
        """Somebody left; nothing when they were not there."""
        self._put(Departure(meeting_id=meeting_id, user_id=user_id, at=at))

    def ended(self, meeting_id: MeetingId, at: float) -> None:
        """Everybody left the meeting and its breakout rooms."""
        self._put(_End(meeting_id=meeting_id, at=at))

    def sampled(self, sample: StatsSample) -> None:
        """A client told of its connection."""
        self._make_room()
        self._samples.append(sample)
        self._news.set()

    def audited(
        self,
        action: str,
        actor: UserId,
        subject: UserId | None = None,
        meeting_id: MeetingId | None = None,
        details: JsonObject | None = None,
        at: float | None = None,
    ) -> None:
        """Something was done that belongs into the audit log; `Audit.write` says what `details`
        may hold. Without `at`, now."""
        self._put(
            Act(
                action=action,
                at=time.time() if at is None else at,
                actor=actor,
                subject=subject,
                meeting_id=meeting_id,
                details=details,
            )
        )

    # --- writing it ---------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Writes while the block runs, and what waits after it."""
        task = asyncio.create_task(self.run(), name="kcs-journal")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.flush()

    async def run(self) -> None:
        """Writes what comes until it is cancelled; a transaction that is on its way ends by
        itself, so call `flush` then."""
        pause, upper = _BACKOFF_S
        while True:
            await self._news.wait()
            if self.waiting < self._batch.rows:
                await asyncio.sleep(_GATHER_S)
            self._write = asyncio.create_task(self._write_batch())
            try:
                await asyncio.shield(self._write)
                pause = _BACKOFF_S[0]
            except Unavailable:
                _log.warning("journal_put_off", waiting=self.waiting)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, upper)

    async def flush(self, timeout_s: float = FLUSH_S) -> None:
        """Writes all that waits; what is left when the database has taken nothing for that time,
        not even a single entry, or after 10 s, is lost.

        No transaction is cut off, so it may take the time of one longer.
        """
        write, self._write = self._write, None
        if write is not None:
            await asyncio.gather(write, return_exceptions=True)  # if it failed, they wait again
        loop = asyncio.get_running_loop()
        last = loop.time() + _FLUSH_AT_MOST_S
        until = loop.time() + timeout_s
        while self.waiting and loop.time() < last:
            single = min(self.waiting, self._batch.rows) == 1
            try:
                await self._write_batch()
                until = loop.time() + timeout_s
            except Unavailable:
                if single and loop.time() >= until:
                    break
                self._batch.rows = 1  # there is no time to find out how many are too many
                await asyncio.sleep(_BACKOFF_S[0])
        while self.waiting:
            self._lose_oldest()
        self._tell_lost()

    async def _write_batch(self) -> None:
        """Writes the oldest entries; they wait again when it fails.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._turn:
            facts = _take(self._facts, self._batch.rows)
            samples = _take(self._samples, self._batch.rows)
            try:
                await self._commit(facts, samples)
                self._batch.done()
            except BaseException:
                self._facts.extendleft(reversed(facts))
                self._samples.extendleft(reversed(samples))
                self._batch.failed()
                raise
            finally:
                self._tell_lost()
                if not self.waiting:
                    self._news.clear()

    async def _commit(self, facts: list[_Session | Act], samples: list[StatsSample]) -> None:
        try:
            async with self._database.begin() as connection:
                lasted = await _write(connection, facts, samples)
            for seconds in lasted:
                STAY_SECONDS.observe(seconds)
        except Unavailable:
            raise
        except Exception:
            # whatever cannot be written must not hold up the others
            _log.exception("journal_batch_failed", entries=len(facts) + len(samples))
            await self._commit_each(facts, samples)

    async def _commit_each(self, facts: list[_Session | Act], samples: list[StatsSample]) -> None:
        """One transaction for each; takes what is done, or cannot be done, out of the lists."""
        while facts or samples:
            fact = facts[:1]
            sample = samples[:1] if not facts else []
            try:
                async with self._database.begin() as connection:
                    lasted = await _write(connection, fact, sample)
                for seconds in lasted:
                    STAY_SECONDS.observe(seconds)
            except Unavailable:
                raise
            except Exception:
                self._lost["entries"] += 1
                _log.exception("journal_entry_failed")
            del (facts or samples)[0]

    # --- bounds -------------------------------------------------------------------------------

    def _put(self, fact: _Session | Act) -> None:
        self._make_room()
        self._facts.append(fact)
        self._news.set()

    def _make_room(self) -> None:
        if self.waiting >= self._capacity:
            self._lose_oldest()

    def _lose_oldest(self) -> None:
        if self._samples:
            self._samples.popleft()
            self._lost["samples"] += 1
        else:
            self._facts.popleft()
            self._lost["entries"] += 1

    def _tell_lost(self) -> None:
        if not self._lost:
            return
        _log.error("journal_lost", **self._lost)
        for kind, count in self._lost.items():
            JOURNAL_LOST.labels(kind).inc(count)
        self._lost.clear()


async def _write(
    connection: AsyncConnection,
    facts: Sequence[_Session | Act],
    samples: Sequence[StatsSample],
) -> list[float]:
    """Audit entries last: the first one takes the log's lock, which others wait for.

    Answers how long the stays lasted that this ended, in s.
    """
    lasted: list[float] = []
    audited = [fact for fact in facts if isinstance(fact, Act)]
    sessions = [fact for fact in facts if not isinstance(fact, Act)]
    for _, run in groupby(sessions, type):
        lasted += await _write_sessions(connection, list(run))
    if samples:
        await add_samples(connection, samples)
    if audited:
        await append(connection, audited)
    return lasted


async def _write_sessions(connection: AsyncConnection, run: Sequence[_Session]) -> list[float]:
    """Entries of one kind that came one after the other."""
    lasted: list[float] = []
    if arrivals := [each for each in run if isinstance(each, Arrival)]:
        await open_sessions(connection, arrivals)
    if departures := [each for each in run if isinstance(each, Departure)]:
        lasted += await close_sessions(connection, departures)
    for end in (each for each in run if isinstance(each, _End)):
        lasted += await close_all_sessions(connection, end.meeting_id, end.at)
    return lasted


def _take(queue: deque[_T], most: int) -> list[_T]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]
