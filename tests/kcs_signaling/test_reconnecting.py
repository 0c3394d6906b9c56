"""Coming back after a lost socket: the same participant, in the same call, told what was missed."""

import asyncio
import time

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.call import Call, go, heard
from tests.support.fake_node import FakeNode
from tests.support.signaling import ISSUER, Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.events import ChatPosted
from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_signaling.tokens import Tokens, User

SOON_S = 8
"""A token ends so soon: time to connect and join with it, also where all is slow."""


def names(client: Client, *wanted: str) -> list[str]:
    """Of the events that were heard, those of these names, in their order."""
    return [name for name, _ in client.heard if name in wanted]


async def test_a_resume_token_brings_somebody_back_as_they_were_on_another_replica(
    call: Call,
    signaling: Signaling,
    other_replica: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named(display_name="Bob B."))
    cy = await call.enters(other_replica, "cy", "/")
    producer = await sending(bob, call.id)
    await bob.get("hand:raise", call.named())
    await bob.get("media:toggle", call.named(kind="audio", enabled=True))
    named = call.named(target_user_id="bob")
    await ann.get("participant:mute", {**named, "kind": "audio"})
    await ann.get("participant:role:update", {**named, "new_role": "co_host"})
    before = await call.enters(signaling, "dee")
    (was,) = people(await before.hears("room:joined"), "bob")

    await bob.close()
    again = await clients(other_replica, "/meeting", "bob", token=joined["resume_token"])
    resumed = await again.get("room:join", call.named(since=joined["version"]))

    (me,) = people(resumed, "bob")
    assert me == was
    assert (me["display_name"], me["role"], me["audio_muted_by_host"]) == (
        "Bob B.",
        "co_host",
        True,
    )
    assert (me["video_enabled"], me["audio_enabled"]) == (True, False)
    assert me["hand_raised_at"]
    assert (resumed["resumed"], resumed["your_role"]) == (True, "co_host")
    assert resumed["media"] == joined["media"]
    assert producer in node.media(call.id, "bob").producers
    assert node.asked(api.CloseParticipant) == []
    await call.told_all(ann, cy)
    assert names(ann, "participant:left", "producer:closed") == []
    assert len(names(ann, "participant:joined")) == 3  # bob, cy, dee
    assert names(cy, "participant-left", "producer-closed") == []
    # the new socket speaks for bob: the same stream, the same hand
    await again.get("produce:close", {"producer_id": producer})
    assert (await ann.hears("producer:closed"))["producer_id"] == producer
    await again.get("hand:lower", call.named())
    assert (await ann.hears("hand:lowered"))["user_id"] == "bob"


def people(joined: dict[str, object], user: str) -> list[dict[str, object]]:
    """Somebody as the answer to a join shows them."""
    found = joined["participants"]
    assert isinstance(found, list)
    return [each for each in found if each["user_id"] == user]


async def test_what_was_said_while_somebody_was_away_is_told_after_the_answer_and_once(
    call: Call, signaling: Signaling, other_replica: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named())
    version = joined["version"]
    await bob.close()
    await ann.get("chat:send", call.named(message="one"))
    gone = (await ann.get("chat:send", call.named(message="two")))["message_id"]
    await ann.get("reaction:send", call.named(emoji="🎉"))
    await ann.get("chat:delete", call.named(message_id=gone))
    private = {"recipient_type": "private", "recipient_id": "ann"}
    await ann.get("chat:send", call.named(message="to myself", **private))
    await ann.get("hand:raise", call.named())

    again = await clients(other_replica, "/meeting", "bob", token=joined["resume_token"])
    resumed = await again.get("room:join", call.named(since=version))
    await call.told_all(again)

    assert [name for name, _ in again.heard] == [
        "room:joined",
        "chat:message",
        "chat:message",
        "reaction:received",
        "chat:deleted",
    ]
    assert [each["message"] for each in heard(again, "chat:message")] == ["one", "two"]
    assert [each["message"] for each in resumed["recent_messages"]] == ["one", ""]
    assert people(resumed, "ann")[0]["hand_raised_at"]
    # whoever has heard of it all is told nothing again
    third = await clients(signaling, "/meeting", "bob", token=joined["resume_token"])
    await third.get("room:join", call.named(since=resumed["version"]))
    await call.told_all(third)
    assert names(third, "chat:message", "reaction:received", "chat:deleted") == []


async def test_what_was_said_before_somebody_came_is_in_the_answer_alone(
    call: Call, signaling: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    await ann.get("chat:send", call.named(message="before"))
    await ann.get("reaction:send", call.named(emoji="🎉"))

    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named(since=0))
    await call.told_all(bob)

    assert [each["message"] for each in joined["recent_messages"]] == ["before"]
    assert names(bob, "chat:message", "reaction:received") == []


async def test_what_is_said_while_the_answer_is_made_is_told_after_it_and_once(
    call: Call,
    signaling: Signaling,
    other_replica: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named())
    await bob.close()
    await ann.get("chat:send", call.named(message="0"))
    meanwhile = iter(range(1, 4))

    async def speaks(op: api.Operation) -> None:
        if isinstance(op, api.CreateTransport):
            for number in meanwhile:
                await placement.publish(MeetingId(call.id), posted(str(number)))
            await ann.hears("chat:message", lambda p: p["message"] == "3")
            await asyncio.sleep(0.1)  # the other replica has heard it too

    node.before = speaks
    again = await clients(other_replica, "/meeting", "bob", token=joined["resume_token"])
    await again.get("room:join", call.named(since=joined["version"], transports=["send", "recv"]))
    await call.told_all(again)

    assert names(again, "room:joined", "chat:message")[0] == "room:joined"
    assert [each["message"] for each in heard(again, "chat:message")] == ["0", "1", "2", "3"]


def posted(text: str) -> ChatPosted:
    """A message as a replica tells it."""
    who = ParticipantId("ann")
    return ChatPosted(
        message_id=f"m{text}",
        sender_id=who,
        sender_name="Ann",
        text=text,
        at_ms=int(time.time() * 1000),
    )


@pytest.mark.parametrize("namespace", ["/meeting", "/"])
async def test_a_newer_socket_takes_over_and_the_older_one_is_told_and_closed(
    namespace: str, call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob", namespace)

    again = await call.enters(other_replica, "bob", namespace)

    replaced = await bob.hears("session:replaced")
    assert replaced == ({"meetingId": call.id} if namespace == "/" else call.named())
    assert await bob.gone()
    await call.told_all(ann, again)
    assert names(ann, "participant:left") == []
    assert len(names(ann, "participant:joined")) == 1


async def test_a_client_of_the_guide_comes_back_by_joining_again(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    cy = await call.enters(signaling, "cy", "/")
    await cy.get("hand:raise", {"meetingId": call.id})
    await cy.close()

    again = await call.enters(other_replica, "cy", "/")

    assert (await again.hears("participant-joined"))["participantCount"] == 2
    await ann.get("chat:send", call.named(message="there you are"))
    assert (await again.hears("new-message"))["message"] == "there you are"
    await call.told_all(ann)
    assert names(ann, "participant:left", "hand:lowered") == []
    late = await call.enters(signaling, "bob")
    assert people(await late.hears("room:joined"), "cy")[0]["hand_raised_at"]


def access_for(signaling: Signaling, user: str, seconds: float) -> str:
    """An access token that ends soon."""
    began = time.time() + seconds - 900
    tokens = Tokens(
        signaling.key, issuer=ISSUER, access_minutes=15, refresh_days=7, now=lambda: began
    )
    return tokens.access(User(user_id=UserId(user), user_name=user.title()))


async def test_a_token_that_ended_is_refreshed_without_leaving(
    call: Call, signaling: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    (room,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    bob = await clients(signaling, "/meeting", "bob", token=access_for(signaling, "bob", SOON_S))
    await bob.get("room:join", call.named())
    await asyncio.sleep(SOON_S + 0.1)

    # who is in stays in; coming in anywhere needs a token that is good
    await bob.get("hand:raise", call.named())
    assert await bob.refused("room:join", {"meeting_id": room}) == "ACCESS_DENIED"
    other = await signaling.create_meeting("zoe")
    for wrong in (
        signaling.access("eve"),
        signaling.invited(other, "bob", Role.HOST),
        access_for(signaling, "bob", -1),
        "x",
    ):
        assert await bob.refused("auth:refresh", {"token": wrong}) == "ACCESS_DENIED"
    refreshed = await bob.get("auth:refresh", {"token": signaling.access("bob")})

    assert refreshed["expires_at"].endswith("Z")
    joined = await go(bob, room)
    assert (joined["your_role"], joined["parent_id"]) == ("presenter", call.id)
    await call.told_all(ann)
    assert [p["reason"] for p in heard(ann, "participant:left")] == ["left"]  # into the room


async def test_a_resume_token_outlives_the_access_token(
    call: Call, signaling: Signaling, other_replica: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await clients(signaling, "/meeting", "bob", token=access_for(signaling, "bob", SOON_S))
    joined = await bob.get("room:join", call.named())
    await asyncio.sleep(SOON_S + 0.1)
    await bob.close()

    again = await clients(other_replica, "/meeting", "bob", token=joined["resume_token"])
    resumed = await again.get("room:join", call.named())

    assert (resumed["resumed"], resumed["your_role"]) == (True, "presenter")
    await call.told_all(ann)
    assert names(ann, "participant:left") == []


async def test_who_comes_back_under_another_name_is_known_by_it_everywhere(
    call: Call, signaling: Signaling, other_replica: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named(display_name="Bob B."))
    await bob.close()

    again = await clients(other_replica, "/meeting", "bob", token=joined["resume_token"])
    resumed = await again.get("room:join", call.named())
    assert (resumed["display_name"], people(resumed, "bob")[0]["display_name"]) == ("Bob B.",) * 2
    resumed = await again.get("room:join", call.named(display_name="Robert"))

    assert (resumed["display_name"], people(resumed, "bob")[0]["display_name"]) == ("Robert",) * 2
    updated = await ann.hears("participant:updated")
    assert (updated["user_id"], updated["updates"]["display_name"]) == ("bob", "Robert")
    await again.get("chat:send", call.named(message="hi"))
    assert (await ann.hears("chat:message"))["display_name"] == "Robert"


async def test_somebody_comes_back_into_their_breakout_room(
    call: Call, signaling: Signaling, other_replica: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")
    (room,) = await call.rooms(ann, 1)
    await call.assigns(ann, bob=room)
    await ann.get("breakout:open", call.named())
    joined = await go(bob, room)
    await ann.hears("breakout:moved")
    await bob.close()

    again = await clients(other_replica, "/meeting", "bob", token=joined["resume_token"])
    resumed = await again.get("room:join", {"meeting_id": room, "since": joined["version"]})

    assert (resumed["resumed"], resumed["parent_id"]) == (True, call.id)
    await call.told_all(ann)
    assert names(ann, "breakout:moved") == []
    assert (await go(again, call.id))["resumed"] is False
