"""The end of breakout rooms: by a host, by the time, with the meeting; and a Redis that forgets."""

import asyncio
import time
from datetime import datetime

import pytest
from redis.asyncio import Redis
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_room_survival import OwnSignaling
from tests.support.call import Call, go, heard
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role

SHORT_S = 4
"""Rooms are open so long once everybody is inside: each replica looks twice a second."""


async def test_closing_calls_everybody_back_past_lock_waiting_room_and_capacity(
    signaling: Signaling,
    other_replica: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    meeting = await signaling.create_meeting("ann", max_participants=3)
    call = Call(clients, placement, meeting)
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    red, green = await call.rooms(ann)
    await call.assigns(ann, bob=red, cy=green)
    await ann.get("breakout:open", call.named())
    await go(bob, red)
    await cy.get("join-meeting", {"meetingId": green})
    approval = {"settings": {"require_host_approval": True}}
    await ann.get("room:settings", call.named(**approval))
    await ann.get("room:lock", call.named(locked=True))

    closed = await ann.get("breakout:close", call.named())

    assert (closed["open"], closed["assignments"]) == (False, [])
    told = {"meeting_id": red, "reason": "breakout_closed", "return_to": meeting}
    assert await bob.hears("room:closed") == told
    assert (await cy.hears("room:closed"))["returnTo"] == meeting
    assert heard(cy, "error") == []
    dee = await clients(signaling, "/meeting", "dee")
    assert await dee.refused("room:join", call.named()) == "MEETING_LOCKED"
    back = await go(bob, meeting)
    assert "bob" in [each["user_id"] for each in back["participants"]]
    await cy.get("join-meeting", {"meetingId": meeting})
    assert await dee.refused("room:join", call.named()) == "MEETING_LOCKED"
    assert (await ann.get("breakout:list", call.named()))["inside"] == []
    assert len((await placement.snapshot(MeetingId(meeting))).participants) == 3
    assert await bob.refused("room:join", {"meeting_id": red}) == "MEETING_NOT_OPEN"


async def test_rooms_warn_and_close_by_themselves_when_their_time_is_over(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(signaling, "cy", "/")
    red, green = await call.rooms(ann, choose=True)
    await ann.get("breakout:open", call.named(minutes=60))
    await go(bob, red)
    await cy.get("join-meeting", {"meetingId": green})
    opened = await ann.get("breakout:open", call.named(minutes=SHORT_S / 60))

    warned = await bob.hears("breakout:closing")

    assert warned["meeting_id"] == call.id
    assert 0 <= warned["seconds"] <= SHORT_S
    assert (await cy.hears("breakout:closing"))["meetingId"] == call.id
    assert (await bob.hears("room:closed", timeout_s=10))["return_to"] == call.id
    assert time.time() >= datetime.fromisoformat(opened["closes_at"]).timestamp()
    await cy.hears("room:closed")
    shown = await ann.hears("breakout:updated", lambda p: p["rooms"] and not p["inside"])
    while shown["open"] or shown["closes_at"]:
        shown = await ann.hears("breakout:updated")
    assert heard(bob, "breakout:closing") == heard(cy, "breakout:closing") == []


async def test_they_close_by_themselves_though_nobody_is_left_in_the_main_meeting(
    call: Call, signaling: Signaling, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob", role=Role.CO_HOST)
    (room,) = await call.rooms(ann, 1)
    await ann.get("breakout:open", call.named())
    await go(ann, room)
    await bob.get("breakout:open", call.named(minutes=SHORT_S / 60))
    await bob.get("room:leave", call.named())
    assert (await placement.snapshot(MeetingId(call.id))).participants == ()

    assert (await ann.hears("room:closed", timeout_s=10))["return_to"] == call.id
    back = await go(ann, call.id)
    assert back["your_role"] == "host"
    assert (back["breakouts"]["open"], back["breakouts"]["closes_at"]) == (False, None)


async def test_a_host_who_closes_them_gives_people_time_and_warns_them_once(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(other_replica, "bob")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named(minutes=60))
    await go(bob, room)

    closing = await ann.get("breakout:close", call.named(seconds=200))
    assert (closing["open"], closing["closes_at"] is not None) == (True, True)
    assert (await bob.hears("breakout:closing"))["seconds"] == 200
    await ann.get("breakout:close", call.named(seconds=SHORT_S))
    assert (await bob.hears("breakout:closing"))["seconds"] <= SHORT_S
    assert (await bob.hears("room:closed", timeout_s=10))["reason"] == "breakout_closed"
    assert heard(bob, "breakout:closing") == []


async def test_rooms_open_again_after_they_closed(call: Call, signaling: Signaling) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    (room,) = await call.rooms(ann, 1)
    for _ in range(2):
        await call.assigns(ann, bob=room)
        await ann.get("breakout:open", call.named())
        assert (await bob.hears("breakout:go"))["room_id"] == room
        assert (await go(bob, room))["parent_id"] == call.id
        await ann.get("breakout:close", call.named())
        await bob.hears("room:closed")
        await go(bob, call.id)
    assert heard(bob, "breakout:go") == []


async def test_ending_the_main_meeting_ends_its_rooms_for_good(
    call: Call, signaling: Signaling, other_replica: Signaling, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob, cy = await call.enters(other_replica, "bob"), await call.enters(other_replica, "cy", "/")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    await go(bob, room)
    await cy.get("join-meeting", {"meetingId": room})

    await ann.get("room:end", call.named())

    ended = {"meeting_id": room, "reason": "ended_by_host", "return_to": None}
    assert await bob.hears("room:closed") == ended
    assert (await cy.hears("error"))["code"] == "MEETING_ENDED"
    assert await bob.refused("room:join", call.named()) == "MEETING_ENDED"
    gone = ("MEETING_ENDED", "MEETING_NOT_FOUND")  # the replica may have read the record before
    assert await bob.refused("room:join", {"meeting_id": room}) in gone
    assert await known(placement, call.id) == await known(placement, room) == set()


async def test_a_host_who_visits_a_room_is_called_back_when_rooms_are_made_anew(
    call: Call, signaling: Signaling, other_replica: Signaling, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    cora = await call.enters(other_replica, "cora", role=Role.CO_HOST)
    *_, third = await call.rooms(ann, 3)
    await go(cora, third)

    await call.rooms(ann, 2)

    told = {"meeting_id": third, "reason": "breakout_closed", "return_to": call.id}
    assert await cora.hears("room:closed") == told
    said = {"meeting_id": third, "message": "anybody here?"}
    assert await cora.refused("chat:send", said) == "NOT_JOINED"
    assert await known(placement, third) == set()
    assert (await go(cora, call.id))["your_role"] == "co_host"


async def test_ending_the_main_meeting_ends_a_room_too_that_it_lists_no_longer(
    call: Call, signaling: Signaling, other_replica: Signaling, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    cora = await call.enters(other_replica, "cora", role=Role.CO_HOST)
    *_, third = await call.rooms(ann, 3)
    main = MeetingId(call.id)
    now = await placement.breakouts(main)
    assert now is not None
    fewer = now.model_copy(update={"rooms": now.rooms[:2]})
    await go(cora, third)  # as if she had been on her way while they were made anew
    await placement.change_live(main, "breakouts", fewer)

    await ann.get("room:end", call.named())

    ended = {"meeting_id": third, "reason": "ended_by_host", "return_to": None}
    assert await cora.hears("room:closed") == ended
    assert await known(placement, third) == set()


async def test_a_host_ends_the_meeting_from_a_breakout_room_and_nobody_else_does(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    await go(bob, room)
    await go(ann, room)
    assert await bob.refused("room:end", {"meeting_id": room}) == "ACCESS_DENIED"

    assert await ann.get("room:end", {"meeting_id": room}) == {"meeting_id": call.id}
    assert (await bob.hears("room:closed"))["reason"] == "ended_by_host"


@pytest.mark.parametrize("host_goes_too", [False, True])
async def test_rooms_and_assignments_outlive_a_redis_that_forgets_all(
    host_goes_too: bool,
    redis: Redis,
    own_signaling: OwnSignaling,
    placement: Placement,
    clients: MakeClient,
) -> None:
    quick = {"KCS_MEETING__PRESENCE_SECONDS": "2"}
    one, two = await own_signaling(**quick), await own_signaling(**quick)
    keys = {one.tokens.signer_kid: one.key.public_key()}
    async with FakeNode(placement, keys, "n"):
        call = Call(clients, placement, await one.create_meeting("ann"))
        ann, bob = await call.enters(one, "ann"), await call.enters(two, "bob")
        cy = await call.enters(two, "cy", role=Role.ATTENDEE)
        red, green = await call.rooms(ann, names=["Red"])
        await call.assigns(ann, bob=red, cy=green)
        minutes = {"minutes": 15 / 60} if host_goes_too else {}
        await ann.get("breakout:open", call.named(**minutes))
        await go(bob, red)
        await go(cy, green)
        if host_goes_too:
            await go(ann, green)
        before = await placement.breakouts(MeetingId(call.id))
        for client in (ann, bob, cy):
            await client.settle()
            client.heard.clear()

        await redis.flushall()
        await until_known(placement, red, "bob")
        await until_known(placement, green, "cy")

        main = await placement.snapshot(MeetingId(call.id))
        assert await placement.breakouts(MeetingId(call.id)) == before
        assert main.inside.items() >= {("bob", red), ("cy", green)}
        # and all of it still works: they close, by themselves too, and everybody comes back
        if not host_goes_too:
            await ann.get("breakout:close", call.named())
        for client, room in ((bob, red), (cy, green)):
            assert (await client.hears("room:closed", timeout_s=25))["meeting_id"] == room
            assert (await go(client, call.id))["meeting_id"] == call.id
        for client in (ann, bob, cy):
            assert heard(client, "participant:left") == []


async def until_known(placement: Placement, meeting: str, user: str) -> None:
    """Waits until placement has somebody (again)."""
    async with asyncio.timeout(5):
        while user not in {
            p.id for p in (await placement.snapshot(MeetingId(meeting))).participants
        }:
            await asyncio.sleep(0.05)


async def known(placement: Placement, meeting: str) -> set[str]:
    """Who is in a meeting or a room."""
    return {str(each.id) for each in (await placement.snapshot(MeetingId(meeting))).participants}
