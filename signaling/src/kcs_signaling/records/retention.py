"""Retention: what is too old is deleted or made anonymous, by one replica at a time. It also counts
the people who came lately, for the metrics.

The replica that takes the lock in Redis sweeps; the lock is kept until the next sweep is due, so
it also says that this round is done. A sweep ends before the lock does. A replica that dies or
fails in it leaves the rest to the next round: every step may be made again.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from kcs_contracts.ids import MeetingId
from kcs_signaling.errors import SignalingError, Unavailable
from kcs_signaling.metrics import RETENTION_FAILED, USERS
from kcs_signaling.records.database import BatchSize, Database
from kcs_signaling.records.meetings import KEY_S, delete_meetings
from kcs_signaling.records.sessions import Sessions
from kcs_signaling.records.tables import (
    AuditRow,
    Base,
    ChatMessageRow,
    IdempotencyKeyRow,
    InvitationRow,
    MeetingRow,
    PersonRow,
    RefreshTokenRow,
    SessionRow,
    StatsRow,
)
from kcs_signaling.settings import RetentionSettings

_log = structlog.get_logger()
_LOCK = "kcs:retention"
_DAY_S = 24 * 3600
_PERIODS = {"day": 1, "week": 7, "month": 30}
_LOOKS = 10
"""How often in an interval a replica looks whether a sweep is due."""


class Retention:
    """The sweeper of one replica; `run` ends when it is cancelled."""

    def __init__(
        self,
        settings: RetentionSettings,
        database: Database,
        redis: Redis,
        now: Callable[[], float] = time.time,
    ):
        self._settings, self._database, self._redis = settings, database, redis
        self._sessions, self._counted_at = Sessions(database), 0.0
        self._now = now
        self._interval_s = settings.sweep_minutes * 60
        for step in _steps(now=0, old=0, stale=0):
            RETENTION_FAILED.labels(step.name)  # from 0 on: a rate does not see where it begins

    async def run(self) -> None:
        """Sweeps whenever a sweep is due and no other replica has taken it."""
        while not _is_cancelled():
            try:
                if await self._take():
                    async with asyncio.timeout(self._interval_s * 0.9):
                        done = await self.sweep()
                        await self._count_users()
                    _log.info("retention_swept", **done)
                elif self._counted_at + self._interval_s < self._now():
                    USERS.clear()  # another replica counts now
            except (RedisError, OSError, TimeoutError, SignalingError) as error:
                _log.warning("retention_put_off", error=type(error).__name__)
            except Exception:
                _log.exception("retention_failed")
            await asyncio.sleep(self._interval_s / _LOOKS)

    async def sweep(self) -> dict[str, int]:
        """Does what is due now; how many rows, by step, and how many steps failed.

        A step that fails keeps what it has done, and stops no other.
        """
        now = self._now()
        old = now - self._settings.metadata_days * _DAY_S
        stale = now - self._settings.analytics_days * _DAY_S
        done = {"steps_failed": 0}
        for step in _steps(now=now, old=old, stale=stale):
            try:
                done[step.name] = await self._repeat(step)
            except Exception as error:
                if _is_cancelled():
                    raise
                done["steps_failed"] += 1
                RETENTION_FAILED.labels(step.name).inc()
                unknown = not isinstance(error, Unavailable)
                _log.warning("retention_step_failed", step=step.name, exc_info=unknown)
        return done

    async def _count_users(self) -> None:
        now = self._now()
        for period, days in _PERIODS.items():
            count = await self._sessions.users_since(now - days * _DAY_S)
            USERS.labels(period).set(count)
        self._counted_at = now

    async def _take(self) -> bool:
        """Whether this replica is the one that sweeps in this interval."""
        taken = await self._redis.set(
            _LOCK, secrets.token_hex(8), nx=True, px=int(self._interval_s * 1000)
        )
        return bool(taken)

    async def _repeat(self, step: "_Step | _Meetings") -> int:
        """Small transactions until nothing is left: nobody waits long for a lock.

        Raises:
            Unavailable: the database does not even take a single row in time.
        """
        total, batch = 0, BatchSize()
        while True:
            asked = batch.rows
            try:
                async with self._database.begin() as connection:
                    done = await step.run(connection, asked)
            except Unavailable:
                if asked == 1 or _is_cancelled():
                    raise
                batch.failed()
                continue
            batch.done()
            total += done
            if done < asked:
                return total


@dataclass(frozen=True)
class _Step:
    """Rows of one table that are due."""

    name: str
    table: type[Base]
    due: ColumnElement[bool]
    by: InstrumentedAttribute[Any] | None = None
    """By this the oldest go first: PostgreSQL would walk all rows for the first few that it meets,
    and these are not due any more."""
    blank: dict[str, Any] | None = None
    """What they lose; None: they are deleted."""

    async def run(self, connection: AsyncConnection, most: int) -> int:
        """How many rows were due, of so many at most."""
        key = tuple(self.table.__table__.primary_key)
        some = tuple_(*key).in_(select(*key).where(self.due).order_by(self.by).limit(most))
        if self.blank is None:
            done = await connection.execute(delete(self.table).where(some))
        else:
            done = await connection.execute(update(self.table).where(some).values(self.blank))
        return done.rowcount


@dataclass(frozen=True)
class _Meetings:
    """Meetings that ended before, or never did and nobody came to since; with all of theirs."""

    name: str
    old: float

    async def run(self, connection: AsyncConnection, most: int) -> int:
        """How many were due, of so many at most."""
        old = self.old
        used = exists().where(SessionRow.meeting_id == MeetingRow.id, SessionRow.opened_at >= old)
        begins = func.coalesce(MeetingRow.starts_at, MeetingRow.created_at)
        forgotten = and_(
            MeetingRow.ended_at.is_(None), MeetingRow.created_at < old, begins < old, ~used
        )
        due = select(MeetingRow.id).where(or_(MeetingRow.ended_at < old, forgotten)).limit(most)
        ids = [MeetingId(each) for each in (await connection.execute(due)).scalars()]
        return await delete_meetings(connection, ids) if ids else 0


def _steps(*, now: float, old: float, stale: float) -> "list[_Step | _Meetings]":
    nobody = {"user_id": None, "user_name": ""}
    came, minute = SessionRow.opened_at, StatsRow.minute
    named, measured = SessionRow.user_id.is_not(None), StatsRow.user_id.is_not(None)
    pseudonym = PersonRow.pseudonym
    in_the_log = exists().where(
        or_(AuditRow.actor == pseudonym, AuditRow.subject == pseudonym), AuditRow.at >= old
    )
    said, asked = ChatMessageRow.at, InvitationRow.expires_at
    made, lasts = IdempotencyKeyRow.created_at, RefreshTokenRow.expires_at
    return [
        _Step("chat_messages_deleted", ChatMessageRow, said < old, said),
        _Step("invitations_deleted", InvitationRow, asked < old, asked),
        _Step("sessions_deleted", SessionRow, _left_before(old), came),
        _Step("stats_deleted", StatsRow, minute < int(old), minute),
        # with little left of theirs, many go at once
        _Meetings("meetings_deleted", old),
        _Step("sessions_anonymised", SessionRow, and_(_left_before(stale), named), came, nobody),
        _Step(
            "stats_anonymised",
            StatsRow,
            and_(minute < int(stale), measured),
            minute,
            {"user_id": None},
        ),
        _Step("keys_deleted", IdempotencyKeyRow, made <= now - KEY_S, made),
        _Step("logins_deleted", RefreshTokenRow, lasts <= now, lasts),
        # the audit log itself stays; after that time nobody can tell who it was
        _Step("persons_deleted", PersonRow, ~in_the_log),
    ]


def _left_before(at: float) -> ColumnElement[bool]:
    """Of a session that nobody closed, only the beginning is known.

    That they came before follows, but there are indexes by it.
    """
    left_at = func.coalesce(SessionRow.closed_at, SessionRow.opened_at)
    return and_(SessionRow.opened_at < at, left_at < at)


def _is_cancelled() -> bool:
    """Whether this task is, or out of time: a driver may turn that into an error of its own."""
    me = asyncio.current_task()
    return me is not None and bool(me.cancelling())
