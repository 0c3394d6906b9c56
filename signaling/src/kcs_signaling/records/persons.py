"""A person in the records: exported whole, erased whole.

`TRACES` says by which column of which table a person is found and what erasing does there;
`ABOUT`, `SECRET` and `IMPERSONAL` sort the other columns. A test walks all tables and fails for a
column that is in none of them. Redis, files and live sockets are the caller's to clear.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Update, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract, JsonObject
from kcs_signaling.records.audit import Act, append
from kcs_signaling.records.database import Database
from kcs_signaling.records.tables import (
    AccountRow,
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

Names = Literal["user_id", "email", "pseudonym"]


@dataclass(frozen=True)
class Trace:
    """How rows of a table name a person, and what is done with these rows at their erasure."""

    table: type[Base]
    column: InstrumentedAttribute[Any]
    holds: Names
    blank: dict[str, Any] | None = None
    """The columns that lose what they say; None: the row is deleted; {}: it stays as it is."""


TRACES = (
    Trace(AccountRow, AccountRow.user_id, "user_id"),
    Trace(AccountRow, AccountRow.email, "email"),
    Trace(RefreshTokenRow, RefreshTokenRow.user_id, "user_id"),
    Trace(IdempotencyKeyRow, IdempotencyKeyRow.user_id, "user_id"),
    Trace(InvitationRow, InvitationRow.inviter_id, "user_id"),
    Trace(InvitationRow, InvitationRow.email, "email"),
    Trace(ChatMessageRow, ChatMessageRow.sender_id, "user_id"),
    # what others wrote to them is the others'
    Trace(ChatMessageRow, ChatMessageRow.recipient_id, "user_id", {"recipient_id": None}),
    # who else was there, and how the calls were, stays without them
    Trace(SessionRow, SessionRow.user_id, "user_id", {"user_id": None, "user_name": ""}),
    Trace(StatsRow, StatsRow.user_id, "user_id", {"user_id": None}),
    # a meeting belongs to all who were in it: it ends and loses its host
    Trace(MeetingRow, MeetingRow.host_id, "user_id", {"host_id": "", "display_name": "Meeting"}),
    Trace(AuditRow, AuditRow.actor, "pseudonym", {}),
    Trace(AuditRow, AuditRow.subject, "pseudonym", {}),
    Trace(PersonRow, PersonRow.user_id, "user_id"),
)

ABOUT = {
    "accounts": {"user_name", "campus_id", "created_at"},
    "chat_messages": {"sender_name", "text", "at"},
    "idempotency_keys": {"key"},
    "invitations": {"display_name"},
    "meetings": {"display_name"},
    "persons": {"pseudonym"},
    "sessions": {"user_name", "role", "opened_at", "closed_at"},
}
"""Columns that tell of the person that the row names."""

SECRET = {
    "accounts": {"password_hash"},
    "idempotency_keys": {"fingerprint"},
    "refresh_tokens": {"token_hash"},
}
"""Columns that are exported to nobody."""

IMPERSONAL = {
    "audit": {"seq", "at", "action", "meeting_id", "details", "hash"},
    "audit_head": {"id", "seq", "hash"},
    "chat_messages": {"id", "meeting_id", "reply_to", "recipient_type", "deleted_at"},
    "declarations": {"meeting_id", "namespace", "name", "said"},
    "idempotency_keys": {"meeting_id", "created_at"},
    "invitations": {"id", "meeting_id", "role", "created_at", "expires_at", "sent_at"},
    "meetings": {
        "id",
        "max_participants",
        "expected_participants",
        "region",
        "default_role",
        "starts_at",
        "duration_minutes",
        "created_at",
        "ended_at",
        "settings",
        "version",
        "pool",
    },
    "refresh_tokens": {"family", "expires_at"},
    "sessions": {"id", "meeting_id"},
    "stats": {
        "id",
        "meeting_id",
        "minute",
        "samples",
        "rtt_ms_sum",
        "rtt_ms_max",
        "jitter_ms_sum",
        "jitter_ms_max",
        "loss_percent_sum",
        "loss_percent_max",
        "bitrate_bps_sum",
        "bitrate_bps_max",
    },
}
"""Columns that tell of nobody once the row names nobody."""


class Erased(Contract):
    """What `erase` did."""

    counts: dict[str, int]
    """Rows that were deleted or lost the person, per table."""
    ended_meetings: tuple[MeetingId, ...]
    """Meetings of theirs that were not over, and are on record now: placement must hear of it."""


class Persons:
    """People, over all tables."""

    def __init__(self, database: Database):
        self._database = database

    async def export(self, user_id: UserId, *, email: str = "") -> JsonObject:
        """All rows that name the person, without secrets: `{"user_id", "tables": {name: [row]}}`.

        Args:
            email: theirs, as a verified token says: invitations name people by it alone.
        """
        tables: dict[str, list[JsonObject]] = {}
        async with self._database.begin() as connection:
            names = await _names(connection, user_id, email)
            for table in dict.fromkeys(trace.table for trace in TRACES):
                secret = SECRET.get(table.__tablename__, set())
                shown = [column for column in table.__table__.c if column.name not in secret]
                order = table.__table__.primary_key
                query = select(*shown).where(_names_person(table, names)).order_by(*order)
                rows = (await connection.execute(query)).mappings().all()
                if rows:
                    tables[table.__tablename__] = [dict(row) for row in rows]
        return {"user_id": user_id, "tables": tables}

    async def erase(self, user_id: UserId, *, email: str = "", now: float) -> Erased:
        """Takes the person out of all tables, in one transaction, and writes that to the audit log.
        SQLite's files keep nothing of them either.

        Whoever is in a meeting has to be put out first, or is on record again. Nothing may be
        written to the audit log in their name after.
        """
        counts: Counter[str] = Counter()
        async with self._database.begin() as connection:
            # first: it takes the log's lock, which new pseudonyms wait for
            act = Act(action="person.erased", at=now, actor=user_id, subject=user_id)
            await append(connection, [act])
            names = await _names(connection, user_id, email)
            ended = await _end_meetings(connection, user_id, now)
            for trace in TRACES:
                if trace.blank != {}:
                    counts[trace.table.__tablename__] += await _erase(connection, trace, names)
        await self._database.scrub()
        return Erased(counts={k: n for k, n in counts.items() if n}, ended_meetings=ended)


async def _names(connection: AsyncConnection, user_id: UserId, email: str) -> dict[Names, set[str]]:
    pseudonyms = select(PersonRow.pseudonym).where(PersonRow.user_id == user_id)
    addresses = select(AccountRow.email).where(AccountRow.user_id == user_id)
    known = {email, *(await connection.execute(addresses)).scalars()}
    return {
        "user_id": {user_id},
        "email": {address.lower() for address in known if address},
        "pseudonym": set((await connection.execute(pseudonyms)).scalars()),
    }


def _found(trace: Trace, names: dict[Names, set[str]]) -> ColumnElement[bool]:
    column = func.lower(trace.column) if trace.holds == "email" else trace.column
    return column.in_(names[trace.holds])


def _names_person(table: type[Base], names: dict[Names, set[str]]) -> ColumnElement[bool]:
    return or_(*(_found(trace, names) for trace in TRACES if trace.table is table))


async def _erase(connection: AsyncConnection, trace: Trace, names: dict[Names, set[str]]) -> int:
    found = _found(trace, names)
    if trace.blank is None:
        done = await connection.execute(delete(trace.table).where(found))
    else:
        done = await connection.execute(update(trace.table).where(found).values(trace.blank))
    return done.rowcount


async def _end_meetings(
    connection: AsyncConnection, user_id: UserId, now: float
) -> tuple[MeetingId, ...]:
    ending: Update = (
        update(MeetingRow)
        .where(and_(MeetingRow.host_id == user_id, MeetingRow.ended_at.is_(None)))
        .values(ended_at=now, version=MeetingRow.version + 1)
    )
    ended = await connection.execute(ending.returning(MeetingRow.id))
    return tuple(MeetingId(meeting_id) for meeting_id in ended.scalars())
