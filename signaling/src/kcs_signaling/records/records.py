"""Records as the rest of signaling holds them: meetings (`ports.MeetingRecords`) and logins."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kcs_contracts.ids import MeetingId
from kcs_signaling.ports import Meeting
from kcs_signaling.records.database import Database, open_database
from kcs_signaling.records.refresh_tokens import RefreshTokens
from kcs_signaling.records.tables import MeetingRow

_KEPT_S = 2.0
_KEPT = 10_000

_MEETINGS = MeetingRow.__table__


class Records:
    """Meetings and logins on record.

    Every method raises `Unavailable` when the database does not answer in time.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic):
        self._database, self._clock = database, clock
        self.refresh_tokens = RefreshTokens(database)
        self._kept: OrderedDict[MeetingId, tuple[Meeting, float]] = OrderedDict()

    async def meeting(self, meeting_id: MeetingId) -> Meeting | None:
        """The meeting, ended or not, as it was at most 2 s ago; None when there is none.

        That there is none is never kept: the next moment somebody makes it elsewhere.
        """
        meeting, until = self._kept.get(meeting_id, (None, 0.0))
        if meeting is not None and until > self._clock():
            return meeting
        async with self._database.begin() as connection:
            return await self._read(connection, meeting_id)

    async def create(self, meeting: Meeting) -> None:
        """Puts a new meeting on record."""
        async with self._database.begin() as connection:
            await connection.execute(insert(MeetingRow).values(**meeting.model_dump()))
        self._keep(meeting)

    async def end(self, meeting_id: MeetingId, *, now: float) -> Meeting | None:
        """The meeting, ended at `now` unless it had ended before; None when there is none."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(MeetingRow)
                .where(MeetingRow.id == meeting_id, MeetingRow.ended_at.is_(None))
                .values(ended_at=now)
            )
            return await self._read(connection, meeting_id)

    async def ping(self) -> None:
        """Raises `Unavailable` unless the database answers."""
        await self._database.ping()

    async def _read(self, connection: AsyncConnection, meeting_id: MeetingId) -> Meeting | None:
        rows = await connection.execute(select(_MEETINGS).where(MeetingRow.id == meeting_id))
        row = rows.one_or_none()
        return None if row is None else self._keep(Meeting.model_validate(dict(row._mapping)))

    def _keep(self, meeting: Meeting) -> Meeting:
        self._kept[meeting.id] = (meeting, self._clock() + _KEPT_S)
        self._kept.move_to_end(meeting.id)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return meeting


@asynccontextmanager
async def open_records(url: str) -> AsyncIterator[Records]:
    """The records at a SQLAlchemy URL; closes the database's connections at the end."""
    async with open_database(url) as database:
        yield Records(database)
