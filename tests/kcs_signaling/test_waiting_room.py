"""The waiting room: who waits, what they learn, and how they get in or not."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.fake_node import FakeNode
from tests.support.seats import (
    JOIN,
    WAITING,
    connected,
    join,
    leave,
    named,
    names,
    refused_join,
    seated,
)
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_signaling.tokens import User

APPROVAL = {"require_host_approval": True}
BOTH = ("/meeting", "/")
LET_IN = {"/meeting": "room:joined", "/": "participant-joined"}


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


async def waiting(
    signaling: Signaling, clients: MakeClient, meeting: str, user: str, namespace: str = "/meeting"
) -> Client:
    """Somebody who has just been told that they wait."""
    client = await seated(signaling, clients, meeting, user, namespace=namespace)
    assert await client.hears(WAITING[namespace]) == named(client, meeting, waiting=True)
    return client


def queue(waits: list[dict[str, Any]]) -> list[str]:
    return [each["user_id"] for each in waits]


async def test_whoever_waits_learns_nothing_of_the_meeting(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
) -> None:
    meeting = await signaling.create_meeting("hal", display_name="Takeover", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    hears = [
        await seated(server, clients, meeting, f"wes-{number}", namespace=namespace)
        for number, (server, namespace) in enumerate(zip(replicas, BOTH, strict=True))
    ]
    await sending(hal, meeting)
    guest = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)
    await guest.get("chat:send", {"meeting_id": meeting, "message": "Sell everything"})
    await guest.get("hand:raise", {"meeting_id": meeting})
    await hal.get("participant:spotlight", {"meeting_id": meeting, "target_user_id": "cora"})
    await hal.get("room:settings", {"meeting_id": meeting, "settings": {"guest_chat": True}})
    await leave(guest, meeting)

    for client in hears:
        await client.settle()
        client.heard = [(name, payload) for name, payload in client.heard if name != "error"]
        assert client.heard == [(WAITING[client.namespace], named(client, meeting, waiting=True))]


@pytest.mark.parametrize("namespace", BOTH)
async def test_hosts_and_co_hosts_see_the_queue_and_nobody_else_does(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal", namespace=namespace)
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST, namespace)
    ada = await waiting(signaling, clients, meeting, "ada", namespace)
    await hal.get("waiting:admit", named(hal, meeting, all=True))
    await ada.hears(LET_IN[namespace])

    await waiting(signaling, clients, meeting, "wes")

    expected = named(hal, meeting, user_id="wes", display_name="Wes")
    for host in (hal, cora):
        added = await host.hears("waiting:added", lambda p: expected.items() <= p.items())
        assert added.pop("since").endswith("Z")
        assert added == expected
    await ada.settle()
    assert not [name for name in names(ada) if name.startswith("waiting:")]


@pytest.mark.parametrize("namespace", BOTH)
async def test_whoever_waits_when_the_meeting_is_locked_and_is_let_in_comes_in(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await waiting(signaling, clients, meeting, "wes", namespace)
    await hal.get("room:lock", {"meeting_id": meeting, "locked": True})
    late = await connected(signaling, clients, meeting, "late")
    assert await refused_join(late, meeting) == "MEETING_LOCKED"

    await hal.get("waiting:admit", {"meeting_id": meeting, "target_user_ids": ["wes"]})

    await wes.hears(LET_IN[namespace])
    await hal.hears("participant:joined", lambda p: p["user_id"] == "wes")
    await leave(wes, meeting)
    assert await refused_join(wes, meeting) == "MEETING_LOCKED"


@pytest.mark.parametrize("namespace", BOTH)
async def test_a_host_who_comes_later_or_is_made_one_sees_who_waits_already(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    wes = await waiting(signaling, clients, meeting, "wes")
    zoe = await waiting(signaling, clients, meeting, "zoe", "/")

    hal = await connected(signaling, clients, meeting, "hal", namespace=namespace)
    joined = await join(hal, meeting)

    if namespace == "/meeting":
        assert queue(joined["waiting"]) == ["wes", "zoe"]
    else:
        assert (await hal.hears("waiting:added"))["userId"] == "wes"
        assert (await hal.hears("waiting:added"))["userId"] == "zoe"
    admitted = await hal.get("waiting:admit", named(hal, meeting, target_user_ids=["wes"]))
    assert admitted == named(hal, meeting, user_ids=["wes"])
    joined = await wes.hears("room:joined")
    assert joined["waiting"] == []
    promotion = named(hal, meeting, target_user_id="wes", new_role="co_host")
    await hal.get("participant:role:update", promotion)
    assert (await wes.hears("waiting:added"))["user_id"] == "zoe"
    await wes.get("waiting:admit", {"meeting_id": meeting, "all": True})
    assert (await zoe.hears("participant-joined"))["participantId"] == "zoe"


async def test_people_are_let_in_one_by_one_or_all_and_join_by_themselves(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(replicas[1], clients, meeting, "hal")
    one = await waiting(signaling, clients, meeting, "one")
    two = await waiting(signaling, clients, meeting, "two", "/")
    three = await waiting(signaling, clients, meeting, "three", "/")
    named_one = {"meeting_id": meeting, "target_user_ids": ["one", "nobody"]}

    assert (await hal.get("waiting:admit", named_one))["user_ids"] == ["one"]

    joined = await one.hears("room:joined")
    assert (joined["your_role"], joined["resumed"]) == ("presenter", False)
    assert {each["user_id"] for each in joined["participants"]} == {"hal", "one"}
    out = {"meeting_id": meeting, "user_id": "one", "outcome": "admitted"}
    assert await hal.hears("waiting:left") == out
    assert (await hal.hears("participant:joined"))["user_id"] == "one"
    await one.get("chat:send", {"meeting_id": meeting, "message": "Hello"})
    assert names(two) == names(three) == []

    everybody = await hal.get("waiting:admit", {"meeting_id": meeting, "all": True})
    assert sorted(everybody["user_ids"]) == ["three", "two"]
    for client in (two, three):
        await client.hears("participant-joined")
        await client.get("send-message", {"meetingId": meeting, "message": "Hello"})
    assert (await hal.get("waiting:admit", {"meeting_id": meeting, "all": True}))["user_ids"] == []
    assert await hal.refused("waiting:admit", named_one) == "NOT_FOUND"


async def test_whoever_was_let_in_once_comes_back_without_approval(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await waiting(signaling, clients, meeting, "wes")
    await hal.get("waiting:admit", {"meeting_id": meeting, "all": True})
    await wes.hears("room:joined")
    await leave(wes, meeting)

    assert (await join(wes, meeting))["your_role"] == "presenter"


async def test_whoever_is_turned_away_is_told_why_and_may_ask_again(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    for who, namespace in zip(("wes", "zoe"), BOTH, strict=True):
        client = await waiting(signaling, clients, meeting, who, namespace)
        deny = {"meeting_id": meeting, "target_user_id": who, "reason": "Who are you?"}

        assert await hal.get("waiting:deny", deny) == {"meeting_id": meeting, "user_id": who}

        denied = named(client, meeting, reason="Who are you?")
        assert await client.hears("waiting:denied") == denied
        out = {"meeting_id": meeting, "user_id": who, "outcome": "denied"}
        assert await hal.hears("waiting:left") == out
        assert await hal.refused("waiting:deny", deny) == "NOT_FOUND"
        assert (await join(client, meeting))["waiting"] is True
        await hal.hears("waiting:added", lambda p, who=who: p["user_id"] == who)


async def test_hosts_and_co_hosts_do_not_wait(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    for who, role in (("hal", None), ("cora", Role.CO_HOST)):
        client = await connected(signaling, clients, meeting, who, role)
        assert (await join(client, meeting))["your_role"] == (role or Role.HOST)


async def test_people_who_are_in_already_stay_when_approval_is_asked_for_later(
    signaling: Signaling, shared_signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    # a replica that waits longer than 2 s for a lost socket
    bob = await seated(shared_signaling, clients, meeting, "bob")
    await hal.get("room:settings", {"meeting_id": meeting, "settings": APPROVAL})

    assert (await join(bob, meeting))["resumed"] is True
    await bob.close()
    again = await connected(signaling, clients, meeting, "bob")
    assert (await join(again, meeting))["resumed"] is True
    await waiting(signaling, clients, meeting, "wes")


@pytest.mark.parametrize("namespace", BOTH)
async def test_who_leaves_the_waiting_room_or_loses_the_socket_is_taken_out(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    lost = await waiting(signaling, clients, meeting, "lost", namespace)
    gone = await waiting(signaling, clients, meeting, "gone", namespace)
    await lost.close()

    await leave(gone, meeting)

    for user in ("gone", "lost"):
        out = {"meeting_id": meeting, "user_id": user, "outcome": "left"}
        assert await hal.hears("waiting:left", lambda p, out=out: p == out, timeout_s=10)
    assert (await hal.get("waiting:admit", {"meeting_id": meeting, "all": True}))["user_ids"] == []
    again = await connected(signaling, clients, meeting, "lost", namespace=namespace)
    await join(again, meeting)
    await again.hears(WAITING[namespace])


async def test_a_second_socket_waits_in_the_place_of_the_first(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    first = await waiting(signaling, clients, meeting, "wes")

    second = await waiting(replicas[1], clients, meeting, "wes", "/")

    assert await first.hears("session:replaced") == {"meeting_id": meeting}
    await first.gone()
    assert len((await placement.snapshot(MeetingId(meeting))).waiting) == 1
    await hal.get("waiting:admit", {"meeting_id": meeting, "all": True})
    await second.hears("participant-joined")
    assert "room:joined" not in names(first)


async def test_who_waits_for_one_meeting_and_asks_for_another_leaves_the_first_queue(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    here = await signaling.create_meeting("hal", settings=APPROVAL)
    there = await signaling.create_meeting("hope", settings=APPROVAL)
    free = await signaling.create_meeting("hope")
    hal = await seated(signaling, clients, here, "hal")
    hope = await seated(signaling, clients, there, "hope")
    wes = await waiting(signaling, clients, here, "wes")

    assert (await join(wes, there))["waiting"] is True
    out = {"meeting_id": here, "user_id": "wes", "outcome": "left"}
    assert await hal.hears("waiting:left") == out
    assert (await join(wes, free))["meeting_id"] == free
    assert (await hope.hears("waiting:left"))["outcome"] == "left"
    assert (await hope.get("waiting:admit", {"meeting_id": there, "all": True}))["user_ids"] == []


async def test_waiting_survives_a_redis_that_lost_its_data(
    signaling: Signaling, node: FakeNode, clients: MakeClient, redis: Redis
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await waiting(signaling, clients, meeting, "wes")
    zoe = await waiting(signaling, clients, meeting, "zoe", "/")
    for who in ("wes", "zoe"):
        await hal.hears("waiting:added", lambda p, who=who: p["user_id"] == who)

    await redis.flushall()

    await wes.hears("room:waiting", timeout_s=8)
    await zoe.hears("waiting", timeout_s=8)
    assert not {"room:joined", "participant-joined"} & {*names(wes), *names(zoe)}
    async with asyncio.timeout(8):
        while True:
            admitted = await hal.ask("waiting:admit", {"meeting_id": meeting, "all": True})
            if admitted["ok"] and admitted["data"]["user_ids"]:
                break
            await asyncio.sleep(0.1)
    await wes.hears("room:joined")
    await zoe.hears("participant-joined")


async def test_people_who_were_added_do_not_wait(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await waiting(signaling, clients, meeting, "wes")

    add = {"meeting_id": meeting, "user_ids": ["amy", "wes"], "emails": ["kim@example.org"]}
    added = await hal.get("participant:add", add)

    assert (await wes.hears("room:joined"))["your_role"] == "presenter"
    amy = await connected(signaling, clients, meeting, "amy", namespace="/")
    await join(amy, meeting)
    await amy.hears("participant-joined")
    link = next(each["join_url"] for each in added["invitations"] if each.get("email"))
    token = link.partition("#token=")[2]
    kim = await clients(signaling, "/meeting", "kim", token=token)
    joined = await kim.get("room:join", {"meeting_id": meeting})
    assert (joined["your_role"], joined["display_name"]) == ("presenter", "kim")
    told = await hal.hears("participant:added")
    assert told == {"meeting_id": meeting, "user_ids": ["amy", "wes"], "emails": 1, "by": "hal"}


async def test_a_token_of_one_who_was_added_opens_a_meeting_that_redis_has_forgotten(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    kim = User(user_id=UserId("kim"), user_name="Kim")
    token = signaling.tokens.meeting(
        MeetingId(meeting), kim, Role.ATTENDEE, expires_at=4e9, admitted=True
    )
    client = await clients(signaling, "/meeting", "kim", token=token)
    assert (await join(client, meeting))["your_role"] == Role.ATTENDEE


@pytest.mark.parametrize("namespace", BOTH)
async def test_the_end_of_the_meeting_reaches_whoever_waits(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await waiting(signaling, clients, meeting, "wes", namespace)

    await hal.get("room:end", {"meeting_id": meeting})

    closed = await wes.hears("room:closed")
    assert closed["reason"] == "ended_by_host"
    assert await refused_join(wes, meeting) == "MEETING_ENDED"


async def test_somebody_let_in_when_the_meeting_is_full_is_told_so(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", max_participants=2, settings=APPROVAL)
    hal = await seated(signaling, clients, meeting, "hal")
    wes = await waiting(signaling, clients, meeting, "wes")
    zoe = await waiting(signaling, clients, meeting, "zoe", "/")
    await hal.get("waiting:admit", {"meeting_id": meeting, "target_user_ids": ["wes"]})
    await wes.hears("room:joined")

    await hal.get("waiting:admit", {"meeting_id": meeting, "target_user_ids": ["zoe"]})

    assert (await zoe.hears("error"))["code"] == "MEETING_FULL"
    await leave(wes, meeting)
    await join(zoe, meeting)


async def test_who_waits_is_not_counted(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal", max_participants=2, settings=APPROVAL)
    await seated(signaling, clients, meeting, "hal")
    for who in ("one", "two", "three"):
        await waiting(signaling, clients, meeting, who)
    snapshot = await placement.snapshot(MeetingId(meeting))
    assert [each.id for each in snapshot.participants] == [ParticipantId("hal")]
    assert [each.id for each in snapshot.waiting] == ["one", "two", "three"]
    client = await connected(signaling, clients, meeting, "four")
    answer = await client.ask(JOIN["/meeting"], {"meeting_id": meeting})
    assert answer["data"] == {"meeting_id": meeting, "waiting": True}
