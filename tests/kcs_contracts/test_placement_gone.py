"""Who is out of a meeting is kept in mind until the node has closed their media."""

import asyncio
from collections.abc import Callable

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


async def taken(placement: Placement) -> list[GoneFrom]:
    """Who is due within the first second."""
    for _ in range(20):
        if due := await placement.take_gone():
            return due
        await asyncio.sleep(0.05)
    return []


@pytest.mark.parametrize("how", ["left", "removed", "timed out"])
async def test_whoever_is_out_is_due_until_the_node_has_closed_what_they_had(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis, how: str
) -> None:
    await placement.join(meeting, person("ann"), limit=9, presence_ms=1)
    assert await placement.take_gone() == []

    if how == "left":
        await placement.leave(meeting, ANN, S1)
    elif how == "removed":
        await placement.expel(meeting, ANN)
    else:
        await asyncio.sleep(0.01)
        assert await placement.sweep() == [(meeting, ANN)]

    assert await placement.take_gone() == []  # whoever took them out asks first
    assert await taken(placement) == [GoneFrom(meeting, (ANN,))]
    assert await placement.take_gone() == []  # another replica does not ask as well
    assert await taken(placement) == [GoneFrom(meeting, (ANN,))]
    await placement.closed(meeting, [ANN])
    assert await redis.exists("kcs:gone", f"kcs:gone:{meeting}") == 0


async def test_a_node_that_does_not_answer_is_asked_less_and_less_often(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.leave(meeting, ANN, S1)
    waits = []
    for _ in range(8):
        await redis.zadd("kcs:gone", {meeting: 0})
        assert await placement.take_gone() == [GoneFrom(meeting, (ANN,))]
        seconds, micros = await redis.time()
        due = await redis.zscore("kcs:gone", meeting)
        assert due is not None
        waits.append(round(due / 1000 - seconds - micros / 1e6, 1))
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]


@pytest.mark.parametrize("how", ["join", "restore"])
async def test_whoever_is_back_is_left_alone(
    placement: Placement, person: Person, meeting: MeetingId, home: None, how: str
) -> None:
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
        await placement.leave(meeting, ParticipantId(name), S1)
    if how == "join":
        await placement.join(meeting, person("ann", "s2"), limit=9)
    else:
        media = {"epoch": Epoch(0), "generation": Generation(0)}
        await placement.restore(meeting, person("ann"), [], **media)
    assert await taken(placement) == [GoneFrom(meeting, (BOB,))]


async def test_another_home_never_had_them(
    placement: Placement, person: Person, lease: Lease, meeting: MeetingId, home: None, redis: Redis
) -> None:
    before = await placement.assignment(meeting)
    assert before is not None
    await placement.join(meeting, person("ann"), limit=9)
    await placement.leave(meeting, ANN, S1)
    await placement.renew(lease("b"), [])
    assert await placement.evict(meeting, before.node, before.epoch, "moved")
    assert await taken(placement) == []
    assert await redis.exists("kcs:gone", f"kcs:gone:{meeting}") == 0


async def test_a_meeting_that_is_over_keeps_nobody_in_mind(
    placement: Placement, person: Person, meeting: MeetingId, home: None, redis: Redis
) -> None:
    await placement.join(meeting, person("hal", role=Role.HOST), limit=9)
    await placement.expel(meeting, ParticipantId("hal"))
    await placement.end(meeting, "ended_by_host")
    assert await redis.exists("kcs:gone", f"kcs:gone:{meeting}") == 0
