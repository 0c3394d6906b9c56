"""PostgreSQL that goes away: "not now", in time, and all is well when it is back."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.conftest import Postgres
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId
from kcs_signaling.errors import Unavailable
from kcs_signaling.ports import Meeting
from kcs_signaling.records import open_records

M1 = MeetingId("m-1")


@pytest.fixture
def running(postgres: Postgres) -> Iterator[Postgres]:
    """The shared server; it runs again after the test."""
    yield postgres
    postgres.stop()
    postgres.start()


async def test_a_server_that_stops_is_unavailable_in_time_and_is_found_again(
    running: Postgres, meeting: Callable[..., Meeting]
) -> None:
    async with open_records(running.new_database()) as records:
        await records.meetings.create(meeting())
        running.stop()
        started = time.monotonic()
        calls = [records.meetings.read(M1) for _ in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        assert time.monotonic() - started < 10
        running.start()
        assert await records.meetings.read(M1) == meeting()


async def test_a_start_without_the_database_says_which_setting_and_why(
    running: Postgres,
) -> None:
    url = running.new_database()
    with pytest.raises(Unavailable, match=r"KCS_SQL__URL.*does not exist"):
        async with open_records(url + "_missing"):
            pass
    running.stop()
    with pytest.raises(Unavailable, match="KCS_SQL__URL"):
        async with open_records(url):
            pass


async def test_signaling_runs_on_postgresql(
    postgres: Postgres, redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    process = Signaling(tmp_path, redis_url, KCS_SQL__URL=postgres.new_database())
    await process.start()
    try:
        assert any(line["event"] == "signaling_ready" for line in process.lines)
        async with asyncio.timeout(20):
            while not any(line["event"] == "retention_swept" for line in process.lines):
                await asyncio.sleep(0.05)
    finally:
        await process.stop()
