"""When the host leaves: who is host in their place, for how long, and what they are afterwards."""

import time
from typing import Any

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


async def becomes(client: Client, user: str, role: Role, timeout_s: float = 5) -> None:
    """Waits until the client hears of it."""
    in_client = client.namespace == "/"
    who, new = ("userId", "newRole") if in_client else ("user_id", "new_role")
    wanted = user, role
    await client.hears("participant:role:changed", lambda p: (p[who], p[new]) == wanted, timeout_s)


class Meeting:
    """A meeting of hal's, and what its people do."""

    def __init__(self, server: Signaling, clients: MakeClient, placement: Placement, which: str):
        self.id, self._server = which, server
        self._clients, self._placement = clients, placement

    async def enters(
        self,
        user: str,
        role: Role | None = None,
        namespace: str = "/meeting",
        server: Signaling | None = None,
    ) -> Client:
        server = server or self._server
        return await seated(server, self._clients, self.id, user, role, namespace)

    async def leaves(self, client: Client) -> None:
        await leave(client, self.id)

    async def joins(self, client: Client) -> Any:
        return await join(client, self.id)

    async def roles(self, room: str | None = None) -> dict[str, Role]:
        """Of those who are in it, or in a room of it."""
        snapshot = await self._placement.snapshot(MeetingId(room or self.id))
        return {each.id: each.role for each in snapshot.participants}


@pytest.fixture
async def meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> Meeting:
    """Nobody is in it yet."""
    return Meeting(signaling, clients, placement, await signaling.create_meeting("hal"))


@pytest.fixture
async def hal(meeting: Meeting) -> Client:
    """In the meeting."""
    return await meeting.enters("hal")


async def test_a_co_host_takes_over_before_presenters_who_were_there_longer(
    meeting: Meeting, hal: Client
) -> None:
    await meeting.enters("pia", Role.PRESENTER)
    cora = await meeting.enters("cora", Role.CO_HOST, "/")

    await meeting.leaves(hal)

    await becomes(cora, "cora", Role.HOST)
    assert await meeting.roles() == {"pia": Role.PRESENTER, "cora": Role.HOST}
    await cora.get("room:lock", {"meetingId": meeting.id, "locked": True})


async def test_without_co_hosts_the_presenter_who_is_there_longest_takes_over(
    meeting: Meeting,
) -> None:
    await meeting.enters("ada", Role.ATTENDEE)
    gus = await meeting.enters("gus", Role.GUEST, "/")
    await meeting.enters("zoe", Role.PRESENTER)
    await meeting.enters("abe", Role.PRESENTER)
    hal = await meeting.enters("hal")

    await meeting.leaves(hal)

    await becomes(gus, "zoe", Role.HOST)
    assert await meeting.roles() == {
        "ada": Role.ATTENDEE,
        "gus": Role.GUEST,
        "zoe": Role.HOST,
        "abe": Role.PRESENTER,
    }


async def test_nobody_takes_over_where_only_attendees_and_guests_are_left(
    meeting: Meeting, hal: Client
) -> None:
    ada = await meeting.enters("ada", Role.ATTENDEE)
    await meeting.enters("gus", Role.GUEST)

    await meeting.leaves(hal)

    await ada.hears("participant:left")
    assert await meeting.roles() == {"ada": Role.ATTENDEE, "gus": Role.GUEST}


async def test_nobody_takes_over_where_the_setting_is_off(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    off = await signaling.create_meeting("hal", settings={"host_succession": False})
    meeting = Meeting(signaling, clients, placement, off)
    hal = await meeting.enters("hal")
    cora = await meeting.enters("cora", Role.CO_HOST)

    await meeting.leaves(hal)

    await cora.hears("participant:left")
    assert await meeting.roles() == {"cora": Role.CO_HOST}
    assert await cora.refused("room:end", {"meeting_id": meeting.id}) == "ACCESS_DENIED"


async def test_nobody_takes_over_while_another_host_is_there(meeting: Meeting, hal: Client) -> None:
    await meeting.enters("hope", Role.HOST)
    cora = await meeting.enters("cora", Role.CO_HOST)

    await meeting.leaves(hal)

    await cora.hears("participant:left")
    assert await meeting.roles() == {"hope": Role.HOST, "cora": Role.CO_HOST}


@pytest.mark.parametrize("was", [Role.CO_HOST, Role.PRESENTER], ids=str)
async def test_the_host_who_comes_back_is_host_and_the_stand_in_what_they_were(
    meeting: Meeting, hal: Client, was: Role
) -> None:
    sam = await meeting.enters("sam", was)
    await meeting.leaves(hal)
    await becomes(sam, "sam", Role.HOST)

    again = await meeting.joins(hal)

    assert again["your_role"] == Role.HOST
    await becomes(sam, "sam", was)
    assert await meeting.roles() == {"hal": Role.HOST, "sam": was}
    assert await sam.refused("room:end", {"meeting_id": meeting.id}) == "ACCESS_DENIED"


async def test_a_stand_in_who_left_comes_back_as_what_they_were(
    meeting: Meeting, hal: Client
) -> None:
    sam = await meeting.enters("sam", Role.CO_HOST)
    await meeting.enters("ada", Role.ATTENDEE)
    await meeting.leaves(hal)
    await becomes(sam, "sam", Role.HOST)
    await meeting.leaves(sam)

    assert (await meeting.joins(sam))["your_role"] == Role.CO_HOST
    assert (await meeting.joins(hal))["your_role"] == Role.HOST
    assert await meeting.roles() == {
        "ada": Role.ATTENDEE,
        "sam": Role.CO_HOST,
        "hal": Role.HOST,
    }


async def test_a_stand_in_who_leaves_has_a_stand_in_too(meeting: Meeting, hal: Client) -> None:
    sam = await meeting.enters("sam", Role.CO_HOST)
    pia = await meeting.enters("pia", Role.PRESENTER)
    await meeting.leaves(hal)
    await becomes(pia, "sam", Role.HOST)

    await meeting.leaves(sam)

    await becomes(pia, "pia", Role.HOST)
    assert (await meeting.joins(sam))["your_role"] == Role.CO_HOST
    await meeting.joins(hal)
    await becomes(pia, "pia", Role.PRESENTER)
    assert await meeting.roles() == {
        "hal": Role.HOST,
        "sam": Role.CO_HOST,
        "pia": Role.PRESENTER,
    }


async def test_the_resume_token_of_a_stand_in_makes_nobody_host(
    meeting: Meeting, hal: Client, signaling: Signaling, clients: MakeClient
) -> None:
    sam = await meeting.enters("sam")
    await meeting.leaves(hal)
    await becomes(sam, "sam", Role.HOST)
    told = await sam.get("room:snapshot", {"meeting_id": meeting.id})
    assert told["your_role"] == Role.HOST

    await meeting.joins(hal)
    await becomes(sam, "sam", Role.PRESENTER)
    await meeting.leaves(sam)
    again = await clients(signaling, "/meeting", "sam", token=told["resume_token"])

    assert (await meeting.joins(again))["your_role"] == Role.PRESENTER


async def test_a_stand_in_who_lost_the_socket_is_still_host_when_they_resume(
    meeting: Meeting,
    hal: Client,
    signaling: Signaling,
    shared_signaling: Signaling,
    clients: MakeClient,
) -> None:
    sam = await meeting.enters("sam", Role.CO_HOST, server=shared_signaling)  # which waits for them
    await meeting.leaves(hal)
    await becomes(sam, "sam", Role.HOST)
    await sam.close()

    again = await connected(signaling, clients, meeting.id, "sam", Role.CO_HOST)
    joined = await meeting.joins(again)

    assert (joined["resumed"], joined["your_role"]) == (True, Role.HOST)


async def test_a_host_whose_socket_is_lost_stays_host_until_their_presence_is_over(
    meeting: Meeting, shared_signaling: Signaling
) -> None:
    hal = await meeting.enters("hal", server=shared_signaling)  # which waits longer for them
    cora = await meeting.enters("cora", Role.CO_HOST)
    await hal.close()
    back = await meeting.enters("hal")
    assert "participant:role:changed" not in names(cora)
    began = time.monotonic()
    await back.close()

    await becomes(cora, "cora", Role.HOST, timeout_s=10)

    assert time.monotonic() - began > 1.9
    left = await cora.hears("participant:left")
    assert (left["user_id"], left["reason"]) == ("hal", "timeout")
    await meeting.enters("hal")
    await becomes(cora, "cora", Role.CO_HOST)


async def test_a_host_who_visits_a_breakout_room_stays_host_and_so_does_a_stand_in(
    meeting: Meeting, hal: Client, placement: Placement
) -> None:
    cora = await meeting.enters("cora", Role.CO_HOST)
    pia = await meeting.enters("pia", Role.PRESENTER)
    await hal.get("breakout:create", {"meeting_id": meeting.id, "count": 1})
    await hal.get("breakout:open", {"meeting_id": meeting.id})
    room = f"{meeting.id}:1"

    await join(hal, room)
    assert (await meeting.roles())["cora"] == Role.CO_HOST
    await leave(hal, room)
    await becomes(cora, "cora", Role.HOST)  # now they are gone
    assert (await join(cora, room))["your_role"] == Role.HOST
    assert (await meeting.roles())["pia"] == Role.PRESENTER
    assert (await meeting.joins(cora))["your_role"] == Role.HOST

    await join(cora, room)
    await meeting.joins(hal)
    assert (await placement.snapshot(MeetingId(room))).participants[0].role == Role.CO_HOST
    assert await cora.refused("room:end", {"meeting_id": room}) == "ACCESS_DENIED"
    assert "participant:role:changed" not in [n for n, p in pia.heard if p.get("user_id") == "pia"]


async def test_whoever_is_left_in_a_breakout_room_by_the_host_does_not_become_host(
    meeting: Meeting, hal: Client
) -> None:
    pia = await meeting.enters("pia", Role.PRESENTER)
    await hal.get("breakout:create", {"meeting_id": meeting.id, "count": 1, "choose": True})
    await hal.get("breakout:open", {"meeting_id": meeting.id})
    room = f"{meeting.id}:1"
    await join(pia, room)
    await join(hal, room)

    await meeting.joins(hal)

    await pia.hears("participant:left", lambda p: p["meeting_id"] == room)
    assert await meeting.roles(room) == {"pia": Role.PRESENTER}
    assert await pia.refused("room:end", {"meeting_id": room}) == "ACCESS_DENIED"


async def test_a_stand_in_whom_a_host_gave_a_role_keeps_that_one(
    meeting: Meeting, hal: Client, placement: Placement
) -> None:
    sam = await meeting.enters("sam", Role.CO_HOST)
    await meeting.leaves(hal)
    await becomes(sam, "sam", Role.HOST)
    steps_down = {"meeting_id": meeting.id, "target_user_id": "sam", "new_role": "attendee"}
    await sam.get("participant:role:update", steps_down)

    await meeting.joins(hal)

    assert await meeting.roles() == {"hal": Role.HOST, "sam": Role.ATTENDEE}
    live = await placement.live(MeetingId(meeting.id))
    assert (live.acting, live.role_of(ParticipantId("sam"))) == (None, Role.ATTENDEE)
