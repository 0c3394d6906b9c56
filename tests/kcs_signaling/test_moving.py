"""Meetings that move to another node while people are in them: two homes for a while."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.support.call import Call, MakeClient, heard
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.ids import Epoch, MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.placement.moving import MOVE_MS
from kcs_contracts.rooms import Source


@pytest.fixture
async def other(
    call: Call, signaling: Signaling, placement: Placement
) -> AsyncIterator[Callable[[], Awaitable[FakeNode]]]:
    """Starts the node that the meeting moves to: once it has its first home."""
    started: list[FakeNode] = []

    async def start() -> FakeNode:
        keys = {signaling.tokens.signer_kid: signaling.key.public_key()}
        fake = await FakeNode(placement, keys, f"other-{call.id}").__aenter__()
        started.append(fake)
        return fake

    yield start
    for fake in started:
        await fake.__aexit__()


async def sending(client: Client, call: Call, **where: int) -> str:
    """Lets a client send its camera, at the home of that epoch if one is named; its id."""
    made = await client.get("transport:create", call.named(direction="send", **where))
    what = {"transport_id": made["transport_id"], "kind": "video", "rtp_parameters": {}}
    return str((await client.get("produce", {**what, **where}))["producer_id"])


async def receiving(client: Client, call: Call, producer: str, **where: int) -> str:
    """Lets a client receive a stream; the consumer's id."""
    await client.get("transport:create", call.named(direction="recv", **where))
    wanted = {"producer_ids": [producer], "rtp_capabilities": {}, "paused": False, **where}
    (consumer,) = (await client.get("consume:batch", wanted))["consumers"]
    return str(consumer["consumer_id"])


async def moves(call: Call, placement: Placement, **more: Any) -> Epoch:
    home = await placement.assignment(MeetingId(call.id))
    assert home is not None
    moving = await placement.migrate(home.meeting_id, home.node, home.epoch, **more)
    assert moving is not None
    return moving.epoch


async def crosses(client: Client, call: Call, epoch: Epoch) -> None:
    await client.get("media:cross", call.named(epoch=epoch))


async def test_people_cross_to_another_node_beside_what_they_have_and_then_leave_the_old_one(
    call: Call, signaling: Signaling, node: FakeNode, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")
    old = await sending(ann, call)
    received = await receiving(bob, call, old)
    to = await other()
    epoch = await moves(call, placement)

    told = await ann.hears("media:migrate")
    assert (told["node"], told["epoch"], told["streams"]) == (to.name, epoch, [])
    assert (await bob.hears("media:migrate"))["epoch"] == epoch
    new = await sending(ann, call, epoch=epoch)
    stream = await bob.hears("media:migrate:stream")
    assert (stream["stream"]["producer_id"], stream["gone"]) == (new, False)
    again = await receiving(bob, call, new, epoch=epoch)

    assert set(node.media(call.id, "ann").producers) == {old}
    assert node.media(call.id, "bob").flowing == {received}
    assert set(to.media(call.id, "ann").producers) == {new}
    assert to.media(call.id, "bob").flowing == {again}
    await crosses(ann, call, epoch)
    await crosses(bob, call, epoch)
    for client in (ann, bob):
        done = await client.hears("media:migrated")
        assert (done["epoch"], done["done"]) == (epoch, True)
        assert heard(client, "media:reset") == []
    assert len(heard(bob, "new-producer")) == 1, "the new one is not another stream"
    late = await call.enters(signaling, "cy")
    joined = await late.hears("room:joined")
    assert [each["producer_id"] for each in joined["producers"]] == [new]
    assert (joined["media"]["epoch"], joined["moving"]) == (epoch, None)


async def test_the_guides_client_is_not_waited_for_and_begins_anew_with_all_that_is_there(
    call: Call, signaling: Signaling, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    gus = await call.enters(signaling, "gus", "/")
    await sending(ann, call)
    await other()
    epoch = await moves(call, placement)
    await ann.hears("media:migrate")
    new = await sending(ann, call, epoch=epoch)
    await crosses(ann, call, epoch)

    reset = await gus.hears("media:reset", timeout_s=MOVE_MS / 1000 - 2)

    assert reset == {"meetingId": call.id, "reason": "moved"}
    assert [name for name, _ in gus.heard if "migrat" in name] == []
    await gus.get("create-transport", {"meetingId": call.id, "direction": "recv"})
    assert (await gus.hears("new-producer", lambda p: p["producerId"] == new))["source"] == "camera"


async def test_whoever_did_not_cross_in_time_is_reset_and_told_what_is_there(
    call: Call, signaling: Signaling, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")
    old = await sending(bob, call)
    await other()
    epoch = await moves(call, placement, move_ms=4000, more_ms=0)
    await ann.hears("media:migrate")
    new = await sending(ann, call, epoch=epoch)
    await crosses(ann, call, epoch)

    reset = await bob.hears("media:reset", timeout_s=12)

    assert (reset["epoch"], reset["reason"]) == (epoch, "moved")
    assert (await bob.hears("new-producer"))["producer_id"] == new
    assert (await ann.hears("media:migrated"))["done"]
    assert old not in [p["producer_id"] for p in heard(ann, "media:migrate:stream")]
    assert await bob.refused("produce:close", {"producer_id": old}) == "NOT_FOUND"
    await sending(bob, call)
    assert (await ann.hears("new-producer", lambda p: p["producer_id"] != old))["user_id"] == "bob"


@pytest.mark.parametrize("how", ["it dies", "it refuses"])
async def test_a_move_to_a_node_that_cannot_be_used_changes_nothing(
    how: str, call: Call, signaling: Signaling, node: FakeNode, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    old = await sending(ann, call)
    to: FakeNode = await other()
    if how == "it refuses":

        def refuse(op: api.Operation) -> None:
            raise RuntimeError("as a node that drains")

        to.before = refuse
    epoch = await moves(call, placement)
    if how == "it dies":
        assert (await ann.hears("media:migrate"))["epoch"] == epoch
        await to.die()
        await to.renew(lease_ms=1)
        over = await ann.hears("media:migrated")
        assert (over["epoch"], over["done"]) == (epoch, False)
    while await placement.moves():
        await ann.settle()
    await call.told_all(ann)

    assert heard(ann, "media:migrate") == []
    assert await ann.refused("transport:create", call.named(direction="send", epoch=epoch)) == (
        "NOT_FOUND"
    )
    await ann.get("media:toggle", call.named(kind="video", enabled=False))
    assert old in node.media(call.id, "ann").paused
    home = await placement.assignment(MeetingId(call.id))
    assert home is not None
    assert home.node == node.name
    assert heard(ann, "media:reset") == []


async def test_a_mute_holds_at_both_nodes_and_so_does_what_one_switches_oneself(
    call: Call, signaling: Signaling, node: FakeNode, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")
    old = await sending(bob, call)
    to: FakeNode = await other()
    epoch = await moves(call, placement)
    await bob.hears("media:migrate")
    new = await sending(bob, call, epoch=epoch)

    async def switch(on: bool) -> None:
        await bob.get("media:toggle", call.named(kind="video", enabled=on))

    await switch(False)
    assert (old in node.media(call.id, "bob").paused) == (new in to.media(call.id, "bob").paused)
    assert new in to.media(call.id, "bob").paused
    await switch(True)
    assert new not in to.media(call.id, "bob").paused
    mute = call.named(target_user_id="bob", kind="video", muted=True)
    await ann.get("participant:mute", mute)
    for home, producer in ((node, old), (to, new)):
        assert producer in home.media(call.id, "bob").paused
        assert ("bob", Source.CAMERA) in home.rooms[MeetingId(call.id)].muted


async def test_whoever_goes_during_a_move_goes_from_both_nodes(
    call: Call, signaling: Signaling, node: FakeNode, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")
    await sending(bob, call)
    to: FakeNode = await other()
    epoch = await moves(call, placement)
    await bob.hears("media:migrate")
    await sending(bob, call, epoch=epoch)
    await bob.get("room:leave", call.named())
    assert (await ann.hears("participant:left"))["user_id"] == "bob"
    for home in (node, to):
        assert "bob" not in home.rooms[MeetingId(call.id)].media
        assert len(home.asked(api.CloseParticipant)) >= 1
    await ann.get("room:leave", call.named())


async def test_whoever_comes_or_comes_back_during_a_move_learns_of_it_with_the_join(
    call: Call, signaling: Signaling, other: Any, placement: Placement, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    await other()
    epoch = await moves(call, placement)
    await ann.hears("media:migrate")
    new = await sending(ann, call, epoch=epoch)
    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named())
    assert joined["media"]["epoch"] < epoch
    assert joined["moving"]["epoch"] == epoch
    assert [each["producer_id"] for each in joined["moving"]["streams"]] == [new]
    back = await clients(signaling, "/meeting", "ann")
    resumed = await back.get("room:join", call.named())
    assert (resumed["resumed"], resumed["moving"]["epoch"]) == (True, epoch)
    await crosses(back, call, epoch)
    await crosses(bob, call, epoch)
    assert (await back.hears("media:migrated"))["done"]
    assert (await bob.hears("media:migrated"))["done"]
    assert heard(bob, "media:migrate") == heard(back, "media:migrate") == []


async def test_a_forced_eviction_during_a_move_ends_it_where_it_was_going(
    call: Call, signaling: Signaling, other: Any, placement: Placement
) -> None:
    ann = await call.enters(signaling, "ann")
    before = await placement.assignment(MeetingId(call.id))
    assert before is not None
    await other()
    epoch = await moves(call, placement)
    await ann.hears("media:migrate")
    found = await placement.evict(before.meeting_id, before.node, before.epoch, "moved")
    assert found is not None
    assert found.epoch == epoch
    assert (await ann.hears("media:reset"))["epoch"] == epoch
