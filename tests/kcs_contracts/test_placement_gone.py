"""Who is out of a meeting is kept in mind until the node has closed their media."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, SessionId
from kcs_contracts.placement import NodeLease, Placement
from kcs_contracts.placement.gone import GoneFrom
from kcs_contracts.rooms import Participant, Role

Person = Callable[..., Participant]
Lease = Callable[..., NodeLease]
ANN, BOB = ParticipantId("ann"), ParticipantId("bob")
S1 = SessionId("s1")


@pytest.fixture
async def home(placement: Placement, lease: Lease, meeting: MeetingId) -> None:
    """The meeting has a home."""
    await placement.renew(lease("a"), [])
    await placement.assign(meeting, warmup_ms=0)


async def taken(placement: Placement, redis: Redis) -> list[GoneFrom]:
    """Who is due when everybody's time has come."""
    for each in await redis.zrange("kcs:gone", 0, -1):
        await redis.zadd("kcs:gone", {each: 0})
    return await placement.take_gone()


async def now_ms(redis: Redis) -> int:
    """By Redis's own clock, as its functions have it."""
    seconds, micros = await redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def due_after(redis: Redis, meeting: MeetingId, wait_ms: int, step: Awaitable[Any]) -> Any:
    """What the step answers, which lets the meeting be due so much later."""
    before = await now_ms(redis)
    answer = await step
    after = await now_ms(redis)
    due = await redis.zscore("kcs:gone", meeting)
    assert due is not None
    assert before <= due - wait_ms <= after
    return answer


async def goes(placement: Placement, meeting: MeetingId, how: str) -> None:
    """Ann does."""
    if how == "left":
        await placement.leave(meeting, ANN, S1)
    elif how == "removed":
        await placement.expel(meeting, ANN)
    else:
        assert await placement.sweep() == [(meeting, ANN)]


@pytest.mark.parametrize("how", ["left", "removed", "timed out"])
async def test_whoever_is_out_is_due_until_the_node_has_closed_what_they_had(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis, how: str
) -> None:
    await placement.join(meeting, person("ann"), limit=9, presence_ms=1)
    await asyncio.sleep(0.01)
    assert await placement.take_gone() == []

    # whoever took them out asks first
    await due_after(redis, meeting, 250, goes(placement, meeting, how))

    for _ in range(2):
        assert await taken(placement, redis) == [GoneFrom(meeting, (ANN,))]
    await redis.zadd("kcs:gone", {meeting: await now_ms(redis) + 60_000})
    assert await placement.take_gone() == []
    await placement.closed(meeting, [ANN])
    assert await redis.exists("kcs:gone", f"kcs:gone:{meeting}") == 0


async def test_a_node_that_does_not_answer_is_asked_less_and_less_often(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.leave(meeting, ANN, S1)
    for wait_ms in (500, 1000, 2000, 4000, 5000, 5000, 5000, 5000):
        # meanwhile, no other replica asks as well
        due = await due_after(redis, meeting, wait_ms, taken(placement, redis))
        assert due == [GoneFrom(meeting, (ANN,))]


@pytest.mark.parametrize("how", ["join", "restore"])
async def test_whoever_is_back_is_left_alone(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis, how: str
) -> None:
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
        await placement.leave(meeting, ParticipantId(name), S1)
    if how == "join":
        await placement.join(meeting, person("ann", "s2"), limit=9)
    else:
        media = {"epoch": Epoch(0), "generation": Generation(0)}
        await placement.restore(meeting, person("ann"), [], **media)
    assert await taken(placement, redis) == [GoneFrom(meeting, (BOB,))]


async def test_another_home_never_had_them(
    placement: Placement, person: Person, lease: Lease, meeting: MeetingId, home: None, redis: Redis
) -> None:
    before = await placement.assignment(meeting)
    assert before is not None
    await placement.join(meeting, person("ann"), limit=9)
    await placement.leave(meeting, ANN, S1)
    await placement.renew(lease("b"), [])
    assert await placement.evict(meeting, before.node, before.epoch, "moved")
    assert await taken(placement, redis) == []
    assert await redis.exists("kcs:gone", f"kcs:gone:{meeting}") == 0


async def test_a_meeting_that_is_over_keeps_nobody_in_mind(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis
) -> None:
    await placement.join(meeting, person("hal", role=Role.HOST), limit=9)
    await placement.expel(meeting, ParticipantId("hal"))
    await placement.end(meeting, "ended_by_host")
    assert await redis.exists("kcs:gone", f"kcs:gone:{meeting}") == 0
