"""Detailed logs of one meeting, switched on and off by REST while people are in it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.events import ActiveSpeaker
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_signaling.pseudonyms import Pseudonyms

OwnSignaling = Callable[..., Awaitable[Signaling]]


async def put(signaling: Signaling, meeting: str, **body: object) -> Any:
    """`PUT meetings/{id}/debug` by the host, Ann."""
    headers = {"Authorization": f"Bearer {signaling.access('ann')}"}
    url = f"{signaling.url}/api/v1/meetings/{meeting}/debug"
    async with (
        aiohttp.ClientSession() as session,
        session.put(url, json=body, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


def told(node: FakeNode, meeting: str) -> list[api.SetDebug]:
    """What the node was told of that meeting's logs, in order."""
    return [op for which, op in node.calls if which == meeting and isinstance(op, api.SetDebug)]


async def hears_of_it(node: FakeNode, meeting: str, on: bool = True) -> api.SetDebug:
    """Waits until the node was told so; what it was told last."""
    async with asyncio.timeout(10):
        while not (ops := told(node, meeting)) or bool(ops[-1].until_ms) != on:
            await asyncio.sleep(0.01)
    return ops[-1]


def commands(signaling: Signaling, meeting: str) -> list[dict[str, Any]]:
    """The commands of that meeting in the log."""
    lines = [line for line in signaling.lines if line["event"] == "command"]
    assert all(line["level"] == "debug" for line in lines)
    return [line for line in lines if line["meeting_id"] == meeting]


async def joined(clients: MakeClient, signaling: Signaling, user: str, meeting: str) -> Client:
    client = await clients(signaling, "/meeting", user)
    await client.get("room:join", {"meeting_id": meeting})
    return client


@pytest.fixture
async def pair(signaling: Signaling, node: FakeNode, clients: MakeClient) -> tuple[Client, str]:
    """Ann in a meeting of her own, and its id."""
    meeting = await signaling.create_meeting("ann")
    return await joined(clients, signaling, "ann", meeting), meeting


async def test_a_meeting_that_is_looked_into_is_logged_in_detail_until_it_is_switched_off(
    signaling: Signaling, node: FakeNode, clients: MakeClient, pair: tuple[Client, str]
) -> None:
    ann, meeting = pair
    other = await signaling.create_meeting("bob")
    bob = await joined(clients, signaling, "bob", other)
    await put(signaling, meeting, enabled=True, minutes=5)

    op = await hears_of_it(node, meeting)

    assert abs(op.until_ms / 1000 - time.time() - 300) < 10
    names = Pseudonyms(signaling.key)
    assert op.pseudonym_key == names.key.hex()
    for client, where in ((ann, meeting), (bob, other)):
        await client.get("hand:raise", {"meeting_id": where})
        await client.refused("consume", {"producer_id": "none", "rtp_capabilities": {}})
        await client.get("room:leave", {"meeting_id": where})
    seen = commands(signaling, meeting)
    assert [(line["metadata"]["command"], line["metadata"]["result"]) for line in seen] == [
        ("hand:raise", "ok"),
        ("consume", "NOT_FOUND"),
        ("room:leave", "ok"),
    ]
    assert {line["user_id"] for line in seen} == {names.of("ann")}
    assert all(line["metadata"]["ms"] >= 0 for line in seen)

    await ann.get("room:join", {"meeting_id": meeting})
    await put(signaling, meeting, enabled=False)
    await hears_of_it(node, meeting, on=False)
    before = len(commands(signaling, meeting))
    await ann.get("hand:raise", {"meeting_id": meeting})
    assert len(commands(signaling, meeting)) == before
    assert told(node, other) == []
    assert commands(signaling, other) == []


async def test_the_node_that_a_meeting_moves_to_is_told_too(
    signaling: Signaling, node: FakeNode, placement: Placement, pair: tuple[Client, str]
) -> None:
    ann, meeting = pair
    await put(signaling, meeting, enabled=True)
    first = await hears_of_it(node, meeting)
    keys = {signaling.tokens.signer_kid: signaling.key.public_key()}
    async with FakeNode(placement, keys, "other") as other:
        await node.die()
        await node.renew(lease_ms=1)
        await ann.hears("media:reset")
        assert await hears_of_it(other, meeting) == first


async def test_detailed_logs_end_by_themselves(
    signaling: Signaling, node: FakeNode, placement: Placement, pair: tuple[Client, str]
) -> None:
    ann, meeting = pair
    until_ms = int(time.time() * 1000) + 60_000
    await placement.set_debug(MeetingId(meeting), until_ms)
    assert (await hears_of_it(node, meeting)).until_ms == until_ms
    await ann.get("hand:raise", {"meeting_id": meeting})
    until_ms = int(time.time() * 1000) + 300
    await placement.set_debug(MeetingId(meeting), until_ms)
    await placement.publish(MeetingId(meeting), ActiveSpeaker(participant_id=None))
    await ann.hears("speaker:active")  # so the replica knows of the new time, too
    while time.time() * 1000 <= until_ms:
        await asyncio.sleep(0.05)
    await ann.get("hand:lower", {"meeting_id": meeting})
    assert [line["metadata"]["command"] for line in commands(signaling, meeting)] == ["hand:raise"]


async def test_a_meetings_breakout_rooms_are_logged_with_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient, pair: tuple[Client, str]
) -> None:
    ann, meeting = pair
    made = await ann.get("breakout:create", {"meeting_id": meeting, "count": 1})
    room = made["rooms"][0]["room_id"]
    await ann.get("breakout:open", {"meeting_id": meeting})
    await put(signaling, meeting, enabled=True)
    await ann.get("room:join", {"meeting_id": room})
    await hears_of_it(node, room)
    await ann.get("hand:raise", {"meeting_id": room})
    assert [line["metadata"]["command"] for line in commands(signaling, room)] == [
        "room:join",
        "hand:raise",
    ]


async def test_a_breakout_room_that_opens_later_is_logged_too_and_no_longer_than_its_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient, pair: tuple[Client, str]
) -> None:
    ann, meeting = pair
    await put(signaling, meeting, enabled=True)
    first = await hears_of_it(node, meeting)
    await ann.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await ann.get("breakout:open", {"meeting_id": meeting})
    room = f"{meeting}:1"

    await ann.get("room:join", {"meeting_id": room})

    assert (await hears_of_it(node, room)).until_ms == first.until_ms
    await ann.get("hand:raise", {"meeting_id": room})
    assert "hand:raise" in [line["metadata"]["command"] for line in commands(signaling, room)]

    await ann.get("room:join", {"meeting_id": meeting})
    await ann.get("breakout:close", {"meeting_id": meeting})
    await put(signaling, meeting, enabled=False)
    await ann.get("breakout:open", {"meeting_id": meeting})
    await ann.get("room:join", {"meeting_id": room})
    before = len(commands(signaling, room))
    await ann.get("hand:lower", {"meeting_id": room})
    assert len(commands(signaling, room)) == before
