"""How many people came within a day, a week, a month: counted by one replica at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.rooms import Role
from kcs_signaling.records import Records, Retention
from kcs_signaling.settings import RetentionSettings

DAY_S = 24 * 3600
INTERVAL_S = 0.5


def users() -> list[float | None]:
    """What this process says of a day, a week and a month."""
    periods = ("day", "week", "month")
    return [REGISTRY.get_sample_value("kcs_signaling_users", {"period": p}) for p in periods]


async def came(records: Records, user: str, at: float, until: float | None = None) -> None:
    meeting, who = MeetingId("m-1"), UserId(user)
    await records.sessions.open(meeting, who, user_name=user, role=Role.GUEST, at=at)
    if until is not None:
        await records.sessions.close(meeting, who, at=until)


@pytest.fixture
async def sweeping(records: Records, redis: Redis) -> AsyncIterator[None]:
    """A replica that sweeps every half second, unless another one does."""
    settings = RetentionSettings(sweep_minutes=INTERVAL_S / 60)
    task = asyncio.create_task(Retention(settings, records.database, redis).run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_person_counts_once_in_each_period_that_they_were_there_in(
    records: Records, now: float
) -> None:
    await came(records, "ada", now - 20 * DAY_S, now - 20 * DAY_S + 60)
    await came(records, "ada", now - 3600)
    await came(records, "bob", now - 3 * DAY_S, now - 3600)  # he left today
    await came(records, "cy", now - 3 * DAY_S, now - 2 * DAY_S)
    await came(records, "dee", now - 20 * DAY_S)  # nobody saw them leave
    assert [await records.sessions.users_since(now - days * DAY_S) for days in (1, 7, 30)] == [
        2,
        3,
        4,
    ]


async def test_the_replica_that_sweeps_tells_and_forgets_it_once_another_one_does(
    records: Records, redis: Redis, now: float, sweeping: None
) -> None:
    await came(records, "ada", now)
    async with asyncio.timeout(20):
        while users() != [1, 1, 1]:
            await asyncio.sleep(0.05)
        await redis.set("kcs:retention", "another")
        while users() != [None, None, None]:
            await asyncio.sleep(0.05)
