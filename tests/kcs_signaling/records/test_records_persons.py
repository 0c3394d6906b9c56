"""A person is exported whole and erased whole, over all tables that there are."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, select

from kcs_contracts.ids import MeetingId, UserId
from kcs_signaling.ports import Meeting
from kcs_signaling.records import Records
from kcs_signaling.records.persons import ABOUT, IMPERSONAL, SECRET, TRACES
from kcs_signaling.records.tables import Base

MakeMeeting = Callable[..., Meeting]
ADA, BOB, EVE = UserId("ada-7"), UserId("bob-7"), UserId("eve-7")
ADDRESS = "Ada.L@Example.org"
TABLES = {table.name: table for table in Base.metadata.sorted_tables}


async def dump(records: Records) -> dict[str, list[dict[str, Any]]]:
    async with records.database.begin() as connection:
        return {
            name: [dict(row) for row in (await connection.execute(select(table))).mappings()]
            for name, table in TABLES.items()
        }


@pytest.mark.parametrize("table", TABLES)
def test_each_column_is_known_as_personal_or_not(table: str) -> None:
    named = {trace.column.name for trace in TRACES if trace.table.__tablename__ == table}
    sorted_into = [named, ABOUT.get(table, set()), SECRET.get(table, set())]
    sorted_into.append(IMPERSONAL.get(table, set()))
    listed = [column for group in sorted_into for column in group]
    assert sorted(listed) == sorted(column.name for column in TABLES[table].columns)


def plant(table: str, column: str, n: int) -> Any:
    """A value for a column: telling of ada where it is personal, else anything that fits."""
    holds = {t.column.name: t.holds for t in TRACES if t.table.__tablename__ == table}.get(column)
    if holds:
        return {"user_id": ADA, "email": ADDRESS.lower(), "pseudonym": "ada-hidden"}[holds]
    kind = TABLES[table].c[column].type.python_type
    if kind is str:
        personal = column in ABOUT.get(table, set()) | SECRET.get(table, set())
        if column == "pseudonym":
            return "ada-hidden"
        return f"Ada tells {table}.{column}" if personal else f"x{n}"
    return {int: n, float: float(n)}.get(kind, {})


async def plant_everywhere(records: Records) -> None:
    async with records.database.begin() as connection:
        for name, table in TABLES.items():
            if name == "audit_head":
                continue
            values = {column.name: plant(name, column.name, 3) for column in table.columns}
            if name == "sessions":
                values["role"] = "host"
            await connection.execute(insert(table).values(values))
        # as erase finds it: the log goes on after the row that was planted
        await connection.execute(TABLES["audit_head"].update().values(seq=3))


async def test_a_person_planted_in_every_column_is_exported_without_secrets(
    records: Records,
) -> None:
    await plant_everywhere(records)
    before = await dump(records)
    export = await records.persons.export(ADA)
    assert export["user_id"] == ADA
    expected = {
        name: [
            {key: value for key, value in row.items() if key not in SECRET.get(name, set())}
            for row in rows
        ]
        for name, rows in before.items()
        if name not in ("audit_head", "declarations")  # which name nobody
    }
    assert export["tables"] == expected
    assert await records.persons.export(EVE) == {"user_id": EVE, "tables": {}}


async def test_of_a_person_planted_in_every_column_nothing_is_found_after(
    records: Records,
) -> None:
    await plant_everywhere(records)
    assert "ada" in str(await dump(records)).lower()
    erased = await records.persons.erase(ADA, now=9.0)
    after = await dump(records)
    log = after.pop("audit")
    assert "ada" not in str(after).lower()
    assert after["persons"] == []
    assert {row["action"] for row in log} == {"x3", "person.erased"}
    for row in log:
        del row["actor"], row["subject"]  # pseudonyms that are nobody's any more
    assert "ada" not in str(log).lower()
    assert set(erased.counts) == {trace.table.__tablename__ for trace in TRACES} - {"audit"}


async def test_erasing_a_person_leaves_everybody_else_as_they_were(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    await records.meetings.create(meeting("bobs", host_id=BOB))
    await records.sessions.open(
        MeetingId("bobs"), BOB, user_name="Bob", role=meeting().default_role, at=now
    )
    await records.audit.write("meeting.created", at=now, actor=BOB, meeting_id=MeetingId("bobs"))
    before = await records.persons.export(BOB)
    await records.meetings.create(meeting("adas", host_id=ADA))
    await records.audit.write("token.made", at=now, actor=ADA, subject=EVE)
    await records.persons.erase(ADA, now=now)
    assert await records.persons.export(BOB) == before
    entry = (await records.audit.of_host(BOB)).items[0]
    assert (entry.actor, entry.action) == (BOB, "meeting.created")


async def test_the_meetings_of_an_erased_host_end_and_stay_for_the_others(
    records: Records, meeting: MakeMeeting, now: float
) -> None:
    await records.meetings.create(meeting("m-1", host_id=ADA, display_name="Ada's tea"))
    await records.meetings.create(meeting("m-2", host_id=ADA))
    await records.meetings.end(MeetingId("m-2"), now=now - 5)
    erased = await records.persons.erase(ADA, now=now)
    assert erased.ended_meetings == ("m-1",)
    left = await records.meetings.read(MeetingId("m-1"))
    assert left is not None
    assert (left.host_id, left.display_name, left.ended_at) == ("", "Meeting", now)
    again = await records.persons.erase(ADA, now=now)
    assert again.ended_meetings == ()


async def test_the_audit_chain_holds_after_an_erasure_and_names_nobody(
    records: Records, now: float
) -> None:
    room = MeetingId("m-1")
    await records.audit.write("token.made", at=now, actor=ADA, subject=BOB, meeting_id=room)
    await records.persons.erase(ADA, now=now + 1)
    verdict = await records.audit.verify()
    assert (verdict.rows, verdict.broken) == (2, None)
    (entry,) = (await records.audit.of_meeting(room)).items
    assert (entry.actor, entry.subject) == (None, BOB)
    await records.audit.write("login", at=now + 2, actor=ADA)  # somebody new, as far as we know
    actors = [row["actor"] for row in (await dump(records))["audit"]]
    assert len(set(actors)) == 2
    assert actors[2] not in actors[:2]


async def test_invitations_to_a_persons_address_are_theirs_in_any_case(records: Records) -> None:
    async with records.database.begin() as connection:
        table = TABLES["invitations"]
        row = {column.name: plant("invitations", column.name, 1) for column in table.columns}
        row |= {"inviter_id": BOB, "email": ADDRESS}
        await connection.execute(insert(table).values(row))
    assert (await records.persons.export(ADA))["tables"] == {}
    export = await records.persons.export(ADA, email=ADDRESS.upper())
    assert export["tables"] == {"invitations": [row]}
    await records.persons.erase(ADA, email=ADDRESS.upper(), now=1.0)
    assert (await dump(records))["invitations"] == []
