"""The audit log: whoever changes it is found out."""

import asyncio
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kcs_contracts.ids import MeetingId, UserId
from kcs_signaling.records import Records

M1, ADA, BOB = MeetingId("m-1"), UserId("ada"), UserId("bob")


async def fill(records: Records, now: float, rows: int = 5) -> None:
    for n in range(rows):
        await records.audit.write(
            "token.made", at=now + n, actor=ADA, subject=BOB, meeting_id=M1, details={"n": n}
        )


async def tamper(records: Records, *statements: str) -> None:
    """As the database's owner, who may drop what protects the log."""
    async with records.database.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("DROP TRIGGER IF EXISTS audit_no_change ON audit"))
        else:
            for verb in ("update", "delete"):
                await connection.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{verb}"))
        for statement in statements:
            await connection.execute(text(statement))


async def verify_command(url: str) -> tuple[int | None, str]:
    argv = [sys.executable, "-m", "kcs_signaling.records.verify_audit", url]
    command = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    printed, _ = await command.communicate()
    return command.returncode, printed.decode()


async def test_rows_written_by_many_at_once_are_one_chain(records: Records, now: float) -> None:
    await asyncio.gather(*(fill(records, now, 3) for _ in range(4)))
    verdict = await records.audit.verify()
    assert (verdict.rows, verdict.broken) == (12, None)
    page = await records.audit.of_meeting(M1, limit=5)
    assert [entry.seq for entry in page.items] == [12, 11, 10, 9, 8]
    assert page.items[0].hash == verdict.hash
    rest = await records.audit.of_meeting(M1, after=page.next)
    assert [entry.seq for entry in rest.items] == [7, 6, 5, 4, 3, 2, 1]
    first = rest.items[-1]
    assert (first.actor, first.subject, first.action) == ("ada", "bob", "token.made")
    assert (first.at, first.meeting_id, first.details) == (now, "m-1", {"n": 0})


async def test_the_log_names_people_by_pseudonyms_alone(records: Records, now: float) -> None:
    await fill(records, now, 2)
    async with records.database.begin() as connection:
        rows = (await connection.execute(text("SELECT * FROM audit"))).all()
    assert rows[0].actor == rows[1].actor != rows[0].subject
    assert not {"ada", "bob"} & {str(value) for row in rows for value in row}


@pytest.mark.parametrize("statement", ["UPDATE audit SET action = 'x'", "DELETE FROM audit"])
async def test_the_database_itself_refuses_to_change_the_log(
    records: Records, now: float, statement: str
) -> None:
    await fill(records, now)
    with pytest.raises(DBAPIError, match="append-only"):
        async with records.database.begin() as connection:
            await connection.execute(text(statement))
    assert (await records.audit.verify()).rows == 5


COPY = (
    "INSERT INTO audit SELECT 6, at, action, actor, subject, meeting_id, details, hash FROM audit"
)


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        (["UPDATE audit SET details = '{}' WHERE seq = 3"], 3),
        (["UPDATE audit SET actor = subject WHERE seq = 2"], 2),
        (["UPDATE audit SET at = at + 1 WHERE seq = 5"], 5),
        (["UPDATE audit SET subject = NULL WHERE seq = 1"], 1),
        (["UPDATE audit SET hash = 'f' WHERE seq = 4"], 4),
        (["DELETE FROM audit WHERE seq = 3"], 3),
        (["DELETE FROM audit WHERE seq = 1"], 1),
        (["DELETE FROM audit WHERE seq >= 4"], 4),
        (["DELETE FROM audit"], 1),
        ([COPY + " WHERE seq = 5"], 6),
        (["DELETE FROM audit WHERE seq = 5", COPY.replace("6", "5", 1) + " WHERE seq = 4"], 5),
    ],
)
async def test_the_first_row_that_was_tampered_with_is_named(
    records: Records, sql_url: str, now: float, statements: list[str], broken: int
) -> None:
    await fill(records, now)
    await tamper(records)
    assert (await records.audit.verify()).broken is None
    await tamper(records, *statements)
    verdict = await records.audit.verify()
    assert verdict.broken == broken
    assert verdict.reason


async def test_a_log_that_was_written_anew_is_told_by_the_hash_kept_elsewhere(
    records: Records, now: float
) -> None:
    await fill(records, now)
    kept = (await records.audit.verify()).hash
    await tamper(records, "DELETE FROM audit", "UPDATE audit_head SET seq = 0, hash = '0'")
    await tamper(records, f"UPDATE audit_head SET hash = '{'0' * 64}'")
    await fill(records, now + 1)
    verdict = await records.audit.verify()
    assert (verdict.rows, verdict.broken) == (5, None)
    assert verdict.hash != kept


async def test_the_command_says_what_holds_and_which_row_does_not(
    records: Records, sql_url: str, now: float
) -> None:
    await fill(records, now)
    head = (await records.audit.verify()).hash
    assert await verify_command(sql_url) == (
        0,
        f"the audit log holds: 5 rows, the last hash is {head}\n",
    )
    await tamper(records, "UPDATE audit SET action = 'nothing' WHERE seq = 2")
    code, printed = await verify_command(sql_url)
    assert code == 1
    assert "row 2" in printed


async def test_a_log_longer_than_what_is_read_at_once_is_read_whole(
    records: Records, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kcs_signaling.records.audit._READ_AT_ONCE", 2)
    await fill(records, now, 6)
    assert (await records.audit.verify()).rows == 6
    await tamper(records, "UPDATE audit SET at = 1 WHERE seq = 6")
    assert (await records.audit.verify()).broken == 6
