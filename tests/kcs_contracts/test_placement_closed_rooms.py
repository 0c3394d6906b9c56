"""What a replica puts back that did not hear of a breakout room's end; and whom roles wait for."""

from collections.abc import Callable

import pytest

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId
from kcs_contracts.live import as_json
from kcs_contracts.placement import MeetingIsLocked, Placement
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
