"""A meeting's home: assigned, lost, moved, reset, ended."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import ActiveSpeaker, MediaReset, MeetingEnded
from kcs_contracts.ids import (
    BootId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
)
from kcs_contracts.placement import (
    Hosted,
    LostMeeting,
    MeetingIsOver,
    NoCapacity,
    NodeLease,
    Placement,
    StaleEpoch,
)
from kcs_contracts.rooms import Participant, Producer, Source

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]
A, B = NodeName("a"), NodeName("b")
MIC = Producer(id=ProducerId("p1"), participant_id=ParticipantId("ann"), source=Source.MIC)


async def test_a_new_home_has_the_time_as_epoch_and_stays_while_its_node_lives(
    placement: Placement, lease: Lease, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    assert (home.node, home.boot, home.control_url) == ("a", "boot", "http://a:1")
    assert abs(home.epoch - time.time() * 1000) < 5000
    await placement.renew(lease("b"), [])
    assert await placement.assign(meeting, warmup_ms=0) == home
    assert await placement.assignment(meeting) == home
    assert await ear.events() == []


async def test_an_unknown_meeting_has_no_home_and_an_empty_snapshot(
    placement: Placement, meeting: MeetingId
) -> None:
    assert await placement.assignment(meeting) is None
    snapshot = await placement.snapshot(meeting)
    assert (snapshot.version, snapshot.assignment, snapshot.participants) == (0, None, ())


async def test_a_meeting_whose_node_is_lost_is_assigned_anew_with_its_media_reset(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    old = await placement.assign(meeting, warmup_ms=0)
    await placement.join(meeting, person("ann"), limit=9)
    await placement.open_producer(meeting, MIC, epoch=old.epoch, generation=Generation(0))
    await placement.renew(lease("b"), [])
    await placement.release(A, BootId("boot"))
    assert await placement.lost_meetings([meeting, MeetingId("other")]) == [
        LostMeeting(meeting, A, old.epoch)
    ]
    await ear.new()
    new = await placement.assign(meeting, warmup_ms=0)
    assert new.node == "b"
    assert new.epoch > old.epoch
    reset = MediaReset(reason="node_lost", node=B, epoch=new.epoch, generation=Generation(0))
    assert await ear.events() == [reset]
    snapshot = await placement.snapshot(meeting)
    assert snapshot.producers == ()
    assert [p.id for p in snapshot.participants] == ["ann"]
    assert await placement.lost_meetings([meeting]) == []


async def test_another_boot_of_the_same_node_is_a_new_home(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a", "b1"), [])
    old = await placement.assign(meeting, warmup_ms=0)
    await placement.renew(lease("a", "b2"), [])
    assert [lost.epoch for lost in await placement.lost_meetings([meeting])] == [old.epoch]
    new = await placement.assign(meeting, warmup_ms=0)
    assert (new.node, new.boot) == ("a", "b2")
    assert new.epoch > old.epoch


async def test_epochs_made_within_one_millisecond_differ(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    await placement.renew(lease("b"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    epochs = [home.epoch]
    for _ in range(20):
        moved = await placement.evict(meeting, home.node, home.epoch, "moved")
        assert moved is not None
        assert moved.node != home.node
        home = moved
        epochs.append(home.epoch)
    assert epochs == sorted(set(epochs))


async def test_an_eviction_from_where_the_meeting_is_not_any_more_does_nothing(
    placement: Placement, lease: Lease, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    await placement.renew(lease("b"), [])
    assert await placement.evict(meeting, B, home.epoch, "moved") is None
    assert await placement.evict(meeting, A, Epoch(home.epoch - 1), "moved") is None
    assert await placement.evict(MeetingId("other"), A, home.epoch, "moved") is None
    assert await ear.events() == []
    moved = await placement.evict(meeting, A, home.epoch, "moved")
    assert moved is not None
    reset = MediaReset(reason="moved", node=B, epoch=moved.epoch, generation=Generation(0))
    assert await ear.events() == [reset]


async def test_an_eviction_without_another_node_leaves_the_meeting_where_it_is(
    placement: Placement, lease: Lease, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    with pytest.raises(NoCapacity) as refused:
        await placement.evict(meeting, A, home.epoch, "moved")
    assert refused.value.retry_after_s > 0
    assert await placement.assignment(meeting) == home
    assert await ear.events() == []


async def test_a_worker_that_died_resets_the_media_once_per_generation(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    await placement.join(meeting, person("ann"), limit=9)
    await placement.open_producer(meeting, MIC, epoch=home.epoch, generation=Generation(0))
    await ear.new()
    for _ in range(2):
        await placement.reset_media(meeting, A, home.epoch, Generation(1))
    reset = MediaReset(reason="worker_died", node=A, epoch=home.epoch, generation=Generation(1))
    assert await ear.events() == [reset]
    snapshot = await placement.snapshot(meeting)
    assert (snapshot.generation, snapshot.producers) == (1, ())
    assert snapshot.participants[0].audio_enabled


async def test_a_node_that_lost_the_meeting_cannot_reset_its_media(
    placement: Placement, lease: Lease, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    for node, epoch in ((A, home.epoch - 1), (B, home.epoch)):
        with pytest.raises(StaleEpoch):
            await placement.reset_media(meeting, node, Epoch(epoch), Generation(1))
    assert await ear.events() == []


async def test_an_ended_meeting_is_over_for_all_and_leaves_only_its_mark(
    placement: Placement, redis: Redis, lease: Lease, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    await placement.join(meeting, person("ann"), limit=9)
    await placement.open_producer(meeting, MIC, epoch=home.epoch, generation=Generation(0))
    await ear.new()
    assert await placement.end(meeting, "ended_by_host")
    assert not await placement.end(meeting, "ended_by_host")
    assert await ear.events() == [MeetingEnded(reason="ended_by_host")]
    for refused in (
        placement.assign(meeting, warmup_ms=0),
        placement.evict(meeting, A, home.epoch, "moved"),
        placement.join(meeting, person("ann"), limit=9),
        placement.publish(meeting, ActiveSpeaker(participant_id=None)),
    ):
        with pytest.raises(MeetingIsOver):
            await refused
    left = [key for key in await redis.keys() if meeting.encode() in key]
    assert left == [f"kcs:ended:{meeting}".encode()]
    assert 0 < await redis.pttl(left[0]) <= 24 * 3600 * 1000
    assert await redis.zcard("kcs:presence") == 0
    assert [view.reserved for view in await placement.nodes()] == [0]


async def test_the_snapshot_has_all_of_the_meeting_at_the_last_version(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    await placement.join(meeting, person("zoe"), limit=9)
    await asyncio.sleep(0.002)
    await placement.join(meeting, person("ann"), limit=9)
    await placement.open_producer(meeting, MIC, epoch=home.epoch, generation=Generation(0))
    snapshot = await placement.snapshot(meeting)
    assert snapshot.assignment == home
    assert [(p.id, p.audio_enabled) for p in snapshot.participants] == [
        ("zoe", False),
        ("ann", True),
    ]
    assert snapshot.producers == (MIC,)
    assert snapshot.version == (await ear.new())[-1].version


async def test_news_is_published_with_the_next_version(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    joined = await placement.join(meeting, person("ann"), limit=9)
    event = ActiveSpeaker(participant_id=ParticipantId("ann"))
    assert await placement.publish(meeting, event) == joined.version + 1
    assert (await ear.new())[-1].event == event


async def test_versions_go_on_growing_after_a_flush(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    before = await placement.join(meeting, person("ann"), limit=9)
    await redis.flushall()
    await asyncio.sleep(0.005)
    assert (await placement.join(meeting, person("ann"), limit=9)).version > before.version


async def test_an_empty_meeting_is_forgotten_after_a_day_and_one_with_people_is_not(
    placement: Placement, redis: Redis, lease: Lease, person: Person, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    await placement.assign(meeting, warmup_ms=0)
    key = f"kcs:home:{meeting}"
    assert await redis.ttl(key) > 0
    ann = await placement.join(meeting, person("ann"), limit=9)
    assert await redis.ttl(key) == -1
    await placement.leave(meeting, ann.participant.id, ann.participant.session)
    assert await redis.ttl(key) > 0


async def test_a_redis_that_lost_all_waits_for_the_nodes_before_it_places_an_unknown_meeting(
    placement: Placement, redis: Redis, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    old = await placement.assign(meeting, warmup_ms=0)
    await redis.flushall()
    await placement.renew(lease("b", consumers=0), [])
    waiting = asyncio.create_task(placement.assign(meeting, warmup_ms=400))
    await asyncio.sleep(0.1)
    hosted = Hosted(meeting_id=meeting, epoch=old.epoch, generation=Generation(0))
    await placement.renew(lease("a"), [hosted])
    assert await waiting == old


async def test_a_meeting_that_no_node_brings_back_is_placed_when_redis_is_warm(
    placement: Placement, lease: Lease, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    began = time.monotonic()
    await placement.assign(meeting, warmup_ms=300)
    assert 0.2 < time.monotonic() - began < 2
    began = time.monotonic()
    await placement.assign(MeetingId("another"), warmup_ms=300)
    assert time.monotonic() - began < 0.2
