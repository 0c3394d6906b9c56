"""Meetings on record: made, changed, ended, deleted."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kcs_contracts.ids import MeetingId, UserId
from kcs_signaling.errors import SignalingError
from kcs_signaling.ports import Meeting
from kcs_signaling.records.breakouts import with_breakouts
from kcs_signaling.records.database import Database, insert_of
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import (
    ChatMessageRow,
    DeclarationRow,
    IdempotencyKeyRow,
    InvitationRow,
    MeetingRow,
    SessionRow,
    StatsRow,
)

KEY_S = 24 * 3600
"""How long an idempotency key is remembered."""
_AT_ONCE = 100
"""Meetings in one statement: with their breakout rooms that is 5,100 ids."""

_MEETINGS = MeetingRow.__table__
_FIXED = {"id", "host_id", "created_at", "ended_at", "version"}
_OF_A_MEETING: tuple[
    type[
        ChatMessageRow | DeclarationRow | IdempotencyKeyRow | InvitationRow | SessionRow | StatsRow
    ],
    ...,
] = (
    ChatMessageRow,
    DeclarationRow,
    IdempotencyKeyRow,
    InvitationRow,
    SessionRow,
    StatsRow,
)


class KeyReused(SignalingError):
    """The idempotency key came with another request before."""

    code = "IDEMPOTENCY_KEY_REUSED"


@dataclass(frozen=True)
class Once:
    """A caller's promise that requests with this key are one request (Idempotency-Key)."""

    user_id: UserId
    key: str
    """At most 255 characters."""
    fingerprint: str
    """SHA-256 of the request, in hex."""


class Meetings:
    """Meetings on record."""

    def __init__(self, database: Database):
        self._database = database

    async def create(self, meeting: Meeting, *, once: Once | None = None) -> Meeting:
        """Puts a new meeting on record; with `once`, the one that its key has made in 24 h.

        Raises:
            KeyReused: the key came with another request.
        """
        async with self._database.begin() as connection:
            if once is not None:
                made = await _made_before(connection, once, meeting)
                if made is not None:
                    return made
            await connection.execute(insert(MeetingRow).values(**meeting.model_dump()))
        return meeting

    async def read(self, meeting_id: MeetingId) -> Meeting | None:
        """The meeting, ended or not; None when there is none."""
        async with self._database.begin() as connection:
            return await _read(connection, meeting_id)

    async def change(self, meeting_id: MeetingId, version: int, **values: Any) -> Meeting | None:
        """The meeting with these fields changed and its version grown by one.

        Args:
            version: what the caller has read.
            values: fields of `Meeting`, but id, host_id, created_at, ended_at and version.

        Returns:
            None when the meeting has another version, or when there is none.
        """
        if fixed := _FIXED & values.keys():
            raise ValueError(f"a meeting's {', '.join(sorted(fixed))} cannot be changed")
        async with self._database.begin() as connection:
            result = await connection.execute(
                update(MeetingRow)
                .where(MeetingRow.id == meeting_id, MeetingRow.version == version)
                .values(**values, version=MeetingRow.version + 1)
                .returning(_MEETINGS)
            )
            row = result.mappings().one_or_none()
            return None if row is None else _meeting(row)

    async def end(self, meeting_id: MeetingId, *, now: float) -> Meeting | None:
        """The meeting, ended at `now` unless it had ended before; None when there is none."""
        async with self._database.begin() as connection:
            await connection.execute(
                update(MeetingRow)
                .where(MeetingRow.id == meeting_id, MeetingRow.ended_at.is_(None))
                .values(ended_at=now, version=MeetingRow.version + 1)
            )
            return await _read(connection, meeting_id)

    async def delete(self, meeting_id: MeetingId) -> bool:
        """Deletes a meeting and all that is of it, but the audit log; False when there is none."""
        async with self._database.begin() as connection:
            return bool(await delete_meetings(connection, [meeting_id]))

    async def of_host(
        self, host_id: UserId, *, after: str | None = None, limit: int = 50
    ) -> Page[Meeting]:
        """The meetings of a host, newest first."""
        query = select(_MEETINGS).where(MeetingRow.host_id == host_id)
        keys = (MeetingRow.created_at, MeetingRow.id)
        async with self._database.begin() as connection:
            return await read_page(
                connection, query, keys, _meeting, after=after, limit=limit, newest_first=True
            )


async def delete_meetings(connection: AsyncConnection, meeting_ids: list[MeetingId]) -> int:
    """Deletes them with all that is of them and of their breakout rooms, but the audit log.

    Returns:
        How many meetings there were.
    """
    for start in range(0, len(meeting_ids), _AT_ONCE):
        ids = with_breakouts(meeting_ids[start : start + _AT_ONCE])
        for table in _OF_A_MEETING:
            await connection.execute(delete(table).where(table.meeting_id.in_(ids)))
    gone = await connection.execute(delete(MeetingRow).where(MeetingRow.id.in_(meeting_ids)))
    return gone.rowcount


async def _made_before(connection: AsyncConnection, once: Once, new: Meeting) -> Meeting | None:
    """Takes the key for `new`; the meeting that has it, when it is taken.

    The INSERT comes first and waits for whoever is just taking the same key.
    """
    mine = (IdempotencyKeyRow.user_id == once.user_id, IdempotencyKeyRow.key == once.key)
    old = IdempotencyKeyRow.created_at <= new.created_at - KEY_S
    await connection.execute(delete(IdempotencyKeyRow).where(*mine, old))
    values = {
        "user_id": once.user_id,
        "key": once.key,
        "fingerprint": once.fingerprint,
        "meeting_id": new.id,
        "created_at": new.created_at,
    }
    taking = insert_of(connection, IdempotencyKeyRow).values(values).on_conflict_do_nothing()
    if (await connection.execute(taking)).rowcount:
        return None
    kept = (await connection.execute(select(IdempotencyKeyRow.__table__).where(*mine))).one()
    if kept.fingerprint != once.fingerprint:
        raise KeyReused("the Idempotency-Key came with another request: take a new one")
    return await _read(connection, kept.meeting_id)


async def _read(connection: AsyncConnection, meeting_id: MeetingId) -> Meeting | None:
    rows = await connection.execute(select(_MEETINGS).where(MeetingRow.id == meeting_id))
    row = rows.mappings().one_or_none()
    return None if row is None else _meeting(row)


def _meeting(row: RowMapping) -> Meeting:
    return Meeting.model_validate(dict(row))
