"""Somebody is removed: their media ends, and they stay out until a host adds them."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.kcs_signaling.test_room_real_node import OPUS
from tests.support.fake_node import FakeNode
from tests.support.seats import (
    LEFT,
    WAITING,
    connected,
    join,
    named,
    names,
    refused_join,
    seated,
)
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.node_api import DescribeParticipant, ParticipantMedia
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_dev.api import Inspector, access_token, new_meeting
from kcs_dev.stack import LocalStack

BOTH = ("/meeting", "/")


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


async def remove(host: Client, meeting: str, who: str, reason: str = "") -> None:
    asked = named(host, meeting, target_user_id=who, reason=reason)
    answer = await host.get("participant:remove", asked)
    assert answer == named(host, meeting, target_user_id=who)


@pytest.mark.parametrize("namespace", BOTH)
async def test_media_is_closed_at_once_and_everybody_hears_of_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    bob = await seated(signaling, clients, meeting, "bob", namespace=namespace)
    producer = await sending(eve, meeting)
    await hal.hears("new-producer")

    await remove(hal, meeting, "eve", "Rude")

    assert node.asked(api.CloseParticipant)[-1].participant_id == "eve"
    assert await eve.hears("removed:from-meeting") == {"meeting_id": meeting, "reason": "Rude"}
    left, who = LEFT[namespace]
    assert (await bob.hears(left))[who] == "eve"
    gone = {"meeting_id": meeting, "user_id": "eve", "reason": "removed"}
    assert await hal.hears("participant:left") == gone
    assert (await hal.hears("producer:closed"))["producer_id"] == producer
    send = {"meeting_id": meeting, "direction": "send"}
    assert await eve.refused("transport:create", send) == "NOT_JOINED"
    assert eve.disconnects == []
    again = {"meeting_id": meeting, "target_user_id": "eve"}
    assert await hal.refused("participant:remove", again) == "NOT_FOUND"


@pytest.mark.parametrize("namespace", BOTH)
async def test_neither_meeting_token_nor_account_lets_them_in_again_until_they_are_added(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    namespace: str,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal", namespace=namespace)
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER, "/")
    told = await eve.get("room:snapshot", {"meetingId": meeting})

    await remove(hal, meeting, "eve", "Rude")

    assert await eve.hears("removed:from-meeting") == named(eve, meeting, reason="Rude")
    assert await refused_join(eve, meeting) == "ACCESS_DENIED"
    resumes = await clients(replicas[1], "/meeting", "eve", token=told["resumeToken"])
    assert await refused_join(resumes, meeting) == "ACCESS_DENIED"
    for other in BOTH:
        by_token = await connected(replicas[1], clients, meeting, "eve", Role.PRESENTER, other)
        assert await refused_join(by_token, meeting) == "ACCESS_DENIED"
        by_account = await connected(signaling, clients, meeting, "eve", namespace=other)
        assert await refused_join(by_account, meeting) == "ACCESS_DENIED"

    await hal.get("participant:add", named(hal, meeting, user_ids=["eve"]))
    await join(eve, meeting)
    await join(resumes, meeting)


async def test_rest_shows_them_nothing_of_the_meeting_until_they_are_added(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    await seated(signaling, clients, meeting, "eve", Role.CO_HOST)
    token = signaling.invited(meeting, "eve", Role.CO_HOST)

    async def statuses() -> set[int]:
        headers, paths = {"Authorization": f"Bearer {token}"}, ("", "/chat", "/chat/export")
        found = set()
        async with aiohttp.ClientSession(headers=headers) as http:
            for server in replicas:
                for path in paths:
                    url = f"{server.url}/api/v1/meetings/{meeting}{path}"
                    async with http.get(url) as answer:
                        found.add(answer.status)
        return found

    assert await statuses() == {200}
    await remove(hal, meeting, "eve")
    assert await statuses() == {403}
    await hal.get("participant:add", named(hal, meeting, user_ids=["eve"]))
    assert await statuses() == {200}


async def test_somebody_removed_while_they_wait_is_told_and_does_not_wait_again(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"require_host_approval": True})
    hal = await seated(signaling, clients, meeting, "hal")
    for who, namespace in zip(("eve", "kim"), BOTH, strict=True):
        waits = await seated(signaling, clients, meeting, who, namespace=namespace)
        await waits.hears(WAITING[namespace])

        await remove(hal, meeting, who, "Not today")

        told = await waits.hears("waiting:denied")
        assert told == named(waits, meeting, reason="Not today")
        out = {"meeting_id": meeting, "user_id": who, "outcome": "denied"}
        assert await hal.hears("waiting:left") == out
        assert await refused_join(waits, meeting) == "ACCESS_DENIED"


async def test_somebody_in_a_breakout_room_is_removed_from_all_of_the_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    room = f"{meeting}:1"
    hal = await seated(signaling, clients, meeting, "hal")
    people = [await seated(signaling, clients, meeting, who) for who in ("eve", "kim")]
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 2, "choose": True})
    await hal.get("breakout:open", {"meeting_id": meeting})
    for client in people:
        await join(client, room)
    eve, kim = people

    await remove(hal, meeting, "eve", "Rude")  # from the main meeting
    assert await eve.hears("removed:from-meeting") == {"meeting_id": room, "reason": "Rude"}
    await join(hal, room)
    await remove(hal, room, "kim")  # from inside
    await kim.hears("removed:from-meeting")

    closed = {(meeting_id, op.participant_id) for meeting_id, op in _closed(node)}
    assert {(room, "eve"), (room, "kim")} <= closed
    for client in people:
        for place in (meeting, room, f"{meeting}:2"):
            assert await refused_join(client, place) == "ACCESS_DENIED"
    await hal.get("participant:add", {"meeting_id": room, "user_ids": ["eve"]})
    await join(eve, meeting)
    await join(eve, room)


def _closed(node: FakeNode) -> list[tuple[MeetingId, api.CloseParticipant]]:
    return [(where, op) for where, op in node.calls if isinstance(op, api.CloseParticipant)]


async def test_a_host_in_a_breakout_room_removes_somebody_in_the_main_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve")
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await join(hal, f"{meeting}:1")

    await remove(hal, f"{meeting}:1", "eve")

    assert await eve.hears("removed:from-meeting") == {"meeting_id": meeting, "reason": ""}
    assert await refused_join(eve, meeting) == "ACCESS_DENIED"


async def test_a_co_host_cannot_remove_a_host_wherever_that_one_is(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST)
    remove_hal = {"meeting_id": meeting, "target_user_id": "hal"}
    assert await cora.refused("participant:remove", remove_hal) == "ACCESS_DENIED"
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await join(hal, f"{meeting}:1")

    assert await cora.refused("participant:remove", remove_hal) == "ACCESS_DENIED"

    assert "removed:from-meeting" not in names(hal)
    assert (await hal.get("room:snapshot", {"meeting_id": f"{meeting}:1"}))["your_role"] == "host"


async def test_people_leave_and_are_not_removed_by_themselves(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    myself = {"meeting_id": meeting, "target_user_id": "hal"}
    assert await hal.refused("participant:remove", myself) == "ACCESS_DENIED"


async def test_whoever_is_removed_while_their_socket_is_lost_does_not_come_back(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve")
    await eve.close()

    await remove(hal, meeting, "eve")

    assert node.asked(api.CloseParticipant)[-1].participant_id == "eve"
    again = await connected(signaling, clients, meeting, "eve")
    assert await refused_join(again, meeting) == "ACCESS_DENIED"


async def test_a_replica_that_missed_the_removal_puts_nobody_back(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    redis_url: str,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve")
    async with Redis.from_url(redis_url) as redis:
        deaf = redis.pipeline()
        deaf.client_kill_filter(_type="pubsub")
        deaf.fcall("kcs_expel", 0, meeting, "eve", "Rude", 0)
        await deaf.execute()

    await eve.hears("removed:from-meeting")

    assert (await hal.hears("participant:left"))["reason"] == "removed"
    await asyncio.sleep(1.5)  # the replicas say each half second who is there
    snapshot = await placement.snapshot(MeetingId(meeting))
    assert [each.id for each in snapshot.participants] == ["hal"]


async def test_a_removal_survives_a_redis_that_lost_its_data(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    redis: Redis,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve")
    await remove(hal, meeting, "eve")
    await eve.hears("removed:from-meeting")
    await redis.flushall()
    who = ParticipantId("hal")
    deadline = time.monotonic() + 20
    while who not in {p.id for p in (await placement.snapshot(MeetingId(meeting))).participants}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)

    assert await refused_join(eve, meeting) == "ACCESS_DENIED"


async def test_a_real_node_has_nothing_of_theirs_a_second_later(tmp_path: Path) -> None:
    async with LocalStack(tmp_path / "stack") as stack, AsyncExitStack() as closing:
        meeting = await new_meeting(stack.url, "hal")
        hal, eve = Client("/meeting"), Client("/")
        for client, who in ((hal, "hal"), (eve, "eve")):
            closing.push_async_callback(client.close)
            await client.connect(stack.url, await access_token(stack.url, who, who.title()))
            await join(client, meeting)
        await eve.get("create-transport", {"meetingId": meeting, "direction": "send"})
        await eve.get("create-transport", {"meetingId": meeting, "direction": "recv"})
        mic = {"meetingId": meeting, "kind": "audio", "rtpParameters": OPUS}
        producer = (await eve.get("produce", mic))["producerId"]
        inspector = Inspector(stack)
        closing.push_async_callback(inspector.close)
        everything = DescribeParticipant(participant_id=ParticipantId("eve"))
        (before,) = (await inspector.operate(meeting, everything)).results
        assert isinstance(before.answer, ParticipantMedia)
        assert (len(before.answer.transports), before.answer.producers) == (2, (producer,))
        began = time.monotonic()

        await remove(hal, meeting, "eve")

        (after,) = (await inspector.operate(meeting, everything)).results
        assert time.monotonic() - began < 1
        nothing = ParticipantMedia(transports=(), producers=(), consumers=())
        assert after.answer in (None, nothing)
