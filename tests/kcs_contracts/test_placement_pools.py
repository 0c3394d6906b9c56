"""Pools: meetings that keep to one, and how each pool's nodes are chosen."""

from collections.abc import Callable

import pytest

from kcs_contracts.ids import MeetingId, NodeName, ParticipantId
from kcs_contracts.placement import NoCapacity, NodeLease, Placement
from kcs_contracts.rooms import Participant

Lease = Callable[..., NodeLease]
M = MeetingId("m")


async def test_a_meeting_keeps_to_its_pool_also_when_others_have_more_room(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a", pool="big"), [])
    await placement.renew(lease("b", pool="small", consumers=500), [])
    assert (await placement.assign(M, pool="small", warmup_ms=0)).node == "b"


async def test_a_full_pool_takes_none_of_its_meetings(placement: Placement, lease: Lease) -> None:
    await placement.renew(lease("a", pool="big"), [])
    await placement.renew(lease("b", pool="small", consumers=1000), [])
    with pytest.raises(NoCapacity):
        await placement.assign(M, pool="small", warmup_ms=0)
    with pytest.raises(NoCapacity):
        await placement.assign(M, pool="missing", warmup_ms=0)
    assert (await placement.assign(M, warmup_ms=0)).node == "a"


async def test_a_meeting_stays_in_its_pool_when_it_moves(
    placement: Placement, lease: Lease, person: Callable[..., Participant]
) -> None:
    for name, pool in (("a", "big"), ("b", "small"), ("c", "small")):
        await placement.renew(lease(name, pool=pool), [])
    home = await placement.assign(M, pool="small", warmup_ms=0)
    await placement.join(M, person("ann"), limit=10)
    other = NodeName("c" if home.node == "b" else "b")
    moving = await placement.migrate(M, home.node, home.epoch)
    assert moving is not None
    assert moving.node == other
    await placement.cross(M, moving.epoch, [ParticipantId("ann")])
    await placement.tend_moves()
    await placement.drain(home.node)
    with pytest.raises(NoCapacity):
        await placement.evict(M, other, moving.epoch, "node_lost")


async def test_a_running_meeting_whose_pool_goes_moves_to_another_and_keeps_to_none_there(
    placement: Placement, lease: Lease, person: Callable[..., Participant]
) -> None:
    await placement.renew(lease("a", pool="small"), [])
    home = await placement.assign(M, pool="small", warmup_ms=0)
    await placement.join(M, person("ann"), limit=10)
    await placement.drain(home.node)
    await placement.renew(lease("far", pool="far", region="us"), [])
    await placement.renew(lease("near", pool="near", region="eu", consumers=300), [])
    with pytest.raises(NoCapacity):
        await placement.migrate(M, home.node, home.epoch)
    moving = await placement.migrate(M, home.node, home.epoch, region="eu", anywhere=True)
    assert moving is not None
    assert moving.node == "near"
    await placement.cross(M, moving.epoch, [ParticipantId("ann")])
    await placement.tend_moves()
    assert await placement.assign(M, pool="small", warmup_ms=0) == moving
    saved = await placement.evict(M, moving.node, moving.epoch, "node_lost")
    assert saved is not None
    assert saved.node == "far"


async def test_a_move_out_of_a_pool_that_came_to_nothing_is_tried_again(
    placement: Placement, lease: Lease, person: Callable[..., Participant]
) -> None:
    await placement.renew(lease("a", pool="small"), [])
    home = await placement.assign(M, pool="small", warmup_ms=0)
    await placement.join(M, person("ann"), limit=10)
    await placement.renew(lease("b", pool="big"), [])
    moving = await placement.migrate(M, home.node, home.epoch, anywhere=True)
    assert moving is not None
    await placement.release(moving.node, moving.boot)
    await placement.tend_moves()
    assert await placement.assignment(M) == home
    await placement.renew(lease("c", pool="third"), [])
    again = await placement.migrate(M, home.node, home.epoch, anywhere=True)
    assert again is not None
    assert again.node == "c"


async def test_a_meeting_is_forced_out_of_a_pool_that_goes_and_keeps_to_none_after(
    placement: Placement, lease: Lease, person: Callable[..., Participant]
) -> None:
    await placement.renew(lease("a", pool="small"), [])
    home = await placement.assign(M, pool="small", warmup_ms=0)
    await placement.join(M, person("ann"), limit=10)
    with pytest.raises(NoCapacity):
        await placement.evict(M, home.node, home.epoch, "moved", anywhere=True)
    assert [each.pool for each in await placement.unmet()] == [""], "any pool may grow for it"
    for name in ("b", "c"):
        await placement.renew(lease(name, pool=name), [])
    with pytest.raises(NoCapacity):
        await placement.evict(M, home.node, home.epoch, "moved")
    new = await placement.evict(M, home.node, home.epoch, "moved", anywhere=True)
    assert new is not None
    assert await placement.migrate(M, new.node, new.epoch) is not None


async def test_without_a_strategy_that_of_the_pool_holds(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a", pool="p", consumers=300), [])
    await placement.renew(lease("b", pool="p"), [])
    assert (await placement.assign(MeetingId("m1"), warmup_ms=0)).node == "a"  # packed
    await placement.set_strategy("p", "spread")
    assert (await placement.assign(MeetingId("m2"), warmup_ms=0)).node == "b"


async def test_meetings_that_found_no_room_are_told_until_they_have_some(
    placement: Placement, lease: Lease
) -> None:
    for meeting, pool, region in (("m1", "", "eu"), ("m2", "small", "")):
        with pytest.raises(NoCapacity):
            await placement.assign(
                MeetingId(meeting), region=region, expected=70, pool=pool, warmup_ms=0
            )
    assert sorted(await placement.unmet()) == [("m1", 70, "", "eu"), ("m2", 70, "small", "")]
    await placement.renew(lease("a"), [])
    await placement.assign(MeetingId("m1"), expected=70, warmup_ms=0)
    assert await placement.unmet() == [("m2", 70, "small", "")]
    assert await placement.unmet(within_ms=-1) == []
