"""Breakout rooms: who is inside keeps their place in the main meeting, and its rules hold."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import BreakoutMoved, MeetingEnded, ParticipantJoined, ParticipantLeft
from kcs_contracts.ids import MeetingId, ParticipantId, SessionId
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import (
    Joined,
    MeetingFull,
    MeetingIsLocked,
    NotInMeeting,
    Placement,
    PlacementError,
    WasRemoved,
)
from kcs_contracts.rooms import BreakoutRoom, Breakouts, Participant, Role

Person = Callable[..., Participant]
ANN, BOB, HAL = ParticipantId("ann"), ParticipantId("bob"), ParticipantId("hal")
S1 = SessionId("s1")


@pytest.fixture
def room(meeting: MeetingId) -> MeetingId:
    return MeetingId(f"{meeting}:1")


class Rooms:
    """The main meeting and its room, as signaling uses them."""

    def __init__(self, placement: Placement, person: Person, main: MeetingId, room: MeetingId):
        self.placement, self.person = placement, person
        self.main, self.room = main, room

    async def join(self, place: MeetingId, name: str, *, limit: int = 9, **fields: Any) -> Joined:
        live = {} if place == self.main else {"parent": as_json(self.main)}
        joined = await self.placement.join(
            place, self.person(name, **fields), limit=limit, live=live
        )
        assert isinstance(joined, Joined)
        return joined

    async def move(self, name: str, *places: MeetingId, **fields: Any) -> None:
        """In at the first place; each next one before the last is left."""
        for before, place in zip((None, *places), places, strict=False):
            await self.join(place, name, **fields)
            if before is not None:
                assert await self.placement.leave(before, ParticipantId(name), S1)

    async def inside(self) -> dict[ParticipantId, MeetingId]:
        return (await self.placement.snapshot(self.main)).inside

    async def roles(self) -> dict[str, Role]:
        return {p.id: p.role for p in (await self.placement.snapshot(self.main)).participants}


@pytest.fixture
def rooms(placement: Placement, person: Person, meeting: MeetingId, room: MeetingId) -> Rooms:
    return Rooms(placement, person, meeting, room)


async def test_the_main_meeting_hears_who_goes_in_and_out(rooms: Rooms, ear: Any) -> None:
    await rooms.move("ann", rooms.main, rooms.room, rooms.main)
    heard = [p.event for p in await ear.new() if p.meeting_id == rooms.main]
    moved = {"participant_id": ANN, "display_name": "Ann", "room_id": rooms.room}
    moves = [event for event in heard if isinstance(event, BreakoutMoved)]
    assert moves == [BreakoutMoved(**moved, inside=True), BreakoutMoved(**moved, inside=False)]
    assert [type(event) for event in heard] == [
        ParticipantJoined,
        BreakoutMoved,
        ParticipantLeft,
        ParticipantJoined,
        BreakoutMoved,
    ]


async def test_whoever_is_inside_keeps_their_place_and_may_always_come_back(
    rooms: Rooms, placement: Placement
) -> None:
    await rooms.move("ann", rooms.main, rooms.room)
    assert await rooms.inside() == {ANN: rooms.room}
    await rooms.join(rooms.main, "bob")
    with pytest.raises(MeetingFull):
        await rooms.join(rooms.main, "cy", limit=2)
    await placement.update_settings(
        rooms.main, RoomSettings(locked=True, require_host_approval=True)
    )
    await rooms.join(rooms.main, "ann", limit=2)
    assert await rooms.inside() == {ANN: rooms.room}, "they are in both until they leave it"
    await placement.leave(rooms.room, ANN, S1)
    assert await rooms.inside() == {}


async def test_from_room_to_room_people_are_in_the_last(rooms: Rooms) -> None:
    other = MeetingId(f"{rooms.main}:2")
    await rooms.move("ann", rooms.main, rooms.room, other)
    assert await rooms.inside() == {ANN: other}
    await rooms.placement.leave(other, ANN, S1)
    assert await rooms.inside() == {}


@pytest.mark.parametrize(
    ("settings", "people", "why"),
    [
        (RoomSettings(locked=True), 1, MeetingIsLocked),
        (RoomSettings(require_host_approval=True), 1, NotInMeeting),
        (RoomSettings(), 2, MeetingFull),
    ],
)
async def test_nobody_comes_into_a_room_whom_the_main_meeting_would_not_let_in(
    rooms: Rooms, settings: RoomSettings, people: int, why: type[PlacementError]
) -> None:
    for number in range(people):
        await rooms.join(rooms.main, f"p{number}")
    await rooms.placement.update_settings(rooms.main, settings)
    with pytest.raises(why):
        await rooms.join(rooms.room, "ann", limit=2)
    assert await rooms.inside() == {}
    if why is not MeetingFull:
        await rooms.join(rooms.room, "cora", role=Role.CO_HOST, limit=3)
        await rooms.join(rooms.room, "p0", limit=3)


async def test_whoever_is_removed_is_out_of_the_room_too_and_comes_into_none(
    rooms: Rooms, placement: Placement
) -> None:
    await rooms.move("ann", rooms.main, rooms.room)
    await rooms.join(rooms.main, "ann", session="s2")  # in both
    assert await placement.expel(rooms.main, ANN)
    for place in (rooms.main, rooms.room):
        assert (await placement.snapshot(place)).participants == ()
    for place in (rooms.main, rooms.room):
        with pytest.raises(WasRemoved):
            await rooms.join(place, "ann")
    await placement.welcome(rooms.main, [ANN])
    await rooms.move("ann", rooms.main, rooms.room)


async def test_whoever_is_removed_on_their_way_back_leaves_an_idle_meeting(
    rooms: Rooms, placement: Placement, redis: Redis
) -> None:
    await rooms.move("ann", rooms.main, rooms.room)
    await placement.end(rooms.room, "breakout_closed")
    assert await placement.expel(rooms.main, ANN)
    assert await rooms.inside() == {}
    assert await redis.zscore("kcs:idle", rooms.main) is not None


async def test_a_room_that_is_closed_lets_in_hosts_alone(rooms: Rooms) -> None:
    closed = Breakouts(rooms=(BreakoutRoom(id=rooms.room, name="1"),))
    await rooms.placement.change_live(rooms.main, "breakouts", closed)
    for name in ("ann", "hal"):
        await rooms.join(rooms.main, name)
    with pytest.raises(MeetingIsLocked):
        await rooms.join(rooms.room, "ann")
    await rooms.join(rooms.room, "hal", role=Role.HOST)


async def test_whoever_is_in_a_room_that_closes_may_come_back_for_a_while(
    rooms: Rooms, placement: Placement, redis: Redis, ear: Any
) -> None:
    for name in ("ann", "bob"):
        await rooms.move(name, rooms.main, rooms.room)
    await ear.new()
    assert await placement.end(rooms.room, "breakout_closed")
    assert await ear.events() == [MeetingEnded(reason="breakout_closed", return_to=rooms.main)]
    assert [key for key in await redis.keys("*") if rooms.room.encode() in key] == []
    assert set(await rooms.inside()) == {ANN, BOB}
    await placement.update_settings(rooms.main, RoomSettings(locked=True))
    await rooms.join(rooms.main, "ann")
    await redis.zadd("kcs:presence", {f"{rooms.main}/bob": 1})  # as if 30 s were over
    assert await placement.sweep() == []
    assert await rooms.inside() == {}
    with pytest.raises(MeetingIsLocked):
        await rooms.join(rooms.main, "bob")


async def test_a_room_that_closes_shortens_nobodys_presence(
    rooms: Rooms, placement: Placement, redis: Redis
) -> None:
    await rooms.join(rooms.main, "ann")
    await rooms.join(rooms.room, "ann")
    await placement.away(rooms.main, ANN, S1, 3_600_000)
    before = await redis.zscore("kcs:presence", f"{rooms.main}/ann")
    await placement.end(rooms.room, "breakout_closed")
    assert await redis.zscore("kcs:presence", f"{rooms.main}/ann") == before


async def test_a_meeting_is_not_idle_while_somebody_is_in_a_room(
    rooms: Rooms, placement: Placement, redis: Redis
) -> None:
    await rooms.join(rooms.main, "ann")
    await placement.leave(rooms.main, ANN, S1)
    assert await redis.zscore("kcs:idle", rooms.main) is not None
    await rooms.join(rooms.room, "ann")  # straight, as after a reload
    assert await redis.zscore("kcs:idle", rooms.main) is None
    assert await redis.pttl(f"kcs:home:{rooms.main}") == -1
    await placement.leave(rooms.room, ANN, S1)
    for place in (rooms.main, rooms.room):
        assert await redis.zscore("kcs:idle", place) is not None
        assert await redis.pttl(f"kcs:home:{place}") > 0


async def test_a_room_that_outlives_its_main_meeting_leaves_nothing_of_it(
    rooms: Rooms, placement: Placement, redis: Redis
) -> None:
    await rooms.move("ann", rooms.main, rooms.room)
    await placement.end(rooms.main, "ended_by_host")
    await placement.leave(rooms.room, ANN, S1)
    assert await redis.keys(f"*:{rooms.main}") == [f"kcs:ended:{rooms.main}".encode()]
    assert await redis.zrange("kcs:idle", 0, -1) == [rooms.room.encode()]


async def test_a_host_in_a_room_is_not_gone_until_they_leave_it(
    rooms: Rooms, placement: Placement
) -> None:
    await rooms.join(rooms.main, "bob", role=Role.CO_HOST)
    await rooms.move("hal", rooms.main, rooms.room, role=Role.HOST)
    assert await rooms.roles() == {"bob": Role.CO_HOST}
    await placement.leave(rooms.room, HAL, S1)
    assert await rooms.roles() == {"bob": Role.HOST}


async def test_whoever_is_in_the_hosts_place_keeps_it_through_a_room_and_loses_it_to_the_host(
    rooms: Rooms, placement: Placement
) -> None:
    await rooms.join(rooms.main, "hal", role=Role.HOST)
    await rooms.join(rooms.main, "bob", role=Role.PRESENTER)
    await placement.leave(rooms.main, HAL, S1)
    await rooms.join(rooms.room, "bob", role=Role.HOST)
    await placement.leave(rooms.main, BOB, S1)
    back = await rooms.join(rooms.main, "bob", role=Role.PRESENTER)
    assert back.participant.role is Role.HOST
    await placement.leave(rooms.room, BOB, S1)
    await rooms.move("bob", rooms.main, rooms.room, role=Role.HOST)
    await rooms.join(rooms.main, "hal", role=Role.HOST)
    (bob,) = (await placement.snapshot(rooms.room)).participants
    assert bob.role is Role.PRESENTER


async def test_the_hosts_place_goes_on_when_its_holder_does_not_come_back_from_a_room(
    rooms: Rooms, placement: Placement, redis: Redis
) -> None:
    await rooms.join(rooms.main, "hal", role=Role.HOST)
    await rooms.join(rooms.main, "bob", role=Role.CO_HOST)
    await rooms.join(rooms.main, "ann", role=Role.PRESENTER)
    await placement.leave(rooms.main, HAL, S1)
    await rooms.join(rooms.room, "bob", role=Role.HOST)
    await placement.leave(rooms.main, BOB, S1)
    await placement.end(rooms.room, "breakout_closed")
    await redis.zadd("kcs:presence", {f"{rooms.main}/bob": 1})
    await placement.sweep()
    assert await rooms.roles() == {"ann": Role.HOST}
    assert (await rooms.join(rooms.main, "bob", role=Role.CO_HOST)).participant.role is Role.CO_HOST


@pytest.mark.parametrize("hal_is_in", ["main", "room"])
async def test_roles_and_mutes_are_the_meetings_whichever_room_they_are_given_in(
    rooms: Rooms, placement: Placement, hal_is_in: str
) -> None:
    here = rooms.main if hal_is_in == "main" else rooms.room
    await rooms.move("bob", rooms.main, rooms.room, role=Role.CO_HOST)
    assert await placement.change_role(here, BOB, Role.ATTENDEE, HAL) == [rooms.room]
    assert await placement.mute(here, BOB, "audio", True, HAL) == [rooms.room]
    (bob,) = (await placement.snapshot(rooms.room)).participants
    assert (bob.role, bob.audio_muted) == (Role.ATTENDEE, True)

    back = (await rooms.join(rooms.main, "bob", role=Role.CO_HOST)).participant
    assert (back.role, back.audio_muted) == (Role.ATTENDEE, True)
    assert (await placement.person(rooms.room, BOB)).given is Role.ATTENDEE

    # in both, on their way
    assert await placement.change_role(here, BOB, Role.GUEST, HAL) == [rooms.main, rooms.room]
    assert await placement.mute(here, BOB, "audio", False, HAL) == [rooms.main, rooms.room]
    for place in (rooms.main, rooms.room):
        (bob,) = (await placement.snapshot(place)).participants
        assert (bob.role, bob.audio_muted) == (Role.GUEST, False)
    assert not [field for field in (await placement.live(rooms.room)).fields if ":" in field]


async def test_whoever_is_muted_stays_so_from_place_to_place_and_when_their_room_closes(
    rooms: Rooms, placement: Placement
) -> None:
    await rooms.join(rooms.main, "ann")
    await placement.mute(rooms.main, ANN, "video", True, HAL)
    assert (await rooms.join(rooms.room, "ann")).participant.video_muted
    await placement.leave(rooms.main, ANN, S1)
    await placement.mute(rooms.room, ANN, "audio", True, HAL)
    await placement.mute(rooms.room, ANN, "video", False, HAL)

    await placement.end(rooms.room, "breakout_closed")

    back = (await rooms.join(rooms.main, "ann")).participant
    assert (back.audio_muted, back.video_muted) == (True, False)


async def test_whoever_is_in_the_hosts_place_is_host_in_rooms_whatever_role_they_were_given(
    rooms: Rooms, placement: Placement
) -> None:
    await rooms.join(rooms.main, "hal", role=Role.HOST)
    await rooms.join(rooms.main, "bob", role=Role.ATTENDEE)
    await placement.change_role(rooms.main, BOB, Role.CO_HOST, HAL)
    await placement.leave(rooms.main, HAL, S1)
    assert await rooms.roles() == {"bob": Role.HOST}
    assert (await rooms.join(rooms.room, "bob", role=Role.HOST)).participant.role is Role.HOST


async def test_erasing_somebody_takes_their_way_back(rooms: Rooms, ear: Any) -> None:
    await rooms.move("ann", rooms.main, rooms.room)
    await ear.new()
    for place in (rooms.room, rooms.main):
        await rooms.placement.forget_person(place, ANN)
    assert await rooms.inside() == {}
    left = [type(event) for event in await ear.events()]
    assert left == [ParticipantLeft, BreakoutMoved]


async def test_erasing_somebody_on_their_way_back_leaves_nothing_of_them(
    rooms: Rooms, placement: Placement, redis: Redis
) -> None:
    await rooms.move("ann", rooms.main, rooms.room)
    await placement.end(rooms.room, "breakout_closed")
    await placement.forget_person(rooms.main, ANN)
    assert await rooms.inside() == {}
    assert await redis.zcard("kcs:presence") == 0
