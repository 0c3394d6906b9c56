"""Reactions and raised hands."""

import asyncio
from typing import get_args

from tests.support.call import Call, heard
from tests.support.signaling import Signaling

from kcs_contracts.protocol.chat import Emoji
from kcs_contracts.rooms import Role


async def test_the_guides_reactions_reach_all_and_no_others_do(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    gus = await call.enters(signaling, "gus", role=Role.GUEST)

    shown = await ann.get("reaction:send", call.named(emoji="❤️"))
    assert shown.pop("timestamp").endswith("Z")
    assert shown == call.named(user_id="ann", display_name="Ann", emoji="❤️")
    for client in (ann, bob):
        told = await client.hears("reaction:received")
        assert told.pop("timestamp")
        assert told == shown
    in_camel = await cy.hears("reaction:received")
    assert (in_camel["userId"], in_camel["userName"], in_camel["emoji"]) == ("ann", "Ann", "❤️")
    await cy.get("reaction:send", {"meetingId": call.id, "emoji": "🔥"})
    assert (await ann.hears("reaction:received"))["emoji"] == "🔥"

    assert await gus.refused("reaction:send", call.named(emoji="👍")) == "ACCESS_DENIED"
    for wrong in ("💩", "👍👍", "", "<b>", 7):
        assert await bob.refused("reaction:send", call.named(emoji=wrong)) == "INVALID_REQUEST"
    assert len(get_args(Emoji)) == 10


async def test_hands_are_taken_in_the_order_in_which_they_went_up(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    dee = await call.enters(signaling, "dee")

    for client in (dee, bob):
        await client.get("hand:raise", call.named())
        await asyncio.sleep(0.005)
    await cy.get("hand:raise", {"meetingId": call.id})
    first = (await ann.hears("hand:raised"))["timestamp"]
    await ann.hears("hand:raised", lambda p: p["user_id"] == "cy")
    await dee.get("hand:raise", call.named())  # is up already, and keeps its turn
    await call.told_all(ann)
    assert [each["user_id"] for each in heard(ann, "hand:raised")] == ["bob"]

    late = await call.enters(signaling, "eve")
    people = (await late.hears("room:joined"))["participants"]
    up = [each for each in people if each["hand_raised_at"]]
    in_order = sorted(up, key=lambda each: each["hand_raised_at"])
    assert [each["user_id"] for each in in_order] == ["dee", "bob", "cy"]
    assert in_order[0]["hand_raised_at"] == first


async def test_hands_are_lowered_by_whose_they_are_and_by_hosts(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    await bob.get("hand:raise", call.named())
    await cy.get("hand:raise", {"meetingId": call.id})

    of_cy = {**call.named(), "target_user_id": "cy"}
    assert await bob.refused("hand:lower", of_cy) == "ACCESS_DENIED"
    assert await ann.refused("hand:lower", {**of_cy, "target_user_id": "zoe"}) == "NOT_FOUND"
    assert await ann.get("hand:lower", of_cy) == call.named(user_id="cy")
    assert (await cy.hears("hand:lowered"))["userId"] == "cy"
    await bob.get("hand:lower", call.named())
    assert (await ann.hears("hand:lowered", lambda p: p["user_id"] == "bob"))[
        "meeting_id"
    ] == call.id
    updated = await ann.hears("participant:updated", lambda p: not p["updates"]["hand_raised_at"])
    assert updated["user_id"] == "cy"
