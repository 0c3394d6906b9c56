"""Sessions: who was in which meeting, from when to when."""

from sqlalchemy import RowMapping, select, update

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import SessionRow


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


class Sessions:
    """Sessions on record."""

    def __init__(self, database: Database):
        self._database = database

    async def open(
        self, meeting_id: MeetingId, user_id: UserId, *, user_name: str, role: Role, at: float
    ) -> None:
        """Somebody came; who is there already stays in the same session."""
        async with self._database.begin() as connection:
            await connection.execute(
                insert_of(connection, SessionRow)
                .values(
                    meeting_id=meeting_id,
                    user_id=user_id,
                    user_name=user_name,
                    role=role,
                    opened_at=at,
                )
                .on_conflict_do_nothing()
            )

    async def close(self, meeting_id: MeetingId, user_id: UserId, *, at: float) -> None:
        """Somebody left; nothing when they were not there."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(SessionRow)
                .where(
                    SessionRow.meeting_id == meeting_id,
                    SessionRow.user_id == user_id,
                    SessionRow.closed_at.is_(None),
                )
                .values(closed_at=at)
            )

    async def close_all_of(self, meeting_id: MeetingId, *, at: float) -> None:
        """The meeting is over: everybody left."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(SessionRow)
                .where(SessionRow.meeting_id == meeting_id, SessionRow.closed_at.is_(None))
                .values(closed_at=at)
            )

    async def of_meeting(
        self, meeting_id: MeetingId, *, after: str | None = None, limit: int = 50
    ) -> Page[Session]:
        """The sessions of a meeting, oldest first."""
        query = select(SessionRow.__table__).where(SessionRow.meeting_id == meeting_id)
        keys = (SessionRow.opened_at, SessionRow.id)
        async with self._database.begin() as connection:
            return await read_page(connection, query, keys, _session, after=after, limit=limit)


def _session(row: RowMapping) -> Session:
    return Session.model_validate({name: row[name] for name in Session.model_fields})
