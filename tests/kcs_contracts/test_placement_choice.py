"""Which node a meeting gets: strategy, region, drain marks, load and reservations."""

import asyncio
import hashlib
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId, NodeName
from kcs_contracts.placement import NoCapacity, NodeLease, Placement, Strategy
from kcs_contracts.rooms import Participant

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]
A = NodeName("a")


async def placed(
    placement: Placement, name: str, strategy: Strategy = "packed", expected: int = 0
) -> str:
    meeting = MeetingId(name)
    home = await placement.assign(meeting, strategy=strategy, expected=expected, warmup_ms=0)
    return home.node


async def reserved(placement: Placement) -> dict[str, float]:
    return {view.node: round(view.reserved, 2) for view in await placement.nodes()}


async def test_packed_takes_the_fullest_that_stays_below_seven_tenths_else_the_emptiest(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a", consumers=100), [])
    await placement.renew(lease("b", consumers=500), [])
    await placement.renew(lease("c", consumers=600), [])
    assert await placed(placement, "m1") == "b"  # 0.5 + 0.15
    assert await placed(placement, "m2") == "a"  # b would have 0.8
    await placement.renew(lease("a", consumers=650), [])
    await placement.renew(lease("b", consumers=640), [])
    assert await placed(placement, "m3") == "c"  # 0.75: all are above 0.7 with it


async def test_spread_takes_the_least_loaded(placement: Placement, lease: Lease) -> None:
    await placement.renew(lease("a", cpu=0.3), [])
    await placement.renew(lease("b", egress_fraction=0.2), [])
    assert await placed(placement, "m1", "spread") == "b"
    assert await placed(placement, "m2", "spread") == "b"  # 0.2 + 0.15, a has 0.4
    assert await placed(placement, "m3", "spread") == "a"


async def test_consistent_hash_takes_the_node_of_the_meetings_hash_and_the_next_when_it_is_full(
    placement: Placement, lease: Lease
) -> None:
    names = ["a", "b", "c"]
    for name in names:
        await placement.renew(lease(name), [])
    found: dict[str, str] = {}
    for number in range(9):
        meeting = f"m{number}"
        home = names[int(hashlib.sha256(meeting.encode()).hexdigest()[:8], 16) % 3]
        assert await placed(placement, meeting, "consistent_hash") == home
        found[home] = meeting
    assert set(found) == set(names)
    again = found["c"] + "x"
    ring = int(hashlib.sha256(again.encode()).hexdigest()[:8], 16) % 3
    await placement.renew(lease(names[ring], consumers=1000), [])
    assert await placed(placement, again, "consistent_hash") == names[(ring + 1) % 3]


async def test_a_node_of_the_region_comes_first_and_any_other_when_it_is_full(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("eu", region="eu", consumers=600), [])
    await placement.renew(lease("us", region="us", consumers=0), [])
    homes = [
        (await placement.assign(MeetingId(f"m{n}"), region="eu", warmup_ms=0)).node
        for n in range(3)
    ]
    assert homes == ["eu", "eu", "us"]
    elsewhere = await placement.assign(MeetingId("m9"), region="mars", warmup_ms=0)
    assert elsewhere.node == "us"


async def test_a_draining_node_gets_no_meeting_and_keeps_those_with_people(
    placement: Placement, lease: Lease, person: Person
) -> None:
    await placement.renew(lease("a"), [])
    busy, empty = MeetingId("busy"), MeetingId("empty")
    home = await placement.assign(busy, warmup_ms=0)
    await placement.assign(empty, warmup_ms=0)
    await placement.join(busy, person("ann"), limit=9)
    await placement.drain(A)
    with pytest.raises(NoCapacity):
        await placed(placement, "new")
    await placement.renew(lease("b"), [])
    assert await placed(placement, "new") == "b"
    assert await placement.assign(busy, warmup_ms=0) == home
    assert (await placement.assign(empty, warmup_ms=0)).node == "b"
    await placement.undrain(A)
    assert await placed(placement, "later", "spread") == "a"


async def test_a_drain_mark_outlives_the_lease(placement: Placement, lease: Lease) -> None:
    await placement.renew(lease("a", lease_ms=1), [])
    await placement.drain(A)
    await asyncio.sleep(0.005)
    await placement.renew(lease("a"), [])
    with pytest.raises(NoCapacity):
        await placed(placement, "m1")


async def test_no_meeting_is_placed_beyond_what_all_nodes_can_carry(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a"), [])
    await placement.renew(lease("b", consumers=500), [])
    homes = [await placed(placement, f"m{n}") for n in range(9)]  # of 0.15 each
    assert sorted(homes) == ["a"] * 6 + ["b"] * 3
    with pytest.raises(NoCapacity):
        await placed(placement, "m9")


async def test_a_reservation_is_for_the_expected_people_and_fifteen_at_least(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a"), [])
    await placed(placement, "m1", expected=40)
    assert await reserved(placement) == {"a": 0.4}
    await placed(placement, "m2", expected=3)
    assert await reserved(placement) == {"a": 0.55}
    with pytest.raises(NoCapacity):
        await placed(placement, "m3", expected=46)
    await placed(placement, "m3", expected=45)


async def test_a_reservation_shrinks_by_those_who_are_in_and_ends_when_all_have_left(
    placement: Placement, lease: Lease, person: Person
) -> None:
    await placement.renew(lease("a"), [])
    meeting = MeetingId("m1")
    await placed(placement, meeting)
    people = [person(f"p{n}") for n in range(16)]
    for one in people[:5]:
        await placement.join(meeting, one, limit=99)
    assert await reserved(placement) == {"a": 0.1}
    for one in people[5:]:
        await placement.join(meeting, one, limit=99)
    assert await reserved(placement) == {"a": 0}
    for one in people:
        await placement.leave(meeting, one.id, one.session)
    assert await reserved(placement) == {"a": 0}


async def test_a_meeting_that_moves_takes_its_reservation_along_with_the_people_in_it(
    placement: Placement, lease: Lease, person: Person
) -> None:
    for meeting, people, moved in ((MeetingId("m1"), 5, 0.15), (MeetingId("m2"), 20, 0.2)):
        await placement.renew(lease("a", f"boot of {meeting}"), [])
        await placement.drain(NodeName("b"))
        home = await placement.assign(meeting, warmup_ms=0)
        for n in range(people):
            await placement.join(meeting, person(f"p{n}"), limit=99)
        await placement.renew(lease("b"), [])
        await placement.undrain(NodeName("b"))
        await placement.evict(meeting, A, home.epoch, "moved")
        assert await reserved(placement) == {"a": 0, "b": moved}
        await placement.end(meeting, "expired")


@pytest.mark.parametrize("forced", [True, False])
async def test_a_meeting_that_leaves_without_a_region_stays_near_its_home_else_goes_anywhere(
    placement: Placement, lease: Lease, person: Person, forced: bool
) -> None:
    meeting = MeetingId("m1")
    for name, region in (("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "")):
        await placement.renew(lease(name, region=region, consumers=10 if name == "b" else 0), [])
    home = await placement.assign(meeting, region="eu", warmup_ms=0)
    await placement.join(meeting, person("p"), limit=9)
    other = "c" if home.node == "a" else "a"

    async def leaves() -> str:
        now = await placement.assignment(meeting)
        assert now is not None
        if forced:
            new = await placement.evict(meeting, now.node, now.epoch, "moved")
        else:
            new = await placement.migrate(meeting, now.node, now.epoch)
        assert new is not None
        return new.node

    await placement.drain(home.node)
    assert await leaves() == other
    if forced:
        await placement.drain(NodeName(other))
        assert await leaves() == "b", "the fullest of those that are left"


async def test_a_reservation_is_gone_after_a_quarter_of_an_hour_and_half_of_it_before(
    placement: Placement, redis: Redis, lease: Lease
) -> None:
    await placement.renew(lease("a"), [])
    await placed(placement, "m1", expected=40)
    people, since = (await redis.hget("kcs:reserved:a", "m1")).decode().split(":")
    for minutes, expected in ((7.5, 0.2), (15, 0)):
        earlier = int(since) - round(minutes * 60_000)
        await redis.hset("kcs:reserved:a", "m1", f"{people}:{earlier}")
        assert await reserved(placement) == {"a": expected}
    assert await redis.hlen("kcs:reserved:a") == 0


async def test_a_meeting_larger_than_any_node_goes_to_one_with_nothing_else_and_moves_like_others(
    placement: Placement, lease: Lease, person: Person
) -> None:
    await placement.renew(lease("a"), [])
    assert await placed(placement, "small") == "a"
    with pytest.raises(NoCapacity):
        await placed(placement, "large", expected=250)
    await placement.renew(lease("b"), [])
    assert await placed(placement, "large", expected=250) == "b"
    with pytest.raises(NoCapacity):
        await placed(placement, "larger", expected=9000)
    for number in range(120):
        await placement.join(MeetingId("large"), person(f"p{number}"), limit=200)
    await placement.renew(lease("c"), [])
    home = await placement.assign(MeetingId("large"))
    moved = await placement.migrate(MeetingId("large"), home.node, home.epoch)
    assert moved is not None
    assert moved.node == "c"


async def test_meetings_that_found_no_room_are_noted_up_to_a_bound_and_for_an_hour(
    placement: Placement, redis: Redis
) -> None:
    for number in range(1005):
        with pytest.raises(NoCapacity):
            await placed(placement, f"m{number}")
    assert len(await placement.unmet()) == 1000
    assert 3500 < await redis.ttl("kcs:unmet") <= 3600
