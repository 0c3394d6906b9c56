"""Breakout rooms end all at once, and no replica or node that did not hear of it brings them back;
and whom roles wait for."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import MeetingEnded, RoomChanged
from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId
from kcs_contracts.live import as_json
from kcs_contracts.placement import Hosted, MeetingIsLocked, NodeLease, Placement
from kcs_contracts.rooms import BreakoutRoom, Breakouts, Participant, Role

Person = Callable[..., Participant]
ANN, BOB, HAL = ParticipantId("ann"), ParticipantId("bob"), ParticipantId("hal")


async def test_nobody_is_put_back_into_a_breakout_room_that_was_closed(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    room = MeetingId(f"{meeting}:1")
    now = Breakouts(open=True, rooms=(BreakoutRoom(id=room, name="One"),))
    people = {name: person(name) for name in ("ann", "bob")}
    for each in people.values():
        await placement.join(meeting, each, limit=9)
    await placement.change_live(meeting, "breakouts", now)
    await placement.join(room, people["ann"], limit=9, live={"parent": as_json(meeting)})
    live = (await placement.live(room)).fields
    media = {"epoch": Epoch(0), "generation": Generation(0), "live": live}

    assert await placement.restore(room, people["bob"], [], **media)
    await placement.change_live(meeting, "breakouts", now.model_copy(update={"open": False}))
    await placement.end(room, "breakout_closed")

    for name in ("ann", "bob"):
        with pytest.raises(MeetingIsLocked):
            await placement.restore(room, people[name], [], **media)
    assert (await placement.snapshot(room)).live == {}


@pytest.fixture
async def two_rooms(placement: Placement, person: Person, meeting: MeetingId) -> Breakouts:
    """Open, with ann in the first."""
    rooms = tuple(BreakoutRoom(id=MeetingId(f"{meeting}:{n}"), name=str(n)) for n in (1, 2))
    now = Breakouts(open=True, rooms=rooms)
    await placement.join(meeting, person("hal", role=Role.HOST), limit=9)
    await placement.change_live(meeting, "breakouts", now)
    live = {"parent": as_json(meeting)}
    await placement.join(meeting, person("ann"), limit=9)
    await placement.join(rooms[0].id, person("ann"), limit=9, live=live)
    return now


async def test_all_breakout_rooms_end_in_one_step_with_what_is_said_of_them(
    placement: Placement,
    meeting: MeetingId,
    two_rooms: Breakouts,
    lease: Callable[..., NodeLease],
    ear: Any,
) -> None:
    await placement.renew(lease("a"), [])
    first, second = (room.id for room in two_rooms.rooms)
    home = await placement.assign(first, warmup_ms=0)
    after = two_rooms.model_copy(update={"open": False})
    await ear.new()

    assert await placement.close_breakouts(meeting, after, two_rooms) is None
    assert await ear.new() == []
    assert await placement.close_breakouts(meeting, two_rooms, after, HAL) == [home]

    heard = [(each.meeting_id, each.event) for each in await ear.new()]
    back = MeetingEnded(reason="breakout_closed", return_to=meeting)
    assert heard[0] == (first, back)
    assert [where for where, event in heard if isinstance(event, MeetingEnded)] == [first, second]
    assert heard[-1] == (
        meeting,
        RoomChanged(field="breakouts", value=as_json(after), by=HAL),
    )
    assert await placement.breakouts(meeting) == after
    assert (await placement.snapshot(first)).participants == ()
    assert (
        await placement.close_breakouts(meeting, two_rooms, after) is None
    )  # as a call made twice


async def test_a_node_that_was_not_told_of_the_end_closes_the_room_and_may_have_it_again(
    placement: Placement,
    meeting: MeetingId,
    two_rooms: Breakouts,
    lease: Callable[..., NodeLease],
    redis: Redis,
) -> None:
    await placement.renew(lease("a"), [])
    room = two_rooms.rooms[0].id
    home = await placement.assign(room, warmup_ms=0)
    hosted = Hosted(meeting_id=room, epoch=home.epoch, generation=Generation(0))
    assert (await placement.renew(lease("a"), [hosted])).stale == ()

    await placement.close_breakouts(
        meeting, two_rooms, two_rooms.model_copy(update={"open": False})
    )

    assert (await placement.renew(lease("a"), [hosted])).stale == (room,)
    assert await placement.assignment(room) is None
    assert 0 < await redis.pttl(f"kcs:shut:{room}") <= 24 * 3600 * 1000
    again = await placement.assign(room, warmup_ms=0)
    newer = hosted.model_copy(update={"epoch": again.epoch})
    assert (await placement.renew(lease("a"), [newer])).stale == ()


async def test_whoever_is_asked_in_with_a_role_has_it_when_they_come_and_hosts_keep_theirs(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    host_id = {"host_id": as_json("hal")}
    await placement.join(meeting, person("bob", role=Role.ATTENDEE), limit=9, live=host_id)

    await placement.welcome(meeting, [ANN, BOB, HAL], Role.CO_HOST)

    ann = await placement.join(meeting, person("ann", role=Role.GUEST), limit=9)
    hal = await placement.join(meeting, person("hal", role=Role.HOST), limit=9)
    bob = await placement.join(meeting, person("bob", "s2", role=Role.ATTENDEE), limit=9)
    roles = [each.participant.role for each in (ann, hal, bob)]  # type: ignore[union-attr]
    assert roles == [Role.CO_HOST, Role.HOST, Role.ATTENDEE]
