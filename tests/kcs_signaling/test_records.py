"""Records on a real SQLite file: meetings and logins survive a restart, and nothing blocks."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kcs_contracts.rooms import Role
from kcs_signaling.errors import Unavailable
from kcs_signaling.ports import Meeting
from kcs_signaling.records import Records, open_records
from kcs_signaling.records.database import open_database
from kcs_signaling.tokens import Tokens, User

NOW = time.time()
ADA = User(user_id="ada", user_name="Ada")
TOKENS = Tokens(Ed25519PrivateKey.generate(), issuer="kcs", access_minutes=15, refresh_days=7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


@pytest.fixture
async def records(path: Path) -> AsyncIterator[Records]:
    async with open_records(f"sqlite+aiosqlite:///{path}") as opened:
        yield opened


def meeting(meeting_id: str = "m-1", **changes: object) -> Meeting:
    values = {
        "id": meeting_id,
        "display_name": "Lab",
        "host_id": "ada",
        "max_participants": 10,
        "expected_participants": 3,
        "region": "eu",
        "default_role": Role.ATTENDEE,
        "starts_at": NOW + 0.125,
        "duration_minutes": 60,
        "created_at": NOW,
        "ended_at": None,
    }
    return Meeting.model_validate(values | changes)


async def test_a_meeting_is_the_same_after_a_restart(path: Path) -> None:
    url = f"sqlite+aiosqlite:///{path}"
    plain = meeting("m-2", starts_at=None, duration_minutes=None)
    async with open_records(url) as first:
        await first.create(meeting())
        await first.create(plain)
    async with open_records(url) as second:
        assert await second.meeting("m-1") == meeting()
        assert await second.meeting("m-2") == plain
        assert await second.meeting("m-3") is None


async def test_a_meeting_ends_once_and_stays_on_record(records: Records) -> None:
    await records.create(meeting())
    ended = await records.end("m-1", now=NOW + 5)
    assert ended == meeting(ended_at=NOW + 5)
    assert await records.end("m-1", now=NOW + 9) == ended
    assert await records.meeting("m-1") == ended
    assert await records.end("m-2", now=NOW) is None


async def test_what_another_replica_ended_is_known_within_two_seconds(path: Path) -> None:
    clock = [100.0]
    async with open_database(f"sqlite+aiosqlite:///{path}") as database:
        here, elsewhere = Records(database, lambda: clock[0]), Records(database)
        assert await here.meeting("m-1") is None
        await elsewhere.create(meeting())
        assert await here.meeting("m-1") == meeting()  # that there was none is not kept
        await elsewhere.end("m-1", now=NOW)
        assert await here.meeting("m-1") == meeting()
        clock[0] += 2
        assert await here.meeting("m-1") == meeting(ended_at=NOW)


async def test_of_many_exchanges_of_one_refresh_token_at_once_one_wins(records: Records) -> None:
    _, old = TOKENS.refresh(ADA)
    await records.refresh_tokens.begin(old, now=NOW)
    new = [TOKENS.refresh(ADA, family=old.family)[1] for _ in range(20)]
    won = await asyncio.gather(*(records.refresh_tokens.rotate(old, one) for one in new))
    assert won.count(True) == 1
    winner = new[won.index(True)]
    assert await records.refresh_tokens.rotate(winner, TOKENS.refresh(ADA)[1])


async def test_a_revoked_login_rotates_no_more_and_others_stay(records: Records) -> None:
    (_, one), (_, other) = TOKENS.refresh(ADA), TOKENS.refresh(ADA)
    for login in (one, other):
        await records.refresh_tokens.begin(login, now=NOW)
    assert await records.refresh_tokens.revoke(one.family)
    assert not await records.refresh_tokens.revoke(one.family)
    _, new = TOKENS.refresh(ADA, family=one.family)
    assert not await records.refresh_tokens.rotate(one, new)
    assert await records.refresh_tokens.rotate(other, new)


async def test_tokens_are_stored_as_hashes_and_expired_logins_are_forgotten(
    records: Records, path: Path
) -> None:
    _, old = TOKENS.refresh(ADA)
    await records.refresh_tokens.begin(old, now=NOW)
    await records.refresh_tokens.begin(TOKENS.refresh(ADA)[1], now=old.expires_at - 1)
    with sqlite3.connect(path) as reader:
        assert reader.execute("SELECT count(*) FROM refresh_tokens").fetchone() == (2,)
        assert old.jti not in str(reader.execute("SELECT * FROM refresh_tokens").fetchall())
    await records.refresh_tokens.begin(TOKENS.refresh(ADA)[1], now=old.expires_at + 60)
    with sqlite3.connect(path) as reader:
        assert reader.execute("SELECT count(*) FROM refresh_tokens").fetchone() == (1,)


async def test_a_locked_database_is_unavailable_in_time_and_blocks_nothing_else(
    records: Records, path: Path
) -> None:
    await records.create(meeting("m-0"))
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    started, gaps, last = time.monotonic(), [0.0], time.monotonic()
    writing = asyncio.gather(
        *(records.create(meeting(f"m-{n}")) for n in range(1, 9)), return_exceptions=True
    )
    while not writing.done():
        await asyncio.sleep(0.01)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()
    outcomes = await writing
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
    assert time.monotonic() - started < 5
    assert max(gaps) < 0.5, "the loop stood still"
    locker.rollback()
    locker.close()
    await records.create(meeting("m-9"))  # and it recovers by itself
    assert await records.meeting("m-9") is not None


async def test_reading_goes_on_while_somebody_writes(records: Records, path: Path) -> None:
    await records.create(meeting())
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    async with open_records(f"sqlite+aiosqlite:///{path}") as other:
        assert await asyncio.wait_for(other.meeting("m-1"), 1) == meeting()
    writer.rollback()
    writer.close()


async def test_a_cancelled_call_costs_no_connection(records: Records) -> None:
    for n in range(40):
        task = asyncio.create_task(records.create(meeting(f"m-{n}")))
        await asyncio.sleep(0.001 * (n % 4))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        await records.create(meeting("last"))
