"""SQLite as embedded: one writer at a time, and nobody stands still for it."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from kcs_signaling.errors import Unavailable
from kcs_signaling.ports import Meeting
from kcs_signaling.records import Records, open_records
from kcs_signaling.records.database import Database, open_database

MakeMeeting = Callable[..., Meeting]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "embedded.sqlite"


@pytest.fixture
async def records(path: Path) -> AsyncIterator[Records]:
    async with open_records(f"sqlite+aiosqlite:///{path}") as opened:
        yield opened


async def test_a_locked_database_is_unavailable_in_time_and_blocks_nothing_else(
    records: Records, path: Path, meeting: MakeMeeting
) -> None:
    await records.meetings.create(meeting("m-0"))
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    started, gaps, last = time.monotonic(), [0.0], time.monotonic()
    writing = asyncio.gather(
        *(records.meetings.create(meeting(f"m-{n}")) for n in range(1, 9)), return_exceptions=True
    )
    while not writing.done():
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
    outcomes = await writing
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
    assert time.monotonic() - started < 10
    assert max(gaps) < 1.5, "the loop stood still"
    locker.rollback()
    locker.close()
    await records.meetings.create(meeting("m-9"))  # and it recovers by itself
    assert await records.meeting("m-9") is not None


async def write_for_long(database: Database) -> None:
    long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5000000)"
    async with database.begin() as connection:
        await connection.execute(text("UPDATE audit_head SET seq = 7"))
        await connection.execute(text(f"{long} SELECT count(*) FROM c"))


async def test_a_write_that_ran_out_of_time_locks_nobody_out(records: Records, path: Path) -> None:
    async with open_database(f"sqlite+aiosqlite:///{path}", 0.1) as database:
        with pytest.raises(Unavailable) as kept:  # and with it all that its traceback knows
            await write_for_long(database)
        writer = sqlite3.connect(path, isolation_level=None, timeout=0)
        writer.execute("BEGIN IMMEDIATE")
        assert writer.execute("SELECT seq FROM audit_head").fetchall() == [(0,)]
        writer.rollback()
        writer.close()
    assert kept.value.retry_after_s == 1


async def test_reading_goes_on_while_somebody_writes(
    records: Records, path: Path, meeting: MakeMeeting
) -> None:
    await records.meetings.create(meeting())
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    async with open_records(f"sqlite+aiosqlite:///{path}") as other:
        assert await asyncio.wait_for(other.meeting("m-1"), 10) == meeting()
    writer.rollback()
    writer.close()


async def test_a_cancelled_call_costs_no_connection(records: Records, meeting: MakeMeeting) -> None:
    for n in range(40):
        task = asyncio.create_task(records.meetings.create(meeting(f"m-{n}")))
        await asyncio.sleep(0.001 * (n % 4))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        await records.meetings.create(meeting("last"))
