"""The audit log: append-only, each row's hash over the row before, verified by `verify_audit`.

A row names people by random pseudonyms of the table `persons`. Erasing a person deletes their row
there: the log stays as it was, its chain holds, and nobody can tell any more who it was.
Writers take turns by the lock on the one row of `audit_head`, which also tells when rows are
missing at the log's end.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.models import Contract, JsonObject
from kcs_signaling.records.database import Database
from kcs_signaling.records.paging import Page, read_page
from kcs_signaling.records.tables import AuditHeadRow, AuditRow, MeetingRow, PersonRow, Words

NO_HASH = "0" * 64
"""Stands before the first row."""
_COVERED = ("seq", "at", "action", "actor", "subject", "meeting_id", "details")
_READ_AT_ONCE = 1000


class AuditEntry(Contract):
    """What was done, by whom."""

    seq: int
    at: float
    """Unix time, in s."""
    action: str
    actor: UserId | None
    """None: they were erased."""
    subject: UserId | None
    """To whom it was done; None: to nobody, or they were erased."""
    meeting_id: MeetingId | None
    details: JsonObject
    hash: str


class Act(Contract):
    """What was done, on its way into the log; `Audit.write` says what `details` may hold."""

    action: str
    at: float
    actor: UserId
    subject: UserId | None = None
    meeting_id: MeetingId | None = None
    details: JsonObject | None = None


@dataclass(frozen=True)
class Verdict:
    """What `verify` found."""

    rows: int
    """That hold, from the first on."""
    hash: str
    """Of the last of them: kept elsewhere, it tells later that nobody wrote the log anew."""
    broken: int | None = None
    """The number of the first row that does not hold."""
    reason: str = ""


class Audit:
    """The audit log."""

    def __init__(self, database: Database):
        self._database = database

    async def write(
        self,
        action: str,
        *,
        at: float,
        actor: UserId,
        subject: UserId | None = None,
        meeting_id: MeetingId | None = None,
        details: JsonObject | None = None,
    ) -> None:
        """Appends a row.

        Args:
            action: what was done, such as `meeting.created`; at most 64 characters.
            details: facts and ids of things. Never names, addresses, texts or user ids: they
                could not be erased. A user id goes to `actor` or `subject`.
        """
        act = Act(
            action=action,
            at=at,
            actor=actor,
            subject=subject,
            meeting_id=meeting_id,
            details=details,
        )
        async with self._database.begin() as connection:
            await append(connection, [act])

    async def of_meeting(
        self, meeting_id: MeetingId, *, after: str | None = None, limit: int = 50
    ) -> Page[AuditEntry]:
        """The rows of a meeting, newest first."""
        return await self._page(_named().where(AuditRow.meeting_id == meeting_id), after, limit)

    async def of_host(
        self, host_id: UserId, *, after: str | None = None, limit: int = 50
    ) -> Page[AuditEntry]:
        """The rows of all meetings that somebody hosts, newest first."""
        hosted = select(MeetingRow.id).where(MeetingRow.host_id == host_id)
        return await self._page(_named().where(AuditRow.meeting_id.in_(hosted)), after, limit)

    async def verify(self) -> Verdict:
        """Reads the whole log and computes its hashes again."""
        head = await self._head()
        known = Verdict(0, NO_HASH)
        while True:
            async with self._database.begin() as connection:
                query = select(AuditRow.__table__).where(AuditRow.seq > known.rows)
                query = query.order_by(AuditRow.seq).limit(_READ_AT_ONCE)
                rows = (await connection.execute(query)).mappings().all()
            for row in rows:
                known = _next(known, row)
                if known.broken is not None:
                    return known
                if known.rows == head.rows and known.hash != head.hash:
                    return Verdict(head.rows - 1, "", head.rows, "it is not the one that was last")
            if len(rows) < _READ_AT_ONCE:
                break
        if known.rows < head.rows:
            return Verdict(known.rows, known.hash, known.rows + 1, "the log's end is missing")
        if known.rows > (await self._head()).rows:
            return Verdict(head.rows, head.hash, head.rows + 1, "it was not written by us")
        return known

    async def _head(self) -> Verdict:
        async with self._database.begin() as connection:
            row = (await connection.execute(select(AuditHeadRow.__table__))).one_or_none()
        return Verdict(0, NO_HASH) if row is None else Verdict(row.seq, row.hash)

    async def _page(self, query: Select[Any], after: str | None, limit: int) -> Page[AuditEntry]:
        async with self._database.begin() as connection:
            return await read_page(
                connection,
                query,
                (AuditRow.seq,),
                _entry,
                after=after,
                limit=limit,
                newest_first=True,
            )


async def append(connection: AsyncConnection, acts: Sequence[Act]) -> None:
    """Appends rows, at least one, within a transaction, which holds the log until its end.

    However many they are, it is a handful of statements: others wait for the log meanwhile.
    """
    details = [canonical(act.details or {}) for act in acts]  # before the lock: it may raise
    taken = await connection.execute(
        update(AuditHeadRow)
        .values(seq=AuditHeadRow.seq + len(acts))
        .returning(AuditHeadRow.seq, AuditHeadRow.hash)
    )
    head = taken.one()
    people = {who for act in acts for who in (act.actor, act.subject) if who is not None}
    names = await _pseudonyms(connection, people)
    rows: list[JsonObject] = []
    last: str = head.hash
    for seq, (act, text) in enumerate(zip(acts, details, strict=True), head.seq - len(acts) + 1):
        row: JsonObject = {
            "seq": seq,
            "at": float(act.at),  # as it is read back
            "action": act.action,
            "actor": names[act.actor],
            "subject": None if act.subject is None else names[act.subject],
            "meeting_id": act.meeting_id,
            "details": text,
        }
        last = row["hash"] = _hash(last, row)
        rows.append(row)
    await connection.execute(insert(AuditRow), rows)
    await connection.execute(update(AuditHeadRow).values(hash=last))


def canonical(value: JsonObject) -> str:
    """The one JSON text of a value: sorted names, no spaces, ASCII.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _hash(before: str, row: "JsonObject | RowMapping") -> str:
    covered = canonical({name: row[name] for name in _COVERED})
    return hashlib.sha256((before + covered).encode()).hexdigest()


def _next(known: Verdict, row: RowMapping) -> Verdict:
    expected = known.rows + 1
    if row["seq"] != expected:
        return Verdict(known.rows, known.hash, expected, "it is missing")
    if row["hash"] != _hash(known.hash, row):
        return Verdict(known.rows, known.hash, expected, "it was changed")
    return Verdict(expected, row["hash"])


async def _pseudonyms(connection: AsyncConnection, people: set[UserId]) -> dict[UserId, str]:
    """Theirs, made for who has none; the log's lock keeps others from making them too."""
    kept = {who: Words.kept(who) for who in people}
    query = select(PersonRow.user_id, PersonRow.pseudonym)
    found = await connection.execute(query.where(PersonRow.user_id.in_(sorted(kept.values()))))
    known: dict[str, str] = {row.user_id: row.pseudonym for row in found}
    new = {who: secrets.token_hex(16) for who in sorted(kept.values()) if who not in known}
    if new:
        rows = [{"user_id": who, "pseudonym": pseudonym} for who, pseudonym in new.items()]
        await connection.execute(insert(PersonRow), rows)
    known |= new
    return {who: known[name] for who, name in kept.items()}


def _named() -> Select[Any]:
    """The log's rows with people's ids in the place of their pseudonyms."""
    actor, subject = aliased(PersonRow), aliased(PersonRow)
    people = [actor.user_id.label("actor"), subject.user_id.label("subject")]
    kept = [column for column in AuditRow.__table__.c if column.name not in ("actor", "subject")]
    return (
        select(*kept, *people)
        .select_from(AuditRow)
        .outerjoin(actor, actor.pseudonym == AuditRow.actor)
        .outerjoin(subject, subject.pseudonym == AuditRow.subject)
    )


def _entry(row: RowMapping) -> AuditEntry:
    return AuditEntry.model_validate(dict(row) | {"details": json.loads(row["details"])})
