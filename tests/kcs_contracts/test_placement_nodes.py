"""Leases, drain marks, and meetings that nodes bring back."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import MediaReset
from kcs_contracts.ids import BootId, Epoch, Generation, MeetingId, NodeName
from kcs_contracts.placement import Hosted, NodeLease, Placement

Lease = Callable[..., NodeLease]
A = NodeName("a")


def hosted(meeting: MeetingId, epoch: int, generation: int = 0) -> Hosted:
    return Hosted(meeting_id=meeting, epoch=Epoch(epoch), generation=Generation(generation))


async def test_a_renewed_node_is_listed_with_its_load(placement: Placement, lease: Lease) -> None:
    await placement.renew(lease("b", region="eu", consumers=100, cpu=0.6), [])
    await placement.renew(lease("a", consumers=500, egress_fraction=0.9), [])
    a, b = await placement.nodes()
    assert (a.node, a.load, a.alive, a.draining) == ("a", 0.9, True, False)
    assert (b.node, b.region, b.control_url) == ("b", "eu", "http://b:1")
    assert b.load == pytest.approx(0.8)
    assert b.reserved == 0


async def test_a_lease_that_is_not_renewed_ends(placement: Placement, lease: Lease) -> None:
    await placement.renew(lease("a", lease_ms=1), [])
    await asyncio.sleep(0.005)
    assert [view.alive for view in await placement.nodes()] == [False]


async def test_a_released_lease_is_over_and_cannot_be_renewed_by_a_late_call(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a"), [])
    await placement.release(A, BootId("boot"))
    renewal = await placement.renew(lease("a"), [])
    assert renewal.superseded
    assert [view.alive for view in await placement.nodes()] == [False]


async def test_a_release_by_an_older_boot_does_not_end_the_newer_ones_lease(
    placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("a", "b1"), [])
    await placement.renew(lease("a", "b2"), [])
    await placement.release(A, BootId("b1"))
    assert [view.alive for view in await placement.nodes()] == [True]


async def test_a_second_boot_replaces_the_first_whose_renewals_are_refused(
    placement: Placement, lease: Lease
) -> None:
    assert not (await placement.renew(lease("a", "b1"), [])).superseded
    assert not (await placement.renew(lease("a", "b2"), [])).superseded
    assert (await placement.renew(lease("a", "b1"), [])).superseded
    assert [view.boot for view in await placement.nodes()] == ["b2"]


async def test_a_node_learns_from_its_renewal_that_it_drains(
    placement: Placement, lease: Lease
) -> None:
    await placement.drain(A)
    assert (await placement.renew(lease("a"), [])).draining
    await placement.undrain(A)
    assert not (await placement.renew(lease("a"), [])).draining


async def test_a_meeting_that_redis_lost_comes_back_from_its_node(
    placement: Placement, redis: Redis, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    before = await placement.assign(meeting, warmup_ms=0)
    await redis.flushall()
    renewal = await placement.renew(lease("a"), [hosted(meeting, before.epoch, 4)])
    assert renewal.stale == ()
    assert await placement.assignment(meeting) == before
    assert (await placement.snapshot(meeting)).generation == 4


async def test_of_two_nodes_that_claim_a_meeting_the_higher_epoch_wins_in_either_order(
    placement: Placement, redis: Redis, lease: Lease, meeting: MeetingId
) -> None:
    low, high = (lease("a"), [hosted(meeting, 7)]), (lease("b"), [hosted(meeting, 8)])
    assert (await placement.renew(*high)).stale == ()
    assert (await placement.renew(*low)).stale == (meeting,)
    await redis.flushall()
    assert (await placement.renew(*low)).stale == ()
    assert (await placement.renew(*high)).stale == ()
    assert (await placement.renew(*low)).stale == (meeting,)
    home = await placement.assignment(meeting)
    assert home is not None
    assert (home.node, home.epoch) == ("b", 8)


async def test_a_claim_by_another_boot_or_of_an_ended_meeting_is_stale(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a", "b1"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    claim = [hosted(meeting, home.epoch)]
    assert (await placement.renew(lease("a", "b2"), claim)).stale == (meeting,)
    await placement.end(meeting, "expired")
    assert (await placement.renew(lease("a", "b2"), claim)).stale == (meeting,)


async def test_a_generation_that_redis_missed_resets_the_media(
    placement: Placement, lease: Lease, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    for _ in range(2):  # the second says nothing new
        await placement.renew(lease("a"), [hosted(meeting, home.epoch, 1)])
    assert await ear.events() == [
        MediaReset(reason="worker_died", node=A, epoch=home.epoch, generation=Generation(1))
    ]


async def test_a_claim_that_beats_a_lagging_redis_resets_the_media(
    placement: Placement, lease: Lease, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    epoch = Epoch(home.epoch + 1)
    await placement.renew(lease("b"), [hosted(meeting, epoch, 2)])
    assert await ear.events() == [
        MediaReset(reason="moved", node=NodeName("b"), epoch=epoch, generation=Generation(2))
    ]
    assert [view.reserved for view in await placement.nodes()] == [0, 0]


async def test_a_node_that_is_forgotten_leaves_nothing_behind(
    placement: Placement, redis: Redis, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    await placement.assign(meeting, warmup_ms=0)
    await placement.drain(A)
    await redis.delete("kcs:node:a")  # as an hour after its lease
    assert await placement.nodes() == []
    left = {key.decode() async for key in redis.scan_iter("kcs:*")}
    assert left == {"kcs:since", f"kcs:home:{meeting}"}
