"""Breakout rooms as people in them meet them: each is a meeting of its own beside the main one."""

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.call import Call, go, heard
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.node_api import SetMuted
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role


async def test_going_into_a_room_leaves_the_main_meeting_and_only_hosts_hear_where(
    call: Call,
    signaling: Signaling,
    other_replica: Signaling,
    placement: Placement,
    node: FakeNode,
    clients: MakeClient,
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(other_replica, "bob")
    cy = await call.enters(signaling, "cy")
    red, _ = await call.rooms(ann, names=["Red"])
    await call.assigns(ann, bob=red)
    await ann.get("breakout:open", call.named())

    joined = await go(bob, red)

    assert (joined["meeting_id"], joined["parent_id"]) == (red, call.id)
    assert joined["settings"]["display_name"] == "Red"
    assert [each["user_id"] for each in joined["participants"]] == ["bob"]
    moved = {"meeting_id": call.id, "room_id": red, "user_id": "bob", "display_name": "Bob"}
    assert await ann.hears("breakout:moved") == {**moved, "inside": True}
    assert (await ann.hears("participant:left"))["user_id"] == "bob"
    await call.told_all(cy)
    assert heard(cy, "breakout:moved") == []
    assert (await ann.get("breakout:list", call.named()))["inside"] == [
        {"user_id": "bob", "room_id": red}
    ]
    assert (await cy.get("breakout:list", call.named()))["inside"] == []
    # the room is a meeting of its own, with its own media server
    home = await placement.assignment(MeetingId(red))
    assert home is not None
    assert home.node == node.name
    assert set(node.rooms) == {call.id, red}
    assert {p.id for p in (await placement.snapshot(MeetingId(red))).participants} == {"bob"}
    assert await bob.get("transport:create", {"meeting_id": red, "direction": "send"})
    assert "bob" in node.rooms[MeetingId(red)].media

    await go(bob, call.id)
    assert await ann.hears("breakout:moved") == {**moved, "inside": False}
    assert await ann.hears("participant:joined", lambda p: p["user_id"] == "bob")
    assert (await placement.snapshot(MeetingId(red))).participants == ()


async def test_who_is_in_a_room_keeps_their_place_in_the_main_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("ann", max_participants=3)
    call = Call(clients, placement, meeting)
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    await call.enters(signaling, "cy")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    await go(bob, room)

    dee = await clients(signaling, "/meeting", "dee")
    assert await dee.refused("room:join", call.named()) == "MEETING_FULL"
    assert (await go(bob, call.id))["user_id"] == "bob"


async def test_rooms_hear_nothing_of_each_others_chat_nor_of_the_main_meetings(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    cy, dee = await call.enters(signaling, "cy"), await call.enters(signaling, "dee")
    red, green = await call.rooms(ann, choose=True)
    await ann.get("breakout:open", call.named())
    await ann.get("chat:send", call.named(message="to the main meeting"))
    assert (await go(bob, red))["recent_messages"] == []
    await go(cy, red)
    await go(dee, green)

    await bob.get("chat:send", {"meeting_id": red, "message": "to red"})
    await dee.get("chat:send", {"meeting_id": green, "message": "to green"})
    assert await bob.refused("chat:send", call.named(message="elsewhere")) == "NOT_JOINED"

    assert (await cy.hears("chat:message", lambda p: p["meeting_id"] == red))["message"] == "to red"
    await dee.hears("chat:message", lambda p: p["meeting_id"] == green)
    await call.told_all(ann)
    said = [[p["message"] for p in heard(client, "chat:message")] for client in (ann, cy, dee)]
    assert said == [["to the main meeting"]] * 3
    page = await cy.get("chat:history", {"meeting_id": red})
    assert [each["message"] for each in page["messages"]] == ["to red"]


async def test_rooms_that_are_made_anew_do_not_show_what_was_said_in_those_before(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    cy = await call.enters(signaling, "cy")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    await go(bob, room)
    await bob.get("chat:send", {"meeting_id": room, "message": "between us"})
    await ann.get("breakout:close", call.named())
    await bob.hears("room:closed")
    await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())

    assert (await go(cy, room))["recent_messages"] == []
    assert (await cy.get("chat:history", {"meeting_id": room}))["messages"] == []


async def test_whoever_is_not_assigned_is_refused(call: Call, signaling: Signaling) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    cy = await call.enters(signaling, "cy", "/")
    red, green = await call.rooms(ann)
    await call.assigns(ann, bob=red)
    closed = {"meeting_id": red}
    assert await bob.refused("room:join", closed) == "MEETING_NOT_OPEN"
    assert await bob.refused("breakout:choose", call.named(room_id=red)) == "ACCESS_DENIED"
    await ann.get("breakout:open", call.named())

    assert await bob.refused("room:join", {"meeting_id": green}) == "ACCESS_DENIED"
    assert await bob.refused("breakout:choose", call.named(room_id=green)) == "ACCESS_DENIED"
    assert await bob.refused("breakout:choose", call.named(room_id=call.id)) == "NOT_FOUND"
    assert await cy.refused("join-meeting", {"meetingId": red}) == "ACCESS_DENIED"
    assert await bob.refused("room:join", {"meeting_id": f"{call.id}:7"}) == "INVALID_REQUEST"
    chosen = await bob.get("breakout:choose", call.named(room_id=red))
    assert signaling.tokens.verify(chosen.pop("token")).meeting_id == call.id
    assert chosen == call.named(room_id=red)
    assert (await go(bob, red))["meeting_id"] == red


async def test_where_people_choose_they_go_from_room_to_room(
    call: Call, signaling: Signaling, other_replica: Signaling, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob", "/")
    red, green = await call.rooms(ann, choose=True)
    await ann.get("breakout:open", call.named())

    chosen = await bob.get("breakout:choose", {"meetingId": call.id, "roomId": red})
    assert chosen["roomId"] == red
    await bob.get("join-meeting", {"meetingId": red})
    await ann.hears("breakout:moved", lambda p: p["inside"])
    await bob.get("join-meeting", {"meetingId": green})

    await ann.hears("breakout:moved", lambda p: p["room_id"] == green)
    assert (await placement.snapshot(MeetingId(call.id))).inside == {"bob": green}
    assert (await placement.snapshot(MeetingId(red))).participants == ()


async def test_a_host_visits_any_room_and_returns_and_stays_the_host(
    call: Call, signaling: Signaling, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob, cy = await call.enters(signaling, "bob"), await call.enters(signaling, "cy")
    red, green = await call.rooms(ann)
    await call.assigns(ann, bob=red)
    await ann.get("breakout:open", call.named())
    await go(bob, red)

    for room in (green, red, green, call.id):
        assert (await go(ann, room))["your_role"] == "host"
    await call.told_all(ann, cy)

    # nobody took the host's place meanwhile, in the main meeting or in a room
    for client in (bob, cy):
        assert heard(client, "participant:role:changed") == []
    people = (await placement.snapshot(MeetingId(call.id))).participants
    assert {each.id: each.role for each in people} == {"ann": Role.HOST, "cy": Role.PRESENTER}
    (left,) = (await placement.snapshot(MeetingId(red))).participants
    assert (left.id, left.role) == ("bob", Role.PRESENTER)


async def test_a_host_who_hangs_up_in_a_room_is_followed_in_the_main_meeting(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    (room,) = await call.rooms(ann, 1)
    await go(ann, room)
    await ann.get("room:leave", {"meeting_id": room})
    changed = await bob.hears("participant:role:changed")
    assert (changed["user_id"], changed["new_role"]) == ("bob", "host")


async def test_whoever_is_assigned_elsewhere_while_inside_is_called_there(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    red, green = await call.rooms(ann, names=["Red", "Green"])
    await call.assigns(ann, bob=red, cy=red)
    await ann.get("breakout:open", call.named())
    for client in (bob, cy):
        await client.hears("breakout:go")
    await go(bob, red)
    await cy.get("join-meeting", {"meetingId": red})

    await call.assigns(ann, bob=green, cy=green)

    called = await bob.hears("breakout:go")
    assert (called["meeting_id"], called["room_id"], called["name"]) == (call.id, green, "Green")
    assert (await cy.hears("breakout:go"))["roomId"] == green
    assert (await go(bob, green))["meeting_id"] == green
    await call.told_all(ann)
    assert heard(bob, "breakout:go") == heard(cy, "breakout:go") == []


async def test_a_host_tells_all_rooms_something(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob, cy = await call.enters(other_replica, "bob"), await call.enters(signaling, "cy", "/")
    red, green = await call.rooms(ann, choose=True)
    await ann.get("breakout:open", call.named())
    await go(bob, red)
    await cy.get("join-meeting", {"meetingId": green})

    await ann.get("breakout:message", call.named(message=" two minutes left "))

    told = {"meeting_id": call.id, "message": "two minutes left", "display_name": "Ann"}
    assert await bob.hears("breakout:message") == {**told, "room_id": red}
    in_camel = await cy.hears("breakout:message")
    assert (in_camel["message"], in_camel["roomId"]) == ("two minutes left", green)


async def test_a_host_removes_somebody_from_a_room_and_from_the_meeting(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    await go(bob, room)
    await ann.hears("breakout:moved")

    await ann.get("participant:remove", call.named(target_user_id="bob"))

    assert (await bob.hears("removed:from-meeting"))["meeting_id"] == room
    for place in (room, call.id):
        assert await bob.refused("room:join", {"meeting_id": place}) == "ACCESS_DENIED"


@pytest.mark.parametrize("follows", [False, True], ids=["from the main meeting", "from the room"])
async def test_a_role_and_a_mute_given_to_somebody_in_a_room_are_theirs_back_in_the_main_meeting(
    call: Call, signaling: Signaling, other_replica: Signaling, node: FakeNode, follows: bool
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob", role=Role.CO_HOST)
    (room,) = await call.rooms(ann, 1)
    await go(bob, room)
    await sending(bob, room)
    if follows:
        await go(ann, room)
    at_bob = {"meeting_id": room if follows else call.id, "target_user_id": "bob"}

    await ann.get("participant:mute", {**at_bob, "kind": "audio"})
    await ann.get("participant:role:update", {**at_bob, "new_role": "guest"})

    assert (await bob.hears("muted:by-host"))["kind"] == "audio"
    assert (await bob.hears("participant:role:changed"))["new_role"] == "guest"
    muted = [(meeting, op.kind) for meeting, op in node.calls if isinstance(op, SetMuted)]
    assert muted == [(room, "audio")]
    assert node.media(room, "bob").producers == {}

    back = await go(bob, call.id)
    assert back["your_role"] == "guest"
    (me,) = [each for each in back["participants"] if each["user_id"] == "bob"]
    assert me["audio_muted_by_host"] is True
    assert await bob.refused("room:lock", call.named(locked=True)) == "ACCESS_DENIED"
