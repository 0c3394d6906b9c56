"""Chat as people in a meeting use it: to all, to one, to the hosts; and whom it must not reach."""

import asyncio
import sqlite3
from typing import Any

import aiohttp
from redis.asyncio import Redis
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_room_survival import OwnSignaling
from tests.support.call import Call, heard
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role


async def says(call: Call, client: Client, text: str, **more: object) -> Any:
    """Something said in `/meeting`; the message."""
    return await client.get("chat:send", call.named(message=text, **more))


def texts(client: Client) -> list[str]:
    """What was heard and not asked for yet, in its order and either dialect."""
    names = ("chat:message", "new-message")
    return [payload["message"] for name, payload in client.heard if name in names]


async def test_what_is_said_to_all_reaches_all_in_either_dialect(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(other_replica, "bob")
    cy = await call.enters(other_replica, "cy", "/")

    said = await says(call, ann, " Hello! ")

    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "meeting_id": call.id,
        "message_id": said["message_id"],
        "user_id": "ann",
        "display_name": "Ann",
        "message": "Hello!",
        "reply_to": None,
        "recipient_type": "all",
        "recipient_id": None,
        "deleted": False,
    }
    for client in (ann, bob):
        message = await client.hears("chat:message")
        assert message.pop("timestamp")
        assert message == said
    in_the_guides_words = await cy.hears("new-message")
    assert in_the_guides_words["id"] == said["message_id"]
    assert (in_the_guides_words["sender_name"], in_the_guides_words["message"]) == ("Ann", "Hello!")

    answer = {"meetingId": call.id, "message": "Hi", "replyTo": said["message_id"]}
    sent = await cy.get("send-message", answer)
    replied = await bob.hears("chat:message")
    assert (replied["message_id"], replied["reply_to"]) == (sent["id"], said["message_id"])
    assert (await cy.hears("new-message"))["id"] == sent["id"]
    await call.told_all(ann, bob, cy)
    assert [texts(client) for client in (ann, bob, cy)] == [["Hi"], [], []]


async def test_a_private_message_reaches_its_sender_and_its_recipient_alone(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")
    cy = await call.enters(other_replica, "cy", "/")
    dee = await call.enters(other_replica, "dee")
    everybody = (ann, bob, cy, dee)

    await says(call, bob, "psst", recipient_type="private", recipient_id="cy")
    private = {"recipientType": "private", "recipientId": "bob"}
    await cy.get("send-message", {"meetingId": call.id, "message": "yes?", **private})
    await call.told_all(*everybody)

    assert [texts(client) for client in everybody] == [[], ["psst", "yes?"], ["psst", "yes?"], []]
    late = await call.enters(signaling, "eve", role=Role.HOST)
    for client, seen in ((ann, []), (late, []), (dee, []), (bob, ["yes?", "psst"])):
        page = await client.get("chat:history", call.named())
        assert [each["message"] for each in page["messages"]] == seen


async def test_a_private_message_needs_somebody_who_is_there(
    call: Call, signaling: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    private = call.named(message="psst", recipient_type="private")
    assert await ann.refused("chat:send", {**private, "recipient_id": "zoe"}) == "NOT_FOUND"
    assert await ann.refused("chat:send", private) == "INVALID_REQUEST"
    to_all = call.named(message="psst", recipient_id="ann")
    assert await ann.refused("chat:send", to_all) == "INVALID_REQUEST"


async def test_what_is_said_to_the_hosts_reaches_hosts_and_co_hosts(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    eve = await call.enters(other_replica, "eve", "/", role=Role.CO_HOST)
    bob, cy = await call.enters(signaling, "bob"), await call.enters(other_replica, "cy")

    await says(call, bob, "help", recipient_type="host")
    await call.told_all(ann, eve, bob, cy)

    assert [texts(client) for client in (ann, eve, bob, cy)] == [["help"], ["help"], ["help"], []]


async def test_a_reply_is_to_a_message_that_its_writer_may_see(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    open_one = await says(call, ann, "to all")
    to_herself = await says(call, ann, "note", recipient_type="private", recipient_id="ann")

    replied = await says(call, bob, "yes", reply_to=open_one["message_id"])
    assert replied["reply_to"] == open_one["message_id"]
    for unseen in (to_herself["message_id"], "nothing"):
        reply = call.named(message="what?", reply_to=unseen)
        assert await bob.refused("chat:send", reply) == "NOT_FOUND"


async def test_others_hear_who_is_writing(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    cy = await call.enters(other_replica, "cy", "/")

    await ann.get("chat:typing", call.named(is_typing=True))
    await cy.get("typing", {"meetingId": call.id, "typing": True})

    typing = {"meeting_id": call.id, "user_id": "ann", "is_typing": True}
    assert await bob.hears("chat:typing") == typing
    assert await cy.hears("user-typing") == {"userId": "ann", "userName": "Ann", "typing": True}
    assert await bob.hears("chat:typing") == {**typing, "user_id": "cy"}
    await call.told_all(ann, cy)
    assert [each["user_id"] for each in heard(ann, "chat:typing")] == ["cy"]
    assert heard(cy, "user-typing") == []


# --- history -------------------------------------------------------------------------------------


async def test_whoever_joins_sees_what_was_said_and_reads_on_by_pages(
    call: Call, signaling: Signaling, other_replica: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    for number in range(5):
        await says(call, ann, f"no. {number}")

    bob = await clients(other_replica, "/meeting", "bob")
    joined = await bob.get("room:join", call.named())

    assert [each["message"] for each in joined["recent_messages"]] == [
        f"no. {number}" for number in range(5)
    ]
    first = await bob.get("chat:history", call.named(limit=3))
    second = await bob.get("chat:history", call.named(limit=3, before=first["next"]))
    pages = [[each["message"] for each in page["messages"]] for page in (first, second)]
    assert pages == [["no. 4", "no. 3", "no. 2"], ["no. 1", "no. 0"]]
    assert second["next"] is None
    assert await bob.refused("chat:history", call.named(before="x")) == "INVALID_REQUEST"


async def test_without_chat_history_people_see_what_was_said_since_they_came(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("ann", settings={"chat_history": False})
    call = Call(clients, placement, meeting)
    ann = await call.enters(signaling, "ann")
    await says(call, ann, "before")
    await asyncio.sleep(0.01)

    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", call.named(since=0))
    await says(call, ann, "after")
    await bob.hears("chat:message", lambda p: p["message"] == "after")

    assert joined["recent_messages"] == []
    assert texts(bob) == []
    page = await bob.get("chat:history", call.named())
    assert [each["message"] for each in page["messages"]] == ["after"]
    again = await clients(signaling, "/meeting", "bob", token=joined["resume_token"])
    resumed = await again.get("room:join", call.named(since=0))
    assert [each["message"] for each in resumed["recent_messages"]] == ["after"]
    await again.settle()
    assert texts(again) == ["after"]
    assert len((await ann.get("chat:history", call.named()))["messages"]) == 2


async def test_messages_are_deleted_by_who_wrote_them_and_by_hosts(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    bob, cy = await call.enters(other_replica, "bob"), await call.enters(signaling, "cy", "/")
    mine, hers = await says(call, bob, "mine"), await says(call, ann, "hers")
    his = await says(call, bob, "his")

    for message, by in ((mine, bob), (his, ann)):
        deleted = {"meeting_id": call.id, "message_id": message["message_id"]}
        assert await by.get("chat:delete", deleted) == deleted
        assert await bob.hears("chat:deleted") == deleted
        assert (await cy.hears("chat:deleted"))["messageId"] == message["message_id"]
    named = call.named(message_id=hers["message_id"])
    assert await bob.refused("chat:delete", named) == "ACCESS_DENIED"
    again = call.named(message_id=mine["message_id"])
    assert await bob.get("chat:delete", again) == again  # it may have been told to nobody before
    assert await bob.hears("chat:deleted") == again
    assert await ann.refused("chat:send", call.named(message="?", reply_to=mine["message_id"]))

    page = await cy.get("chat:history", {"meetingId": call.id})
    shown = [(each["message"], each["deleted"]) for each in page["messages"]]
    assert shown == [("", True), ("hers", False), ("", True)]


async def test_guests_write_only_where_the_meeting_lets_them(
    call: Call, signaling: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    gus = await call.enters(signaling, "gus", role=Role.GUEST)
    hello = call.named(message="hello")
    assert await gus.refused("chat:send", hello) == "ACCESS_DENIED"
    assert await gus.refused("chat:typing", call.named(is_typing=True)) == "ACCESS_DENIED"
    await says(call, ann, "welcome")
    assert (await gus.hears("chat:message"))["message"] == "welcome"

    await ann.get("room:settings", call.named(settings={"guest_chat": True}))
    await gus.hears("room:settings:changed")
    await gus.get("chat:send", hello)
    assert await ann.hears("chat:message", lambda p: p["user_id"] == "gus")


async def test_what_was_said_is_on_record_with_the_meeting(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann = await call.enters(signaling, "ann")
    await says(call, ann, "for the record")
    await ann.get("room:end", call.named())

    url = f"{other_replica.url}/api/v1/meetings/{call.id}/chat"
    headers = {"Authorization": f"Bearer {signaling.access('ann')}"}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert "for the record" in await answer.text()


# --- faults --------------------------------------------------------------------------------------


async def test_what_cannot_go_on_record_is_refused_and_told_to_nobody(
    call: Call, signaling: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    database = sqlite3.connect(signaling.home / "records.sqlite", isolation_level=None)
    try:
        database.execute("BEGIN EXCLUSIVE")
        lost = await ann.ask("chat:send", call.named(message="lost"), timeout_s=15)
    finally:
        database.close()

    assert lost["error"]["code"] == "UNAVAILABLE"
    await says(call, ann, "found")
    await call.told_all(ann, bob)
    assert texts(ann) == texts(bob) == ["found"]


async def test_what_was_acknowledged_is_told_once_to_all_though_the_bus_breaks(
    redis: Redis,
    own_signaling: OwnSignaling,
    clients: MakeClient,
    placement: Placement,
) -> None:
    unlimited = {"KCS_LIMITS__ENABLED": "false"}
    one, two = await own_signaling(**unlimited), await own_signaling(**unlimited)
    keys = {one.tokens.signer_kid: one.key.public_key()}
    async with FakeNode(placement, keys, "n"):
        call = Call(clients, placement, await one.create_meeting("ann"))
        ann, bob = await call.enters(one, "ann"), await call.enters(two, "bob")
        cy = await call.enters(two, "cy", "/")
        await bob.get("chat:send", call.named(message="for ann", recipient_type="host"))
        said, shown = ["for ann"], 0

        for number in range(60):
            if number % 8 == 3:
                await redis.client_kill_filter(_type="pubsub")
            await says(call, ann, str(number))
            said.append(str(number))
            if number % 3 == 0:
                await ann.get("reaction:send", call.named(emoji="🔥"))
                shown += 1
        await says(call, ann, "last")
        for client, name in ((ann, "chat:message"), (bob, "chat:message"), (cy, "new-message")):
            await client.hears(name, lambda p: p["message"] == "last", timeout_s=10)

        assert texts(ann) == texts(bob) == said
        assert texts(cy) == said[1:]
        for client in (ann, bob, cy):
            assert len(heard(client, "reaction:received")) == shown


async def test_the_first_words_after_a_silence_are_in_the_answer_to_every_later_join(
    call: Call, signaling: Signaling, other_replica: Signaling, clients: MakeClient
) -> None:
    ann = await call.enters(signaling, "ann")
    bob = await call.enters(signaling, "bob")  # by now this replica knows that all is silent
    cy = await call.enters(other_replica, "cy")

    await says(call, cy, "first")
    await bob.hears("chat:message")
    await ann.hears("chat:message")

    for replica, name in ((signaling, "dee"), (other_replica, "eve")):
        late = await clients(replica, "/meeting", name)
        joined = await late.get("room:join", call.named())
        assert [each["message"] for each in joined["recent_messages"]] == ["first"]
