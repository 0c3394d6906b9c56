"""Meetings that move while they run: a second home beside the first, and how that ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import (
    ActiveSpeaker,
    AtNext,
    MediaMigrating,
    MediaMoved,
    MediaReset,
    MoveAbandoned,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
)
from kcs_contracts.ids import BootId, Epoch, Generation, MeetingId, NodeName, ParticipantId
from kcs_contracts.ids import ProducerId as Id
from kcs_contracts.placement import (
    EndedMove,
    Hosted,
    Housed,
    MeetingIsOver,
    Move,
    NoCapacity,
    NodeLease,
    Placement,
    StaleEpoch,
)
from kcs_contracts.rooms import Assignment, Participant, Producer, Source

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]
A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
ANN, BOB = ParticipantId("ann"), ParticipantId("bob")
G0 = Generation(0)


def hosted(meeting: MeetingId, epoch: int, generation: int = 0) -> Hosted:
    return Hosted(meeting_id=meeting, epoch=Epoch(epoch), generation=Generation(generation))


def camera(name: str, who: ParticipantId = ANN, **more: Any) -> Producer:
    return Producer(id=Id(name), participant_id=who, source=Source.CAMERA, **more)


class Call:
    """Ann and Bob in a meeting on node "a"; "b" has room, and "c" with it if it is asked for."""

    def __init__(self, placement: Placement, meeting: MeetingId, lease: Lease):
        self.placement, self.id, self.lease = placement, meeting, lease
        self.home: Assignment
        self.next: Assignment

    async def begins(self, person: Person) -> "Call":
        await self.placement.renew(self.lease("a", region="eu"), [])
        self.home = await self.placement.assign(self.id, warmup_ms=0)
        for name in ("ann", "bob"):
            await self.placement.join(self.id, person(name), limit=9)
        await self.placement.renew(self.lease("b"), [])
        return self

    async def moves(self, **more: Any) -> Assignment:
        where = self.home.node, self.home.epoch
        found = await self.placement.migrate(self.id, *where, **more)
        assert found is not None
        self.next = found
        return found

    async def opens(self, producer: Producer, home: Assignment) -> str | None:
        return await self.placement.open_producer(
            self.id, producer, epoch=home.epoch, generation=G0
        )

    async def cross(self, *who: ParticipantId) -> None:
        await self.placement.cross(self.id, self.next.epoch, who)


@pytest.fixture
async def call(placement: Placement, meeting: MeetingId, lease: Lease, person: Person) -> Call:
    return await Call(placement, meeting, lease).begins(person)


# --- how it begins -------------------------------------------------------------------------------


async def test_a_move_gives_a_second_home_and_changes_nothing_at_the_first(
    call: Call, placement: Placement, ear: Any
) -> None:
    await call.opens(camera("p"), call.home)
    await ear.new()
    moving = await call.moves()
    assert (moving.node, moving.boot, moving.control_url) == ("b", "boot", "http://b:1")
    assert moving.epoch > call.home.epoch
    assert await ear.events() == [MediaMigrating(node=B, epoch=moving.epoch, generation=G0)]
    assert await placement.assign(call.id) == call.home
    assert await placement.homes(call.id) == [call.home, moving]
    assert await placement.moves() == [Move(call.id, B, moving.epoch)]
    snapshot = await placement.snapshot(call.id)
    assert [p.id for p in snapshot.producers] == ["p"]
    assert snapshot.next is not None
    assert (snapshot.next.assignment, snapshot.next.producers) == (moving, ())


async def test_whoever_asks_again_or_late_changes_nothing(call: Call, placement: Placement) -> None:
    moving = await call.moves()
    assert await call.moves() == moving
    assert await placement.migrate(call.id, B, call.home.epoch) is None
    assert await placement.migrate(call.id, A, Epoch(call.home.epoch - 1)) is None
    assert await placement.migrate(MeetingId("unknown"), A, call.home.epoch) is None


async def test_two_that_ask_at_once_get_the_same_next_home(call: Call) -> None:
    found = await asyncio.gather(*(call.moves() for _ in range(20)))
    assert len({each.epoch for each in found}) == 1


async def test_a_meeting_stays_where_no_other_node_has_room_and_is_over_when_it_ended(
    call: Call, placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("b", cpu=1.0), [])
    with pytest.raises(NoCapacity):
        await call.moves()
    assert await placement.homes(call.id) == [call.home]
    await placement.end(call.id, "ended_by_host")
    with pytest.raises(MeetingIsOver):
        await call.moves()


async def test_the_next_home_is_in_the_present_one_s_region_unless_another_is_named(
    call: Call, placement: Placement, lease: Lease
) -> None:
    await placement.renew(lease("c", region="eu"), [])
    assert (await call.moves()).node == "c"
    await placement.abandon_move(call.id, call.next.epoch)
    assert (await call.moves(region="")).node == "c"
    await placement.abandon_move(call.id, call.next.epoch)
    await placement.renew(lease("d", region="us"), [])
    assert (await call.moves(region="us")).node == "d"


async def test_a_meeting_with_nobody_in_it_moves_at_once(
    call: Call, placement: Placement, ear: Any
) -> None:
    for who in ("ann", "bob"):
        await placement.leave(call.id, ParticipantId(who), "s1")  # type: ignore[arg-type]
    await ear.new()
    moved = await call.moves()
    assert await placement.assignment(call.id) == moved
    assert [type(event) for event in await ear.events()] == [MediaReset]
    assert await placement.moves() == []


# --- while it lasts ------------------------------------------------------------------------------


async def test_what_is_sent_to_the_next_home_is_told_apart_and_changes_no_flag(
    call: Call, placement: Placement, ear: Any
) -> None:
    await call.opens(camera("old"), call.home)
    moving = await call.moves()
    await ear.new()
    assert await call.opens(camera("new", paused=True), moving) is None
    assert await placement.pause_producer(call.id, Id("new"), ANN, False)
    assert await call.opens(camera("newer"), moving) == "new"
    assert await placement.close_producer(call.id, Id("newer"), ANN)
    told = await ear.events()
    assert [event.epoch for event in told] == [moving.epoch] * 5
    assert [(type(event), type(event.event)) for event in told] == [
        (AtNext, ProducerOpened),
        (AtNext, ProducerPaused),
        (AtNext, ProducerClosed),
        (AtNext, ProducerOpened),
        (AtNext, ProducerClosed),
    ]
    snapshot = await placement.snapshot(call.id)
    assert [p.id for p in snapshot.producers] == ["old"]
    assert snapshot.next is not None
    assert snapshot.next.producers == ()
    assert next(p for p in snapshot.participants if p.id == ANN).video_enabled


async def test_a_host_s_mute_holds_at_both_homes(call: Call, placement: Placement) -> None:
    await call.opens(camera("old"), call.home)
    await call.opens(camera("new"), await call.moves())
    await placement.mute(call.id, ANN, "video", True)
    snapshot = await placement.snapshot(call.id)
    assert snapshot.next is not None
    assert [p.paused for p in (*snapshot.producers, *snapshot.next.producers)] == [True, True]
    late = Producer(id=Id("late"), participant_id=ANN, source=Source.CAMERA)
    await call.opens(late, call.next)
    snapshot = await placement.snapshot(call.id)
    assert snapshot.next is not None
    assert [(p.id, p.paused) for p in snapshot.next.producers] == [("late", True)]


async def test_a_screen_takes_one_place_however_many_homes_it_is_sent_to(
    call: Call, placement: Placement
) -> None:
    old = Producer(id=Id("s1"), participant_id=ANN, source=Source.SCREEN)
    await call.opens(old, call.home)
    new = old.model_copy(update={"id": Id("s2")})
    await call.opens(new, await call.moves())
    await placement.close_producer(call.id, new.id, ANN)
    people = (await placement.snapshot(call.id)).participants
    assert [p.screen_sharing for p in people] == [True, False]
    await placement.close_producer(call.id, old.id, ANN)
    people = (await placement.snapshot(call.id)).participants
    assert [p.screen_sharing for p in people] == [False, False]


async def test_whoever_leaves_is_gone_from_both_homes_and_is_not_waited_for(
    call: Call, placement: Placement
) -> None:
    await call.opens(camera("old"), call.home)
    await call.opens(camera("new"), await call.moves())
    await call.cross(BOB)
    assert await placement.tend_moves() == []
    await placement.leave(call.id, ANN, "s1")  # type: ignore[arg-type]
    assert await placement.tend_moves() == [EndedMove(call.id, "moved", call.next.epoch)]
    assert (await placement.snapshot(call.id)).producers == ()


async def test_whoever_leaves_and_comes_again_has_not_crossed_any_more(
    call: Call, placement: Placement, person: Person
) -> None:
    await call.moves()
    await call.cross(ANN, BOB)
    await placement.leave(call.id, ANN, "s1")  # type: ignore[arg-type]
    await placement.join(call.id, person("ann"), limit=9)
    assert await placement.tend_moves() == []


async def test_each_node_keeps_its_room_and_the_survey_counts_people_once(
    call: Call, placement: Placement, lease: Lease
) -> None:
    moving = await call.moves()
    for node, home in ((A, call.home), (B, moving)):
        renewal = await placement.renew(lease(node), [hosted(call.id, home.epoch)])
        assert renewal.stale == ()
    assert await placement.survey([A, B]) == {
        A: [Housed(call.id, call.home.epoch, 2)],
        B: [Housed(call.id, moving.epoch, 0)],
    }


async def test_only_the_home_s_room_says_who_speaks(
    call: Call, placement: Placement, ear: Any
) -> None:
    moving = await call.moves()
    await ear.new()
    event = ActiveSpeaker(participant_id=ANN)
    assert await placement.publish(call.id, event, epoch=moving.epoch) == 0
    assert await placement.publish(call.id, event, epoch=call.home.epoch) > 0
    assert await ear.events() == [event]


# --- how it ends ---------------------------------------------------------------------------------


async def test_when_all_have_crossed_the_next_home_is_the_home_with_what_is_sent_there(
    call: Call, placement: Placement, ear: Any, lease: Lease
) -> None:
    await call.opens(camera("old"), call.home)
    moving = await call.moves()
    await call.opens(camera("new"), moving)
    await call.cross(ANN)
    assert await placement.tend_moves() == []
    await call.cross(BOB, ParticipantId("nobody"))
    await ear.new()
    assert await placement.tend_moves() == [EndedMove(call.id, "moved", moving.epoch)]
    assert await ear.events() == [MediaMoved(node=B, epoch=moving.epoch, generation=G0)]
    snapshot = await placement.snapshot(call.id)
    assert (snapshot.assignment, snapshot.next) == (moving, None)
    assert [p.id for p in snapshot.producers] == ["new"]
    assert await call.opens(camera("newer"), moving) == "new"
    with pytest.raises(StaleEpoch):
        await call.opens(camera("late"), call.home)
    await call.cross(ANN)  # late, but there
    old = await placement.renew(lease("a"), [hosted(call.id, call.home.epoch)])
    assert (old.moved, old.over) == ((call.id,), ())
    assert await placement.tend_moves() == []


async def test_whoever_does_not_cross_is_waited_for_no_longer_than_agreed(
    call: Call, placement: Placement
) -> None:
    await call.moves(move_ms=60, more_ms=40)
    assert await placement.tend_moves() == []
    await asyncio.sleep(0.12)
    assert [move.outcome for move in await placement.tend_moves()] == ["moved"]
    assert await placement.assignment(call.id) == call.next


async def test_when_the_next_home_dies_nothing_has_changed_and_its_epoch_is_never_given_again(
    call: Call, placement: Placement, ear: Any, lease: Lease
) -> None:
    await call.opens(camera("old"), call.home)
    moving = await call.moves()
    await call.opens(camera("new"), moving)
    await placement.release(B, BootId("boot"))
    await ear.new()
    assert await placement.tend_moves() == [EndedMove(call.id, "abandoned", moving.epoch)]
    assert await ear.events() == [MoveAbandoned(epoch=moving.epoch)]
    assert await placement.homes(call.id) == [call.home]
    assert [p.id for p in (await placement.snapshot(call.id)).producers] == ["old"]
    with pytest.raises(StaleEpoch):
        await call.cross(ANN)
    back = await placement.renew(lease("b", "b2"), [hosted(call.id, moving.epoch)])
    assert back.moved == (call.id,)
    assert await placement.assignment(call.id) == call.home
    assert (await call.moves()).epoch > moving.epoch


async def test_a_worker_that_dies_at_the_next_home_ends_the_move_by_report_or_by_renewal(
    call: Call, placement: Placement, lease: Lease
) -> None:
    moving = await call.moves()
    await placement.reset_media(call.id, B, moving.epoch, Generation(1))
    assert await placement.homes(call.id) == [call.home]
    moving = await call.moves()
    renewal = await placement.renew(lease("b"), [hosted(call.id, moving.epoch, 1)])
    assert renewal.moved == (call.id,)
    assert await placement.homes(call.id) == [call.home]


async def test_a_worker_that_dies_at_the_home_resets_the_media_and_ends_the_move(
    call: Call, placement: Placement, ear: Any
) -> None:
    moving = await call.moves()
    await call.opens(camera("new"), moving)
    await ear.new()
    await placement.reset_media(call.id, A, call.home.epoch, Generation(1))
    assert [type(event) for event in await ear.events()] == [MediaReset]
    snapshot = await placement.snapshot(call.id)
    assert (snapshot.next, snapshot.assignment) == (None, call.home)


@pytest.mark.parametrize("by", ["evict", "assign"])
async def test_when_the_home_dies_the_meeting_goes_on_where_it_was_moving_to(
    call: Call, placement: Placement, ear: Any, by: str
) -> None:
    moving = await call.moves()
    await call.opens(camera("new"), moving)
    await placement.release(A, BootId("boot"))
    await ear.new()
    if by == "assign":
        assert await placement.assign(call.id) == moving
    else:
        found = await placement.evict(call.id, A, call.home.epoch, "node_lost")
        assert found == moving
    assert [type(event) for event in await ear.events()] == [MediaMoved]
    assert [p.id for p in (await placement.snapshot(call.id)).producers] == ["new"]


async def test_when_both_homes_die_the_meeting_gets_a_third_one(
    call: Call, placement: Placement, ear: Any, lease: Lease
) -> None:
    moving = await call.moves()
    for node in (A, B):
        await placement.release(node, BootId("boot"))
    await placement.renew(lease("c"), [])
    await ear.new()
    found = await placement.evict(call.id, A, call.home.epoch, "node_lost")
    assert found is not None
    assert found.node == C
    assert found.epoch > moving.epoch
    assert [type(event) for event in await ear.events()] == [MediaReset]
    assert await placement.moves() == []


async def test_an_emptied_redis_takes_up_the_meeting_where_it_was_moving_to(
    call: Call, placement: Placement, redis: Redis, lease: Lease
) -> None:
    moving = await call.moves()
    claims = {A: call.home, B: moving}
    for first, second in ((A, B), (B, A)):
        await redis.flushall()
        for node in (first, second, first, second):
            await placement.renew(lease(node), [hosted(call.id, claims[node].epoch)])
        assert await placement.assignment(call.id) == moving


async def test_an_end_and_a_finished_move_leave_nothing_of_it_behind(
    call: Call, placement: Placement, redis: Redis
) -> None:
    await call.opens(camera("new"), await call.moves())
    await call.cross(ANN)
    await placement.end(call.id, "deleted")
    left = {key.decode() async for key in redis.scan_iter(f"*{call.id}*")}
    assert left == {f"kcs:ended:{call.id}"}
    assert await redis.exists("kcs:moves", "kcs:reserved:a", "kcs:reserved:b") == 0


async def test_people_are_promised_room_at_the_next_home_for_as_long_as_it_is_one(
    call: Call, placement: Placement, redis: Redis
) -> None:
    await call.moves()
    assert await redis.hexists("kcs:reserved:b", call.id)
    await placement.abandon_move(call.id, call.next.epoch)
    assert not await redis.hexists("kcs:reserved:b", call.id)
    await call.moves(move_ms=0, more_ms=0)
    await placement.tend_moves()
    assert await redis.hexists("kcs:reserved:b", call.id)
    assert not await redis.hexists("kcs:reserved:a", call.id)
