"""When the host leaves: who is host in their place, for how long, and what they are afterwards."""

import time

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.seats import connected, join, leave, names, seated
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    """A replica that gives up lost sockets after 2 s."""
    return replicas[0]


async def becomes(client: Client, user: str, role: Role) -> None:
    """Waits until the client hears of it."""
    in_client = client.namespace == "/"
    who, new = ("userId", "newRole") if in_client else ("user_id", "new_role")
    await client.hears("participant:role:changed", lambda p: (p[who], p[new]) == (user, role))


async def roles(placement: Placement, meeting: str) -> dict[str, Role]:
    snapshot = await placement.snapshot(MeetingId(meeting))
    return {each.id: each.role for each in snapshot.participants}


async def test_a_co_host_takes_over_before_presenters_who_were_there_longer(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    await seated(signaling, clients, meeting, "pia", Role.PRESENTER)
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST, "/")

    await leave(hal, meeting)

    await becomes(cora, "cora", Role.HOST)
    assert await roles(placement, meeting) == {"pia": Role.PRESENTER, "cora": Role.HOST}
    await cora.get("room:lock", {"meetingId": meeting, "locked": True})


async def test_without_co_hosts_the_presenter_who_is_there_longest_takes_over(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    await seated(signaling, clients, meeting, "ada", Role.ATTENDEE)
    gus = await seated(signaling, clients, meeting, "gus", Role.GUEST, "/")
    await seated(signaling, clients, meeting, "zoe", Role.PRESENTER)
    await seated(signaling, clients, meeting, "abe", Role.PRESENTER)
    hal = await seated(signaling, clients, meeting, "hal")

    await leave(hal, meeting)

    await becomes(gus, "zoe", Role.HOST)
    assert await roles(placement, meeting) == {
        "ada": Role.ATTENDEE,
        "gus": Role.GUEST,
        "zoe": Role.HOST,
        "abe": Role.PRESENTER,
    }


async def test_nobody_takes_over_where_only_attendees_and_guests_are_left(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    ada = await seated(signaling, clients, meeting, "ada", Role.ATTENDEE)
    await seated(signaling, clients, meeting, "gus", Role.GUEST)

    await leave(hal, meeting)

    await ada.hears("participant:left")
    assert await roles(placement, meeting) == {"ada": Role.ATTENDEE, "gus": Role.GUEST}


async def test_nobody_takes_over_where_the_setting_is_off(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"host_succession": False})
    hal = await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)

    await leave(hal, meeting)

    await cora.hears("participant:left")
    assert await roles(placement, meeting) == {"cora": Role.CO_HOST}
    assert await cora.refused("room:end", {"meeting_id": meeting}) == "ACCESS_DENIED"


async def test_nobody_takes_over_while_another_host_is_there(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    await seated(signaling, clients, meeting, "hope", Role.HOST)
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)

    await leave(hal, meeting)

    await cora.hears("participant:left")
    assert await roles(placement, meeting) == {"hope": Role.HOST, "cora": Role.CO_HOST}


@pytest.mark.parametrize("was", [Role.CO_HOST, Role.PRESENTER], ids=str)
async def test_the_host_who_comes_back_is_host_and_the_stand_in_what_they_were(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    was: Role,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    sam = await seated(signaling, clients, meeting, "sam", was)
    await leave(hal, meeting)
    await becomes(sam, "sam", Role.HOST)

    again = await join(hal, meeting)

    assert again["your_role"] == Role.HOST
    await becomes(sam, "sam", was)
    assert await roles(placement, meeting) == {"hal": Role.HOST, "sam": was}
    assert await sam.refused("room:end", {"meeting_id": meeting}) == "ACCESS_DENIED"


async def test_a_stand_in_who_left_comes_back_as_what_they_were(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    sam = await seated(signaling, clients, meeting, "sam", Role.CO_HOST)
    await seated(signaling, clients, meeting, "ada", Role.ATTENDEE)
    await leave(hal, meeting)
    await becomes(sam, "sam", Role.HOST)
    await leave(sam, meeting)

    assert (await join(sam, meeting))["your_role"] == Role.CO_HOST
    assert (await join(hal, meeting))["your_role"] == Role.HOST
    assert await roles(placement, meeting) == {
        "ada": Role.ATTENDEE,
        "sam": Role.CO_HOST,
        "hal": Role.HOST,
    }


async def test_a_stand_in_who_leaves_has_a_stand_in_too(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    sam = await seated(signaling, clients, meeting, "sam", Role.CO_HOST)
    pia = await seated(signaling, clients, meeting, "pia", Role.PRESENTER)
    await leave(hal, meeting)
    await becomes(pia, "sam", Role.HOST)

    await leave(sam, meeting)

    await becomes(pia, "pia", Role.HOST)
    assert (await join(sam, meeting))["your_role"] == Role.CO_HOST
    await join(hal, meeting)
    await becomes(pia, "pia", Role.PRESENTER)
    assert await roles(placement, meeting) == {
        "hal": Role.HOST,
        "sam": Role.CO_HOST,
        "pia": Role.PRESENTER,
    }


async def test_the_resume_token_of_a_stand_in_makes_nobody_host(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    sam = await seated(signaling, clients, meeting, "sam")
    await leave(hal, meeting)
    await becomes(sam, "sam", Role.HOST)
    told = await sam.get("room:snapshot", {"meeting_id": meeting})
    assert told["your_role"] == Role.HOST

    await join(hal, meeting)
    await becomes(sam, "sam", Role.PRESENTER)
    await leave(sam, meeting)
    again = await clients(signaling, "/meeting", "sam", token=told["resume_token"])

    assert (await join(again, meeting))["your_role"] == Role.PRESENTER


async def test_a_stand_in_who_lost_the_socket_is_still_host_when_they_resume(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    sam = await seated(signaling, clients, meeting, "sam", Role.CO_HOST)
    await leave(hal, meeting)
    await becomes(sam, "sam", Role.HOST)
    await sam.close()

    again = await connected(signaling, clients, meeting, "sam", Role.CO_HOST)
    joined = await join(again, meeting)

    assert (joined["resumed"], joined["your_role"]) == (True, Role.HOST)


async def test_a_host_whose_socket_is_lost_stays_host_until_their_presence_is_over(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)
    await hal.close()
    back = await seated(signaling, clients, meeting, "hal")
    assert "participant:role:changed" not in names(cora)
    began = time.monotonic()
    await back.close()

    await becomes(cora, "cora", Role.HOST)

    assert time.monotonic() - began > 1.9
    left = await cora.hears("participant:left")
    assert (left["user_id"], left["reason"]) == ("hal", "timeout")
    await seated(signaling, clients, meeting, "hal")
    await becomes(cora, "cora", Role.CO_HOST)


async def test_a_host_who_visits_a_breakout_room_stays_host_and_so_does_a_stand_in(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)
    pia = await seated(signaling, clients, meeting, "pia", Role.PRESENTER)
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await hal.get("breakout:open", {"meeting_id": meeting})
    room = f"{meeting}:1"

    await join(hal, room)
    assert (await roles(placement, meeting))["cora"] == Role.CO_HOST
    await leave(hal, room)
    await becomes(cora, "cora", Role.HOST)  # now they are gone
    assert (await join(cora, room))["your_role"] == Role.HOST
    assert (await roles(placement, meeting))["pia"] == Role.PRESENTER
    assert (await join(cora, meeting))["your_role"] == Role.HOST

    await join(cora, room)
    await join(hal, meeting)
    assert (await placement.snapshot(MeetingId(room))).participants[0].role == Role.CO_HOST
    assert await cora.refused("room:end", {"meeting_id": room}) == "ACCESS_DENIED"
    assert "participant:role:changed" not in [n for n, p in pia.heard if p.get("user_id") == "pia"]


async def test_whoever_is_left_in_a_breakout_room_by_the_host_does_not_become_host(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia", Role.PRESENTER)
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1, "choose": True})
    await hal.get("breakout:open", {"meeting_id": meeting})
    room = f"{meeting}:1"
    await join(pia, room)
    await join(hal, room)

    await join(hal, meeting)

    await pia.hears("participant:left", lambda p: p["meeting_id"] == room)
    assert await roles(placement, room) == {"pia": Role.PRESENTER}
    assert await pia.refused("room:end", {"meeting_id": room}) == "ACCESS_DENIED"


async def test_a_stand_in_whom_a_host_gave_a_role_keeps_that_one(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    sam = await seated(signaling, clients, meeting, "sam", Role.CO_HOST)
    await leave(hal, meeting)
    await becomes(sam, "sam", Role.HOST)
    steps_down = {"meeting_id": meeting, "target_user_id": "sam", "new_role": "attendee"}
    await sam.get("participant:role:update", steps_down)

    await join(hal, meeting)

    assert await roles(placement, meeting) == {"hal": Role.HOST, "sam": Role.ATTENDEE}
    live = await placement.live(MeetingId(meeting))
    assert (live.acting, live.role_of(ParticipantId("sam"))) == (None, Role.ATTENDEE)
