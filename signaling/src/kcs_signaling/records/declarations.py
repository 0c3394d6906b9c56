"""Meetings that are declared in Kubernetes: which they are, and what was said of their settings.

A declared meeting is a meeting like all others; beside it stands who declared it. The operator ends
meetings whose objects are gone by this list, so a row stays until the end has been told to all.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from kcs_contracts.ids import MeetingId
from kcs_contracts.models import Contract, JsonObject
from kcs_signaling.errors import SignalingError
from kcs_signaling.ports import Meeting
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.meetings import Meetings
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import DeclarationRow, MeetingRow

_MAY_CHANGE = (
    "display_name",
    "starts_at",
    "duration_minutes",
    "max_participants",
    "expected_participants",
    "region",
    "pool",
)


class DeclaredElsewhere(SignalingError):
    """The meeting is there, and is another namespace's or was not declared at all."""

    code = "DECLARED_ELSEWHERE"


class Declaration(Contract):
    """A declared meeting in the list."""

    meeting_id: MeetingId
    name: str
    ended_at: float | None


@dataclass(frozen=True)
class Declared:
    """What `declare` came to."""

    meeting: Meeting
    created: bool
    changed: frozenset[str] = frozenset()
    """Fields that differ from what was on record."""
    news: bool = False
    """Its settings were said otherwise before: the room is to be told, then `told` of it."""


class Declarations:
    """Declared meetings on record."""

    def __init__(self, database: Database, meetings: Meetings):
        self._database, self._meetings = database, meetings

    async def declare(self, wanted: Meeting, *, namespace: str, name: str) -> Declared:
        """Puts a declared meeting on record, or brings it to what is wanted; once over, it stays.

        Settings that are said as they were said before stay as the meeting's hosts made them.

        Raises:
            DeclaredElsewhere: the meeting is not this namespace's.
        """
        values = {"namespace": namespace, "name": name, "said": wanted.settings}
        async with self._database.begin() as connection:
            making = insert_of(connection, MeetingRow).values(wanted.model_dump())
            created = (await connection.execute(making.on_conflict_do_nothing())).rowcount == 1
            if created:
                row = insert_of(connection, DeclarationRow).values(meeting_id=wanted.id, **values)
                await connection.execute(
                    row.on_conflict_do_update(index_elements=["meeting_id"], set_=values)
                )
        if created:
            return Declared(wanted, created=True)
        said = await self._said(wanted.id, namespace)
        meeting, changed = await self._bring(wanted, said)
        return Declared(meeting, created=False, changed=changed, news=said != wanted.settings)

    async def told(self, meeting_id: MeetingId, settings: JsonObject) -> None:
        """These settings are in force; said again, they change nothing."""
        mine = DeclarationRow.meeting_id == meeting_id
        async with self._database.begin() as connection:
            await connection.execute(update(DeclarationRow).where(mine).values(said=settings))

    async def declared(self, meeting_id: MeetingId, namespace: str) -> bool:
        """Whether the meeting is declared in that namespace, and its end was not told to all."""
        query = select(DeclarationRow.meeting_id).where(
            DeclarationRow.meeting_id == meeting_id, DeclarationRow.namespace == namespace
        )
        async with self._database.begin() as connection:
            return (await connection.execute(query)).first() is not None

    async def forget(self, meeting_id: MeetingId) -> None:
        """It is declared no more; the meeting stays on record."""
        mine = DeclarationRow.meeting_id == meeting_id
        async with self._database.begin() as connection:
            await connection.execute(delete(DeclarationRow).where(mine))

    async def of_namespace(
        self, namespace: str, *, after: str | None = None, limit: int = 50
    ) -> Page[Declaration]:
        """All that are declared there, by id."""
        columns: list[Any] = [DeclarationRow.meeting_id, DeclarationRow.name, MeetingRow.ended_at]
        query = (
            select(*columns)
            .join(MeetingRow, MeetingRow.id == DeclarationRow.meeting_id)
            .where(DeclarationRow.namespace == namespace)
        )
        async with self._database.begin() as connection:
            return await read_page(
                connection,
                query,
                (DeclarationRow.meeting_id,),
                lambda row: Declaration.model_validate(dict(row)),
                after=after,
                limit=limit,
            )

    async def _said(self, meeting_id: MeetingId, namespace: str) -> JsonObject:
        query = select(DeclarationRow.namespace, DeclarationRow.said).where(
            DeclarationRow.meeting_id == meeting_id
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or row.namespace != namespace:
            raise DeclaredElsewhere("a meeting with this id is there and is not yours")
        return dict(row.said)

    async def _bring(self, wanted: Meeting, said: JsonObject) -> tuple[Meeting, frozenset[str]]:
        """The record as wanted, whoever else changes it at the same moment."""
        news = {k: v for k, v in wanted.settings.items() if k not in said or said[k] != v}
        while (meeting := await self._meetings.read(wanted.id)) is not None:
            target = {field: getattr(wanted, field) for field in _MAY_CHANGE}
            target["settings"] = meeting.settings | news
            differs = {k: v for k, v in target.items() if getattr(meeting, k) != v}
            if meeting.ended_at is not None or not differs:
                return meeting, frozenset()
            changed = await self._meetings.change(meeting.id, meeting.version, **differs)
            if changed is not None:
                return changed, frozenset(differs)
        raise DeclaredElsewhere("the meeting was deleted at this moment: ask again")
