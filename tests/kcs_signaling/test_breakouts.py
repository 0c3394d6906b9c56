"""Breakout rooms: made, filled, opened, visited, and closed again, as people in them meet it."""

import asyncio
from collections import Counter

import aiohttp
from hypothesis import given
from hypothesis import strategies as st
from tests.support.call import Call, go, heard
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId, ParticipantId, SessionId
from kcs_contracts.rooms import BreakoutRoom, Participant, Role
from kcs_signaling.service.breakouts import deal

# --- making and filling --------------------------------------------------------------------------


def person(number: int, role: Role) -> Participant:
    who = f"p{number}"
    return Participant(
        id=ParticipantId(who),
        display_name=who,
        role=role,
        session=SessionId(who),
        joined_at_ms=number // 2,
    )


ROLES = st.lists(st.sampled_from(Role), max_size=40)


@given(ROLES, st.integers(1, 12))
def test_shares_differ_by_one_at_most_and_leave_hosts_out(roles: list[Role], count: int) -> None:
    people = [person(number, role) for number, role in enumerate(roles)]
    rooms = [BreakoutRoom(id=MeetingId(f"m:{n}"), name=str(n)) for n in range(1, count + 1)]

    dealt = deal(reversed(people), rooms, {})

    hosts = (Role.HOST, Role.CO_HOST)
    assert dealt.keys() == {each.id for each in people if each.role not in hosts}
    shares = [Counter(dealt.values())[room.id] for room in rooms]
    assert max(shares) - min(shares) <= 1
    assert dealt == deal(people, rooms, {})


@given(ROLES, st.lists(st.integers(1, 3), max_size=9))
def test_who_is_inside_stays_and_the_others_even_the_rooms_out(
    roles: list[Role], places: list[int]
) -> None:
    people = [person(number, role) for number, role in enumerate(roles)]
    rooms = [BreakoutRoom(id=MeetingId(f"m:{n}"), name=str(n)) for n in (1, 2, 3)]
    inside = {ParticipantId(f"in{i}"): MeetingId(f"m:{n}") for i, n in enumerate(places)}

    dealt = deal(people, rooms, inside)

    assert dealt.items() >= inside.items()
    before, after = Counter(inside.values()), Counter(dealt.values())
    filled = [after[each.id] for each in rooms if after[each.id] > before[each.id]]
    assert max(filled, default=0) - 1 <= min(after[each.id] for each in rooms)


async def test_a_host_makes_rooms_and_everybody_hears_of_them(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")

    made = await ann.get("breakout:create", call.named(count=3, names=["Red", "Green"]))

    assert made == {
        "meeting_id": call.id,
        "open": False,
        "choose": False,
        "rooms": [
            {"room_id": f"{call.id}:1", "name": "Red"},
            {"room_id": f"{call.id}:2", "name": "Green"},
            {"room_id": f"{call.id}:3", "name": "Room 3"},
        ],
        "assignments": [],
        "inside": [],
        "closes_at": None,
    }
    assert await bob.hears("breakout:updated") == made
    assert await bob.get("breakout:list", call.named()) == made
    late = await call.enters(signaling, "cy")
    assert (await late.hears("room:joined"))["breakouts"] == made


async def test_only_hosts_run_the_rooms(call: Call, signaling: Signaling) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob", role=Role.PRESENTER)
    await call.rooms(ann)
    for event, more in [
        ("breakout:create", {"count": 2}),
        ("breakout:assign", {"evenly": True}),
        ("breakout:open", {}),
        ("breakout:message", {"message": "hi"}),
        ("breakout:close", {}),
    ]:
        assert await bob.refused(event, call.named(**more)) == "ACCESS_DENIED"


async def test_assigning_by_hand_is_told_to_hosts_alone(call: Call, signaling: Signaling) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    co_host = await call.enters(signaling, "eve", role=Role.CO_HOST)
    red, green = await call.rooms(ann)

    assigned = await call.assigns(ann, bob=red)
    assigned = await call.assigns(ann, eve=green, bob=green)

    expected = [{"user_id": "bob", "room_id": green}, {"user_id": "eve", "room_id": green}]
    assert assigned["assignments"] == expected
    assert await co_host.hears("breakout:updated", lambda p: p["assignments"] == expected)
    await call.told_all(bob)
    assert [each["assignments"] for each in heard(bob, "breakout:updated")] == [[], [], []]
    mine = await bob.get("breakout:list", call.named())
    assert mine["assignments"] == [{"user_id": "bob", "room_id": green}]
    assert (await call.assigns(ann, bob=None))["assignments"] == [expected[1]]


async def test_nobody_is_assigned_who_is_not_there_or_to_a_room_that_is_not(
    call: Call, signaling: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    await call.enters(signaling, "bob")
    nowhere = call.named(assignments=[{"user_id": "bob", "room_id": f"{call.id}:1"}])
    assert await ann.refused("breakout:assign", nowhere) == "NOT_FOUND"
    await call.rooms(ann)
    for user, room in [("bob", f"{call.id}:9"), ("zoe", f"{call.id}:1")]:
        wrong = call.named(assignments=[{"user_id": user, "room_id": room}])
        assert await ann.refused("breakout:assign", wrong) == "NOT_FOUND"
    assert (await ann.get("breakout:list", call.named()))["assignments"] == []


async def test_assigning_evenly_forgets_what_was_said_by_hand(
    call: Call, signaling: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    for user in ("bob", "cy", "dee"):
        await call.enters(signaling, user)
    one, two = await call.rooms(ann)
    await call.assigns(ann, ann=two, bob=two)

    dealt = await ann.get("breakout:assign", call.named(evenly=True))

    by_user = {each["user_id"]: each["room_id"] for each in dealt["assignments"]}
    assert by_user == {"bob": one, "cy": two, "dee": one}


async def test_who_is_in_a_room_stays_there_when_the_others_are_dealt(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    for user in ("cy", "dee"):
        await call.enters(signaling, user)
    red, green = await call.rooms(ann)
    await call.assigns(ann, bob=red, cy=red)
    await ann.get("breakout:open", call.named())
    await bob.hears("breakout:go")
    await go(bob, red)
    await ann.hears("breakout:moved")

    dealt = await ann.get("breakout:assign", call.named(evenly=True))

    by_user = {each["user_id"]: each["room_id"] for each in dealt["assignments"]}
    assert by_user == {"bob": red, "cy": green, "dee": red}
    await ann.get("breakout:message", call.named(message="all set"))
    await bob.hears("breakout:message")
    assert heard(bob, "breakout:go") == []


async def test_rooms_are_made_anew_once_they_are_closed_and_have_none_of_their_own(
    call: Call, signaling: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    (room,) = await call.rooms(ann, 1)
    await ann.get("breakout:open", call.named())
    assert await ann.refused("breakout:create", call.named(count=2)) == "INVALID_REQUEST"
    await go(ann, room)
    inside = {"meeting_id": room, "count": 2}
    assert await ann.refused("breakout:create", inside) == "INVALID_REQUEST"
    await go(ann, call.id)
    await ann.get("breakout:close", call.named())
    assert len(await call.rooms(ann, 4)) == 4


async def test_hosts_who_change_at_once_do_not_undo_each_other(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    eve = await call.enters(other_replica, "eve", role=Role.CO_HOST)
    users = [f"p{number}" for number in range(8)]
    for user in users:
        await call.enters(signaling, user)
    red, green = await call.rooms(ann)
    await eve.hears("breakout:updated")

    changes = [
        call.assigns(host, **{user: room})
        for (host, room), group in zip(
            [(ann, red), (eve, green)], (users[:4], users[4:]), strict=True
        )
        for user in group
    ]
    await asyncio.gather(*changes)

    shown = await ann.get("breakout:list", call.named())
    by_user = {each["user_id"]: each["room_id"] for each in shown["assignments"]}
    assert by_user == dict.fromkeys(users[:4], red) | dict.fromkeys(users[4:], green)


async def test_rest_shows_the_rooms_to_hosts(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    await call.enters(signaling, "bob")
    one, two = await call.rooms(ann, names=["Red"])
    await call.assigns(ann, bob=two)
    await ann.get("breakout:open", call.named(minutes=5))

    url = f"{other_replica.url}/api/v1/meetings/{call.id}/breakouts"
    headers = {"Authorization": f"Bearer {signaling.access('ann')}"}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        shown = await answer.json()

    assert shown.pop("closes_at").endswith("Z")
    assert shown == {
        "open": True,
        "choose": False,
        "rooms": [{"id": one, "name": "Red"}, {"id": two, "name": "Room 2"}],
        "assignments": {"bob": two},
    }


# --- being called --------------------------------------------------------------------------------


async def test_whoever_is_assigned_is_called_once_when_rooms_open(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    dee = await call.enters(signaling, "dee")
    red, green = await call.rooms(ann, names=["Red"])
    await call.assigns(ann, bob=red, cy=green)

    opened = await ann.get("breakout:open", call.named(minutes=10))

    called = await bob.hears("breakout:go")
    assert signaling.tokens.verify(called.pop("token")).meeting_id == call.id
    closes_at = opened["closes_at"]
    expected = {"meeting_id": call.id, "room_id": red, "name": "Red", "closes_at": closes_at}
    assert called == expected
    in_camel = await cy.hears("breakout:go")
    assert (in_camel["roomId"], in_camel["closesAt"]) == (green, closes_at)
    await call.assigns(ann, dee=red)
    assert (await dee.hears("breakout:go"))["room_id"] == red
    await call.assigns(ann, dee=green)
    assert (await dee.hears("breakout:go"))["room_id"] == green
    await call.told_all(ann, bob, cy, dee)
    assert [heard(client, "breakout:go") for client in (ann, bob, cy, dee)] == [[], [], [], []]


async def test_whoever_comes_late_is_called_once(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    cy = await call.enters(signaling, "cy", "/")
    red, green = await call.rooms(ann)
    await call.assigns(ann, bob=red, cy=green)
    for client in (bob, cy):
        await client.close()
    await ann.get("breakout:open", call.named())

    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")

    assert (await bob.hears("breakout:go"))["room_id"] == red
    assert (await cy.hears("breakout:go"))["roomId"] == green
    await call.told_all(bob, cy)
    assert heard(bob, "breakout:go") == heard(cy, "breakout:go") == []


async def test_whoever_belongs_in_the_main_meeting_again_is_called_back_once(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(other_replica, "bob")
    cy = await call.enters(signaling, "cy", "/")
    visitor = await call.enters(other_replica, "eve", role=Role.CO_HOST)
    red, _ = await call.rooms(ann)
    await call.assigns(ann, bob=red, cy=red)
    await ann.get("breakout:open", call.named())
    for client in (bob, cy):
        await client.hears("breakout:go")
    await go(bob, red)
    await go(visitor, red)
    await cy.get("join-meeting", {"meetingId": red})

    await call.assigns(ann, bob=None, cy=None)

    called = await bob.hears("breakout:go")
    assert signaling.tokens.verify(called.pop("token")).meeting_id == call.id
    here = {"meeting_id": call.id, "room_id": call.id}
    assert called == {**here, "name": "Main meeting", "closes_at": None}
    in_camel = await cy.hears("breakout:go")
    assert (in_camel["roomId"], in_camel["name"]) == (call.id, "Main meeting")
    await call.assigns(ann, ann=red)
    await ann.get("breakout:message", call.named(message="two are back"))
    for client in (bob, visitor):
        await client.hears("breakout:message")
        assert heard(client, "breakout:go") == []
    await go(bob, call.id)
    await cy.get("join-meeting", {"meetingId": call.id})
    await call.told_all(ann, bob, cy)
    assert heard(bob, "breakout:go") == heard(cy, "breakout:go") == []
