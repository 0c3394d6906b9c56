"""What meetings survive: lost nodes, restarted replicas, and a Redis that goes or forgets."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.fake_node import FakeNode
from tests.support.own_redis import OwnRedis, come_back
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement, connect

OwnSignaling = Callable[..., Awaitable[Signaling]]


def keys_of(signaling: Signaling) -> dict[str, Ed25519PublicKey]:
    return {signaling.tokens.signer_kid: signaling.key.public_key()}


async def gets_again(client: Client, event: str, payload: object) -> Any:
    """The data of the first acknowledgement that is ok, now that Redis is there again."""
    async with asyncio.timeout(30):
        while not (answer := await client.ask(event, payload))["ok"]:
            assert answer["error"]["code"] == "UNAVAILABLE", answer
            await asyncio.sleep(0.5)
    return answer["data"]


async def test_a_lost_nodes_meeting_moves_and_everybody_is_told_at_once(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/", "bob")
    joined = await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("join-meeting", {"meetingId": meeting})
    await sending(ann, meeting)
    async with FakeNode(placement, keys_of(signaling), "other") as other:
        await node.die()
        await node.renew(lease_ms=1)

        reset = await ann.hears("media:reset", timeout_s=4)

        assert reset["reason"] == "node_lost"
        assert reset["epoch"] > joined["media"]["epoch"]
        assert (await bob.hears("media:reset"))["reason"] == "node_lost"
        producer = await sending(ann, meeting)
        assert producer in other.media(meeting, "ann").producers
        assert not [name for name, _ in ann.heard if name == "participant:left"]


async def test_a_node_that_does_not_answer_makes_requests_unavailable_with_a_hint(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    await ann.get("room:join", {"meeting_id": meeting})
    await node.die()

    answer = await ann.ask("transport:create", {"meeting_id": meeting, "direction": "send"})

    assert answer["error"]["code"] == "UNAVAILABLE"
    assert answer["error"]["retry_after"] > 0


async def test_a_node_that_holds_its_lease_and_does_not_answer_keeps_no_meeting_before_it_began(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    began, new = [await signaling.create_meeting("ann") for _ in range(2)]
    ann, bob, eve = [await clients(signaling, "/meeting", name) for name in ("ann", "bob", "eve")]
    await ann.get("room:join", {"meeting_id": began})
    await node.fall_silent()
    assert await eve.refused("room:join", {"meeting_id": new}) == "UNAVAILABLE"
    async with FakeNode(placement, keys_of(signaling), "other"):
        await bob.get("room:join", {"meeting_id": new})
        home, kept = await placement.assignment(MeetingId(new)), MeetingId(began)
        assert home is not None
        assert home.node == "other"
        # whoever is inside may have their media all the same
        await eve.ask("room:join", {"meeting_id": began})
        assert (await placement.whereabouts([kept]))[kept].node == node.name


async def test_a_producer_that_placement_refuses_is_closed_at_the_node_again(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("room:join", {"meeting_id": meeting})
    made = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    room = node.rooms[MeetingId(meeting)]

    def newer_plane(op: api.Operation) -> None:
        if isinstance(op, api.Produce):
            room.generation = api.Generation(room.generation + 1)  # Redis is told later

    node.before = newer_plane
    produce = {
        "transport_id": made["transport_id"],
        "kind": "audio",
        "rtp_parameters": {},
    }
    assert await ann.refused("produce", produce) == "UNAVAILABLE"

    assert node.media(meeting, "ann").producers == {}
    await bob.settle()
    assert not [name for name, _ in bob.heard if name == "new-producer"]


async def test_a_restarted_replica_keeps_presence_and_clients_resume(
    own_signaling: OwnSignaling, placement: Placement, clients: MakeClient
) -> None:
    signaling = await own_signaling()
    async with FakeNode(placement, keys_of(signaling), "n") as node:
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        first = await ann.get("room:join", {"meeting_id": meeting})
        producer = await sending(ann, meeting)

        status, seconds = await signaling.stop()
        assert (status, seconds < 8) == (0, True)
        await ann.gone()
        assert len((await placement.snapshot(MeetingId(meeting))).participants) == 1
        assert producer in node.media(meeting, "ann").producers
        await signaling.start()

        again = await clients(signaling, "/meeting", "ann", token=first["resume_token"])
        resumed = await again.get("room:join", {"meeting_id": meeting})
        assert resumed["resumed"] is True
        assert resumed["media"] == first["media"]
        assert node.asked(api.CloseParticipant) == []


async def test_a_killed_replica_keeps_presence_too(
    own_signaling: OwnSignaling, placement: Placement, clients: MakeClient
) -> None:
    signaling = await own_signaling()
    async with FakeNode(placement, keys_of(signaling), "n"):
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        await ann.get("room:join", {"meeting_id": meeting})
        await signaling.stop(signal.SIGKILL)
        await signaling.start()

        again = await clients(signaling, "/meeting", "ann")
        assert (await again.get("room:join", {"meeting_id": meeting}))["resumed"] is True


async def test_whoever_does_not_come_back_is_taken_out_with_their_media(
    own_signaling: OwnSignaling, placement: Placement, clients: MakeClient
) -> None:
    signaling = await own_signaling(KCS_MEETING__PRESENCE_SECONDS="2")
    async with FakeNode(placement, keys_of(signaling), "n") as node:
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        bob = await clients(signaling, "/meeting", "bob")
        await ann.get("room:join", {"meeting_id": meeting})
        await bob.get("room:join", {"meeting_id": meeting})
        producer = await sending(ann, meeting)
        await ann.close()

        left = await bob.hears("participant:left", timeout_s=15)

        assert (left["user_id"], left["reason"]) == ("ann", "timeout")
        assert (await bob.hears("producer:closed"))["producer_id"] == producer
        async with asyncio.timeout(10):
            while not node.asked(api.CloseParticipant):
                await asyncio.sleep(0.05)
        assert node.asked(api.CloseParticipant)[-1].participant_id == "ann"
        assert await bob.ask("room:leave", {"meeting_id": meeting})


async def test_people_who_are_there_stay_however_long_they_are_silent(
    own_signaling: OwnSignaling, placement: Placement, clients: MakeClient
) -> None:
    signaling = await own_signaling(KCS_MEETING__PRESENCE_SECONDS="2")
    async with FakeNode(placement, keys_of(signaling), "n"):
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        await ann.get("room:join", {"meeting_id": meeting})
        await asyncio.sleep(6)  # presence, a sweep, and more
        assert len((await placement.snapshot(MeetingId(meeting))).participants) == 1


async def test_two_replicas_show_each_others_people_and_streams(
    own_signaling: OwnSignaling, placement: Placement, clients: MakeClient
) -> None:
    one, two = await own_signaling(), await own_signaling()  # one key, database and Redis
    async with FakeNode(placement, keys_of(one), "n"):
        meeting = await one.create_meeting("ann")
        ann = await clients(one, "/meeting", "ann")
        bob = await clients(two, "/meeting", "bob")
        await ann.get("room:join", {"meeting_id": meeting})
        await bob.get("room:join", {"meeting_id": meeting})
        assert (await ann.hears("participant:joined"))["user_id"] == "bob"
        producer = await sending(ann, meeting)
        assert (await bob.hears("new-producer"))["producer_id"] == producer

        again = await clients(two, "/meeting", "ann")
        assert (await again.get("room:join", {"meeting_id": meeting}))["resumed"]
        assert await ann.hears("session:replaced") == {"meeting_id": meeting}


async def test_without_redis_commands_are_unavailable_soon_and_all_recovers_by_itself(
    own_redis: OwnRedis,
    own_signaling: OwnSignaling,
    own_placement: Placement,
    clients: MakeClient,
) -> None:
    signaling = await own_signaling(own_redis.url)
    async with FakeNode(own_placement, keys_of(signaling), "n"):
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        bob = await clients(signaling, "/meeting", "bob")
        await ann.get("room:join", {"meeting_id": meeting})
        await bob.get("room:join", {"meeting_id": meeting})

        own_redis.freeze()
        toggle = {"meeting_id": meeting, "kind": "audio", "enabled": True}
        began = time.monotonic()
        assert await ann.refused("media:toggle", toggle) == "UNAVAILABLE"
        assert time.monotonic() - began < 6
        own_redis.thaw()

        await gets_again(ann, "media:toggle", {**toggle, "enabled": False})
        assert ann.disconnects == bob.disconnects == []
        await ann.get("media:toggle", toggle)
        assert await bob.hears("participant:media:updated", lambda p: p["enabled"])
        assert not [name for name, _ in bob.heard if name == "participant:left"]


async def test_a_redis_that_comes_back_empty_gets_everybody_back_from_the_replicas(
    own_redis: OwnRedis,
    own_signaling: OwnSignaling,
    own_placement: Placement,
    clients: MakeClient,
) -> None:
    signaling = await own_signaling(own_redis.url)
    async with FakeNode(own_placement, keys_of(signaling), "n"):
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        bob = await clients(signaling, "/meeting", "bob")
        first = await ann.get("room:join", {"meeting_id": meeting})
        await bob.get("room:join", {"meeting_id": meeting})
        producer = await sending(ann, meeting)
        await bob.hears("new-producer")

        own_redis.stop()
        toggle = {"meeting_id": meeting, "kind": "video", "enabled": False}
        began = time.monotonic()
        assert await ann.refused("media:toggle", toggle) == "UNAVAILABLE"
        assert time.monotonic() - began < 6
        own_redis.start()

        snapshot = await come_back(own_placement, meeting, {"ann", "bob"})
        assert {each.id for each in snapshot.participants} == {"ann", "bob"}
        assert [each.id for each in snapshot.producers] == [producer]
        assert snapshot.assignment is not None
        assert snapshot.assignment.epoch == first["media"]["epoch"]
        heard = [name for name, _ in bob.heard]
        assert "participant:left" not in heard
        assert "producer:closed" not in heard
        assert "media:reset" not in heard
        await ann.get("room:leave", {"meeting_id": meeting})
        assert await bob.hears("participant:left")


async def test_a_service_that_starts_without_redis_serves_when_it_comes(
    own_redis: OwnRedis, own_signaling: OwnSignaling, clients: MakeClient
) -> None:
    own_redis.stop()
    signaling = await own_signaling(own_redis.url)
    ann = await clients(signaling, "/meeting", "ann")
    meeting = await signaling.create_meeting("ann")
    assert await ann.refused("room:join", {"meeting_id": meeting}) == "UNAVAILABLE"
    own_redis.start()
    redis = connect(own_redis.url)
    placement = Placement(redis)
    async with FakeNode(placement, keys_of(signaling), "n"):
        assert await gets_again(ann, "room:join", {"meeting_id": meeting})
    await placement.settle()
    await redis.aclose()


async def test_nothing_is_left_behind_after_sigterm(own_signaling: OwnSignaling) -> None:
    signaling = await own_signaling()
    pid = signaling.pid
    status, seconds = await signaling.stop()
    assert status == 0
    assert seconds < 8
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
