"""Retention: what is too old is deleted or made anonymous, by one replica at a time. It also counts
the people who came lately, for the metrics.

The replica that takes the lock in Redis sweeps; the lock is kept until the next sweep is due, so
it also says that this round is done. A sweep ends before the lock does. A replica that dies or
fails in it leaves the rest to the next round: every step may be made again.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kcs_contracts.ids import MeetingId
from kcs_signaling.errors import SignalingError
from kcs_signaling.metrics import USERS
from kcs_signaling.records.database import Database
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
_AT_ONCE = 500
_PERIODS = {"day": 1, "week": 7, "month": 30}
_LOOKS = 10
"""How often in an interval a replica looks whether a sweep is due."""

_left_at = func.coalesce(SessionRow.closed_at, SessionRow.opened_at)
"""Of a session that nobody closed, only the beginning is known."""


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

    async def run(self) -> None:
        """Sweeps whenever a sweep is due and no other replica has taken it."""
        me = asyncio.current_task()
        assert me is not None
        while not me.cancelling():  # a driver may turn a cancellation into an error of its own
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
        """Does what is due now; how many rows, by step.

        Raises:
            Unavailable: the database does not answer; what was done by then stays done.
        """
        now = self._now()
        old = now - self._settings.metadata_days * _DAY_S
        stale = now - self._settings.analytics_days * _DAY_S
        done = {"meetings_deleted": await self._repeat(lambda c: _delete_meetings(c, old))}
        for step in _steps(now=now, old=old, stale=stale):
            done[step.name] = await self._repeat(step.run)
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

    async def _repeat(self, work: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        """Small transactions until nothing is left: nobody waits long for a lock."""
        total = 0
        while True:
            async with self._database.begin() as connection:
                done = await work(connection)
            total += done
            if done < _AT_ONCE:
                return total


@dataclass(frozen=True)
class _Step:
    """Rows of one table that are due."""

    name: str
    table: type[Base]
    due: ColumnElement[bool]
    blank: dict[str, Any] | None = None
    """What they lose; None: they are deleted."""

    async def run(self, connection: AsyncConnection) -> int:
        key = tuple(self.table.__table__.primary_key)
        some = tuple_(*key).in_(select(*key).where(self.due).limit(_AT_ONCE))
        if self.blank is None:
            done = await connection.execute(delete(self.table).where(some))
        else:
            done = await connection.execute(update(self.table).where(some).values(self.blank))
        return done.rowcount


def _steps(*, now: float, old: float, stale: float) -> list[_Step]:
    nobody = {"user_id": None, "user_name": ""}
    left, minute = _left_at < old, StatsRow.minute < int(old)
    gone_quiet = and_(_left_at < stale, SessionRow.user_id.is_not(None))
    measured = and_(StatsRow.minute < int(stale), StatsRow.user_id.is_not(None))
    pseudonym = PersonRow.pseudonym
    in_the_log = exists().where(
        or_(AuditRow.actor == pseudonym, AuditRow.subject == pseudonym), AuditRow.at >= old
    )
    return [
        _Step("chat_messages_deleted", ChatMessageRow, ChatMessageRow.at < old),
        _Step("invitations_deleted", InvitationRow, InvitationRow.expires_at < old),
        _Step("sessions_deleted", SessionRow, left),
        _Step("stats_deleted", StatsRow, minute),
        _Step("sessions_anonymised", SessionRow, gone_quiet, nobody),
        _Step("stats_anonymised", StatsRow, measured, {"user_id": None}),
        _Step("keys_deleted", IdempotencyKeyRow, IdempotencyKeyRow.created_at <= now - KEY_S),
        _Step("logins_deleted", RefreshTokenRow, RefreshTokenRow.expires_at <= now),
        # the audit log itself stays; after that time nobody can tell who it was
        _Step("persons_deleted", PersonRow, ~in_the_log),
    ]


async def _delete_meetings(connection: AsyncConnection, old: float) -> int:
    """Meetings that ended before, or never did and nobody came to since."""
    used = exists().where(SessionRow.meeting_id == MeetingRow.id, SessionRow.opened_at >= old)
    begins = func.coalesce(MeetingRow.starts_at, MeetingRow.created_at)
    forgotten = and_(
        MeetingRow.ended_at.is_(None), MeetingRow.created_at < old, begins < old, ~used
    )
    due = select(MeetingRow.id).where(or_(MeetingRow.ended_at < old, forgotten)).limit(_AT_ONCE)
    ids = [MeetingId(each) for each in (await connection.execute(due)).scalars()]
    return await delete_meetings(connection, ids) if ids else 0
