"""The chat over REST: each sees what a participant saw, exports it, deletes what they may."""

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import ChatDeleted
from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.tokens import User

NOW = float(int(time.time()))
CY = User(user_id="cy", user_name="Cy")


async def say(
    rest: Any, meeting: Any, name: str, sender: str, at: float = NOW, to: str | None = None
) -> None:
    kind = to if to in (None, "host") else "private"
    await rest.services.records.chat.add(
        ChatMessage(
            id=name,
            meeting_id=meeting["id"],
            sender_id=UserId(sender),
            sender_name=sender.title(),
            text=f"text of {name}",
            recipient_type=kind or "all",
            recipient_id=UserId(to) if kind == "private" and to else None,
            at=at,
        )
    )


async def was_in(
    rest: Any, meeting: Any, who: str, since: float, until: float | None = None
) -> None:
    sessions = rest.services.records.sessions
    await sessions.open(meeting["id"], who, user_name=who.title(), role=Role.PRESENTER, at=since)
    if until is not None:
        await sessions.close(meeting["id"], who, at=until)


async def is_in(rest: Any, meeting: Any, who: str, role: Role = Role.PRESENTER) -> None:
    values = {"id": who, "display_name": who.title(), "role": role, "session": f"s-{who}"}
    person = Participant.model_validate(values | {"joined_at_ms": 1})
    await rest.services.placement.join(MeetingId(meeting["id"]), person, limit=9)


async def chat(rest: Any, meeting: Any, user: Any = None, token: str | None = None) -> Any:
    token = token or rest.access(user or rest.ada)
    return await rest.call("GET", f"/api/v1/meetings/{meeting['id']}/chat", token=token)


async def seen(rest: Any, meeting: Any, user: Any = None) -> list[str]:
    answer = await chat(rest, meeting, user)
    assert answer.status == 200, answer.text
    return [message["id"] for message in answer.json["items"]]


async def delete(rest: Any, meeting: Any, message: str, user: Any, token: str | None = None) -> Any:
    path = f"/api/v1/meetings/{meeting['id']}/chat/{message}"
    return await rest.call("DELETE", path, token=token or rest.access(user))


async def test_hosts_and_participants_see_each_their_own_view(rest: Any) -> None:
    meeting = await rest.meeting()
    await say(rest, meeting, "all", "bob", NOW)
    await say(rest, meeting, "to-ada", "bob", NOW + 1, to="ada")
    await say(rest, meeting, "to-cy", "bob", NOW + 2, to="cy")
    await say(rest, meeting, "to-hosts", "bob", NOW + 3, to="host")
    for who in ("bob", "cy"):
        await was_in(rest, meeting, who, NOW)
    assert await seen(rest, meeting) == ["to-hosts", "to-ada", "all"]
    assert await seen(rest, meeting, rest.bob) == ["to-hosts", "to-cy", "to-ada", "all"]
    assert await seen(rest, meeting, CY) == ["to-cy", "all"]
    first = (await chat(rest, meeting)).json["items"][2]
    assert (first["text"], first["sender_name"]) == ("text of all", "Bob")


async def test_whoever_was_never_let_in_sees_nothing(rest: Any) -> None:
    meeting, other = await rest.meeting(), await rest.meeting()
    await say(rest, meeting, "all", "ada")
    expires_at = time.time() + 60
    link = rest.services.tokens.meeting(meeting["id"], CY, Role.CO_HOST, expires_at=expires_at)
    for token in (rest.access(CY), link):
        for path in ("chat", "chat/export"):
            answer = await rest.call("GET", f"/api/v1/meetings/{meeting['id']}/{path}", token=token)
            assert (answer.status, answer.json["code"]) == (403, "ACCESS_DENIED")
        assert (await delete(rest, meeting, "all", None, token)).status == 403
    assert (await chat(rest, meeting, token=other["meeting_token"])).status == 404
    path = f"/api/v1/meetings/{meeting['id']}/chat"
    assert (await rest.call("GET", path)).status == 401


async def test_people_who_are_in_the_meeting_see_it_before_their_session_is_on_record(
    rest: Any,
) -> None:
    meeting = await rest.meeting()
    await say(rest, meeting, "all", "ada")
    await say(rest, meeting, "to-hosts", "ada", to="host")
    await is_in(rest, meeting, "cy")
    assert await seen(rest, meeting, CY) == ["all"]
    await rest.services.placement.change_role(meeting["id"], "cy", Role.CO_HOST, "ada")
    assert await seen(rest, meeting, CY) == ["to-hosts", "all"]


async def test_people_see_what_was_said_until_they_left_last(rest: Any) -> None:
    meeting = await rest.meeting()
    for n in range(6):
        await say(rest, meeting, f"m{n}", "ada", NOW + n)
    await was_in(rest, meeting, "cy", NOW + 1, NOW + 2)
    await was_in(rest, meeting, "cy", NOW + 3, NOW + 4)
    assert await seen(rest, meeting, CY) == ["m4", "m3", "m2", "m1", "m0"]
    await is_in(rest, meeting, "cy")  # and is back
    assert len(await seen(rest, meeting, CY)) == 6


async def test_a_meeting_without_history_shows_newcomers_nothing_from_before(rest: Any) -> None:
    meeting = await rest.meeting(settings={"chat_history": False})
    for n in range(4):
        await say(rest, meeting, f"m{n}", "ada", NOW + n)
    await was_in(rest, meeting, "cy", NOW + 2)
    assert await seen(rest, meeting, CY) == ["m3", "m2"]
    assert len(await seen(rest, meeting)) == 4
    assert (await delete(rest, meeting, "m0", CY)).status == 404


async def test_an_export_is_one_file_of_all_that_the_caller_may_see(rest: Any) -> None:
    meeting = await rest.meeting()
    for n in range(450):  # more than two pages
        await say(rest, meeting, f"m{n:03}", "bob", NOW + n, to="cy" if n % 3 == 0 else None)
    path = f"/api/v1/meetings/{meeting['id']}/chat/export"
    answer = await rest.call("GET", path, token=rest.access(rest.ada))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    name = f'attachment; filename="chat-{meeting["id"]}.json"'
    assert answer.headers["Content-Disposition"] == name
    export = answer.json
    assert export["meeting_id"] == meeting["id"]
    assert [m["id"] for m in export["messages"]] == [f"m{n:03}" for n in range(450) if n % 3]
    assert export["messages"][0]["text"] == "text of m001"
    empty = await rest.meeting()
    path = f"/api/v1/meetings/{empty['id']}/chat/export"
    assert (await rest.call("GET", path, token=rest.access(rest.ada))).json["messages"] == []


async def test_a_message_is_deleted_by_its_author_or_a_host_and_the_meeting_hears_it(
    rest: Any,
) -> None:
    meeting = await rest.meeting()
    for name in ("one", "two"):
        await say(rest, meeting, name, "bob")
    await is_in(rest, meeting, "bob")
    await is_in(rest, meeting, "cy")
    assert (await delete(rest, meeting, "one", CY)).json["code"] == "ACCESS_DENIED"
    for _ in range(2):  # the second time it is told again, and nothing else
        assert (await delete(rest, meeting, "one", rest.bob)).status == 204
        assert (await delete(rest, meeting, "two", rest.ada)).status == 204
    items = (await chat(rest, meeting)).json["items"]
    assert [(each["text"], each["deleted_at"] is not None) for each in items] == [("", True)] * 2
    kept = await rest.services.placement.kept_news(meeting["id"], 0)
    assert [each.event for each in kept] == [
        ChatDeleted(message_id="one", by="bob"),
        ChatDeleted(message_id="two", by="ada"),
    ] * 2
    log = (await rest.services.records.audit.of_meeting(meeting["id"])).items
    assert [(each.action, each.actor, each.subject) for each in log[:1]] == [
        ("chat.deleted", "ada", "bob")
    ]
    assert len(log) == 2  # what people do with their own messages is not in it


async def test_a_page_asks_redis_for_one_person_and_not_for_the_meeting(
    rest: Any, redis: Redis
) -> None:
    meeting = await rest.meeting()
    await is_in(rest, meeting, "bob", Role.CO_HOST)
    await say(rest, meeting, "to-hosts", "ada", to="host")
    async with redis.monitor() as monitor:
        assert await seen(rest, meeting, rest.bob) == ["to-hosts"]
        await redis.ping()
        asked = []
        while (command := (await monitor.next_command())["command"]) != "PING":
            asked.append(command.split()[1] if command.startswith("FCALL") else command)
    assert "kcs_person" in asked
    assert "kcs_snapshot" not in asked


async def test_what_somebody_may_not_see_they_do_not_delete(rest: Any) -> None:
    meeting = await rest.meeting()
    await say(rest, meeting, "secret", "bob", to="cy")
    assert (await delete(rest, meeting, "secret", rest.ada)).status == 404
    assert (await delete(rest, meeting, "none", rest.ada)).json["code"] == "NOT_FOUND"
    for odd in ("%00", "a%2Fb", "%ED%A0%80", "x" * 500):
        assert (await delete(rest, meeting, odd, rest.ada)).status == 404
    kept = await rest.services.records.chat.read(meeting["id"], "secret")
    assert kept.text == "text of secret"


async def test_a_message_of_a_meeting_that_is_over_is_deleted_too(rest: Any) -> None:
    meeting = await rest.meeting()
    await say(rest, meeting, "one", "bob")
    await was_in(rest, meeting, "bob", NOW - 9)
    path = f"/api/v1/meetings/{meeting['id']}/end"
    assert (await rest.call("POST", path, token=rest.access(rest.ada))).status == 200
    assert (await delete(rest, meeting, "one", rest.bob)).status == 204


@pytest.mark.parametrize("what", ["", "/export"])
async def test_a_meeting_that_is_over_is_read_without_redis(start_rest: Any, what: str) -> None:
    async with start_rest() as rest:
        meeting = await rest.meeting()
        await say(rest, meeting, "one", "ada")
        await was_in(rest, meeting, "bob", NOW - 9, NOW + 9)
        await rest.services.records.meetings.end(meeting["id"], now=NOW)
    async with start_rest(redis="redis://127.0.0.1:1/0") as rest:
        path = f"/api/v1/meetings/{meeting['id']}/chat{what}"
        answer = await rest.call("GET", path, token=rest.access(rest.bob))
        assert answer.status == 200
        assert "text of one" in answer.text
