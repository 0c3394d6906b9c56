"""What the service counts of meetings: made and ended once each, how long they lasted."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from tests.support.own_redis import OwnRedis

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.placement import NodeLease
from kcs_contracts.rooms import BreakoutRoom, Breakouts, Role

MEETINGS = "/api/v1/meetings"
HOUR_S = 3600


def counted(name: str, **labels: str) -> float:
    """A sample of this process."""
    return REGISTRY.get_sample_value(f"kcs_signaling_{name}", labels) or 0.0


def lengths() -> tuple[float, float]:
    """How many meetings lasted how long altogether, in s."""
    return counted("meeting_seconds_count"), counted("meeting_seconds_sum")


async def stays(rest: Any, meeting: str, user: str, since: float, until: float | None) -> None:
    """Somebody was there."""
    sessions = rest.services.records.sessions
    await sessions.open(meeting, user, user_name=user.title(), role=Role.GUEST, at=since)
    if until is not None:
        await sessions.close(meeting, user, at=until)


@pytest.fixture
async def alone(start_rest: Any, own_redis: OwnRedis) -> AsyncIterator[Any]:
    """A service whose Redis no other process tidies up."""
    async with start_rest(redis=own_redis.url) as running:
        yield running


async def test_a_meeting_counts_as_made_once_however_often_it_is_asked_for(rest: Any) -> None:
    before = counted("meetings_created_total")
    for _ in range(2):
        headers = {"Idempotency-Key": "the-same"}
        token = rest.access(rest.ada)
        made = await rest.call("POST", MEETINGS, token=token, json={}, headers=headers)
        assert made.status == 201
    assert counted("meetings_created_total") == before + 1
    assert (await rest.call("POST", MEETINGS, token=token, json={"region": 1})).status == 422
    assert counted("meetings_created_total") == before + 1


async def test_a_meeting_counts_as_ended_once_also_when_it_is_deleted_days_later(
    rest: Any, redis: Redis
) -> None:
    meeting, token = await rest.meeting(), rest.access(rest.ada)
    path, now = f"{MEETINGS}/{meeting['id']}", time.time()
    await stays(rest, meeting["id"], "ada", now - HOUR_S, now - HOUR_S / 2)
    await stays(rest, f"{meeting['id']}:2", "bob", now - HOUR_S / 2, None)
    before, (count, total) = counted("meetings_ended_total", reason="ended_by_host"), lengths()
    for _ in range(2):
        assert (await rest.call("POST", f"{path}/end", token=token)).status == 200
        await redis.delete(f"kcs:ended:{meeting['id']}")  # as after a day
    assert counted("meetings_ended_total", reason="ended_by_host") == before + 1
    deleted = counted("meetings_ended_total", reason="deleted")
    assert (await rest.call("DELETE", path, token=token)).status == 204
    assert counted("meetings_ended_total", reason="deleted") == deleted
    assert lengths() == (count + 1, pytest.approx(total + HOUR_S, abs=30))


async def test_a_meeting_to_which_nobody_came_is_ended_and_has_no_length(rest: Any) -> None:
    meeting = await rest.meeting()
    before, had = counted("meetings_ended_total", reason="deleted"), lengths()
    path = f"{MEETINGS}/{meeting['id']}"
    assert (await rest.call("DELETE", path, token=rest.access(rest.ada))).status == 204
    assert counted("meetings_ended_total", reason="deleted") == before + 1
    assert lengths() == had


async def test_a_meeting_that_nobody_came_back_to_lasted_until_the_last_one_left(
    alone: Any,
) -> None:
    meeting, now = await alone.meeting(), time.time()
    await stays(alone, meeting["id"], "ada", now - 2 * HOUR_S, now - HOUR_S)
    await alone.services.redis.zadd("kcs:idle", {meeting["id"]: 1})
    before, (count, total) = counted("meetings_ended_total", reason="idle"), lengths()
    await alone.services.endings.end_idle()
    assert counted("meetings_ended_total", reason="idle") == before + 1
    assert lengths() == (count + 1, pytest.approx(total + HOUR_S))


async def test_breakout_rooms_end_before_their_meeting_which_knows_of_them(rest: Any) -> None:
    meeting, placement = MeetingId((await rest.meeting())["id"]), rest.services.placement
    node = NodeLease(node="n1", boot="b1", control_url="http://127.0.0.1:1", consumer_capacity=500)
    await placement.renew(node, [])
    await placement.assign(meeting, warmup_ms=0)
    rooms = [MeetingId(f"{meeting}:{n}") for n in (1, 2)]
    breakouts = Breakouts(rooms=tuple(BreakoutRoom(id=room, name="Red") for room in rooms))
    await placement.change_live(meeting, "breakouts", breakouts)
    async with rest.services.redis.pubsub() as bus:
        await bus.psubscribe("kcs:bus:*")
        path = f"{MEETINGS}/{meeting}/end"
        assert (await rest.call("POST", path, token=rest.access(rest.ada))).status == 200
        told: list[str] = []
        async with asyncio.timeout(5):
            while len(told) < 3:
                heard = await bus.get_message(ignore_subscribe_messages=True, timeout=1)
                if heard is not None:
                    told.append(heard["channel"].decode().removeprefix("kcs:bus:"))
    assert told == [*rooms, meeting]


async def test_stays_are_measured_when_they_are_closed_on_record(rest: Any) -> None:
    journal, now = rest.services.records.journal, time.time()
    room = MeetingId("m-1")
    count, total = counted("stay_seconds_count"), counted("stay_seconds_sum")
    for user, at in (("ada", now - 600), ("bob", now - 300), ("cy", now - 60)):
        journal.opened(room, UserId(user), user, Role.GUEST, at)
    journal.closed(room, UserId("ada"), now)
    journal.closed(room, UserId("ada"), now)  # another replica says so too
    journal.closed(room, UserId("nobody"), now)
    await journal.flush()
    assert counted("stay_seconds_count") == count + 1
    journal.ended(room, now)
    await journal.flush()
    assert counted("stay_seconds_count") == count + 3
    assert counted("stay_seconds_sum") == pytest.approx(total + 960)
