"""Sessions: who was in which meeting, from when to when.

Calls write them by the journal, which joins others to one transaction (`open_sessions` and its
like); a stay in a breakout room is one under the breakout's own id.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.records.breakouts import with_breakouts
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import SessionRow

_CLOCKS_S = 2.0
"""How far the clocks of two replicas may be apart."""


class Session(Contract):
    """A stay of a person in a meeting."""

    meeting_id: MeetingId
    user_id: UserId | None
    """None once it is anonymised."""
    user_name: str
    role: Role
    opened_at: float
    closed_at: float | None
    """None while the person is there."""


class Stay(Contract):
    """When somebody was in a meeting, or anybody, over all their sessions."""

    since: float
    """When they came first: Unix time, in s."""
    until: float | None
    """When they left last; None while they are there."""


class Arrival(Contract):
    """Somebody came into a meeting."""

    meeting_id: MeetingId
    user_id: UserId
    user_name: str
    role: Role
    at: float
    """Unix time, in s."""


class Departure(Contract):
    """Somebody left a meeting."""

    meeting_id: MeetingId
    user_id: UserId
    at: float


class Sessions:
    """Sessions on record."""

    def __init__(self, database: Database):
        self._database = database

    async def open(
        self, meeting_id: MeetingId, user_id: UserId, *, user_name: str, role: Role, at: float
    ) -> None:
        """Somebody came; who is there already stays in the same session."""
        arrival = Arrival(
            meeting_id=meeting_id, user_id=user_id, user_name=user_name, role=role, at=at
        )
        async with self._database.begin() as connection:
            await open_sessions(connection, [arrival])

    async def close(self, meeting_id: MeetingId, user_id: UserId, *, at: float) -> None:
        """Somebody left; nothing when they were not there."""
        departure = Departure(meeting_id=meeting_id, user_id=user_id, at=at)
        async with self._database.begin() as connection:
            await close_sessions(connection, [departure])

    async def close_all_of(self, meeting_id: MeetingId, *, at: float) -> None:
        """The meeting is over: everybody left it, and its breakout rooms."""
        async with self._database.begin() as connection:
            await close_all_sessions(connection, meeting_id, at)

    async def of_meeting(
        self, meeting_id: MeetingId, *, after: str | None = None, limit: int = 50
    ) -> Page[Session]:
        """The sessions of a meeting, oldest first."""
        query = select(SessionRow.__table__).where(SessionRow.meeting_id == meeting_id)
        keys = (SessionRow.opened_at, SessionRow.id)
        async with self._database.begin() as connection:
            return await read_page(connection, query, keys, _session, after=after, limit=limit)

    async def stay(self, meeting_id: MeetingId, user_id: UserId) -> Stay | None:
        """When somebody was in a meeting; None when they never were."""
        return await self._stay(SessionRow.meeting_id == meeting_id, SessionRow.user_id == user_id)

    async def held(self, meeting_id: MeetingId) -> Stay | None:
        """When there was anybody in a meeting or its breakout rooms; None when nobody ever came."""
        return await self._stay(SessionRow.meeting_id.in_(with_breakouts([meeting_id])))

    async def users_since(self, at: float) -> int:
        """How many people were in meetings since then, as far as it is known who it was."""
        left_at = func.coalesce(SessionRow.closed_at, SessionRow.opened_at)
        query = select(func.count(SessionRow.user_id.distinct())).where(left_at >= at)
        async with self._database.begin() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def meetings_of(self, user_id: UserId) -> list[MeetingId]:
        """The meetings and breakout rooms that somebody was ever in, as far as it is on record."""
        query = select(SessionRow.meeting_id).where(SessionRow.user_id == user_id).distinct()
        async with self._database.begin() as connection:
            return [MeetingId(each) for each in (await connection.execute(query)).scalars()]

    async def _stay(self, *which: ColumnElement[bool]) -> Stay | None:
        query = select(
            func.min(SessionRow.opened_at).label("since"),
            func.max(SessionRow.closed_at).label("until"),
            func.count(SessionRow.id).label("sessions"),
            func.count(SessionRow.closed_at).label("closed"),
        ).where(*which)
        async with self._database.begin() as connection:
            found = (await connection.execute(query)).one()
        if not found.sessions:
            return None
        gone = found.closed == found.sessions
        return Stay(since=found.since, until=found.until if gone else None)


async def open_sessions(connection: AsyncConnection, arrivals: Sequence[Arrival]) -> None:
    """Opens sessions where none is open; of two of the same person the first one counts.

    All replicas write them in one order, so that none waits for another that waits for it.
    """
    ordered = sorted(arrivals, key=lambda each: (each.meeting_id, each.user_id))
    rows = [each.model_dump(exclude={"at"}) | {"opened_at": each.at} for each in ordered]
    # row by row in one call: a statement of another length each time would be compiled anew
    await connection.execute(insert_of(connection, SessionRow).on_conflict_do_nothing(), rows)


async def close_sessions(
    connection: AsyncConnection, departures: Sequence[Departure]
) -> list[float]:
    """Closes the sessions that are open; nothing for who is not there.

    Answers how long each of them lasted, in s.
    """
    ordered = sorted(departures, key=lambda each: (each.meeting_id, each.user_id))
    of_person = tuple_(SessionRow.meeting_id, SessionRow.user_id)
    query = select(
        SessionRow.id, SessionRow.meeting_id, SessionRow.user_id, SessionRow.opened_at
    ).where(
        of_person.in_([(each.meeting_id, each.user_id) for each in ordered]),
        SessionRow.closed_at.is_(None),
    )
    there = {(row.meeting_id, row.user_id): row for row in await connection.execute(query)}
    values: list[dict[str, Any]] = []
    lasted: list[float] = []
    for each in ordered:
        row = there.get((each.meeting_id, each.user_id))
        # one that came late, after the person came back, closes nothing
        if row is not None and row.opened_at - _CLOCKS_S <= each.at:
            del there[each.meeting_id, each.user_id]
            values.append({"of_id": row.id, "left_at": each.at})
            lasted.append(max(0.0, each.at - row.opened_at))
    if values:
        statement = update(SessionRow).where(
            SessionRow.id == bindparam("of_id"), SessionRow.closed_at.is_(None)
        )
        await connection.execute(statement.values(closed_at=bindparam("left_at")), values)
    return lasted


async def close_all_sessions(
    connection: AsyncConnection, meeting_id: MeetingId, at: float
) -> list[float]:
    """Closes the sessions of a meeting and of its breakout rooms; answers how long each lasted."""
    closed = await connection.execute(
        update(SessionRow)
        .where(
            SessionRow.meeting_id.in_(with_breakouts([meeting_id])),
            SessionRow.closed_at.is_(None),
        )
        .values(closed_at=at)
        .returning(SessionRow.opened_at)
    )
    return [max(0.0, at - opened_at) for opened_at in closed.scalars()]


def _session(row: RowMapping) -> Session:
    return Session.model_validate({name: row[name] for name in Session.model_fields})
