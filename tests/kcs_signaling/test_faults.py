"""Parts that fail under a running meeting: the database, and a Redis that forgets everything."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.conftest import Postgres
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.kcs_signaling.test_room_survival import OwnSignaling, keys_of
from tests.support.fake_node import FakeNode
from tests.support.own_redis import OwnRedis, come_back
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.live import Live
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_signaling.records import open_records


@pytest.fixture
async def stopped_at_will(postgres: Postgres) -> AsyncIterator[Postgres]:
    """The session's PostgreSQL, which runs again at the end whatever the test did."""
    yield postgres
    postgres.stop()
    postgres.start()


async def rest(signaling: Signaling, path: str, user: str) -> int:
    """The status of a GET as that user."""
    headers = {"Authorization": f"Bearer {signaling.access(user)}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{signaling.url}{path}", headers=headers) as answer,
    ):
        return answer.status


async def test_without_the_database_calls_go_on_and_what_needs_it_says_so_until_it_is_back(
    stopped_at_will: Postgres,
    own_signaling: OwnSignaling,
    placement: Placement,
    clients: MakeClient,
) -> None:
    signaling = await own_signaling(KCS_SQL__URL=stopped_at_will.new_database())
    async with FakeNode(placement, keys_of(signaling), "n"):
        meeting = await signaling.create_meeting("ann")
        ann = await clients(signaling, "/meeting", "ann")
        resume = (await ann.get("room:join", {"meeting_id": meeting}))["resume_token"]
        bob = await clients(signaling, "/", "bob")
        await bob.get("join-meeting", {"meetingId": meeting})

        stopped_at_will.stop()
        said = {"meeting_id": meeting, "message": "is anybody there?"}
        assert await ann.refused("chat:send", said) == "UNAVAILABLE"
        assert await rest(signaling, f"/api/v1/meetings/{meeting}", "ann") == 503

        # live media, host controls and joins by a meeting token need no database
        producer = await sending(ann, meeting)
        await bob.get("create-transport", {"meetingId": meeting, "direction": "recv"})
        assert (await bob.hears("new-producer"))["producerId"] == producer
        await ann.get("hand:raise", {"meeting_id": meeting})
        mute = {"meeting_id": meeting, "target_user_id": "bob", "kind": "audio"}
        await ann.get("participant:mute", mute)
        token = signaling.invited(meeting, "cy", Role.ATTENDEE)
        cy = await clients(signaling, "/meeting", "cy", token=token)
        assert (await cy.get("room:join", {"meeting_id": meeting}))["your_role"] == "attendee"
        again = await clients(signaling, "/meeting", "ann", token=resume)
        assert (await again.get("room:join", {"meeting_id": meeting}))["resumed"]
        assert await again.refused("chat:send", said) == "UNAVAILABLE"

        stopped_at_will.start()
        await until_said(again, said)
        assert (await cy.hears("chat:message"))["message"] == said["message"]
        assert [m for n, m in cy.heard if n == "chat:message"] == []
        await people_on_record(signaling, meeting, {"ann", "bob", "cy"})


async def until_said(client: Client, said: dict[str, str]) -> None:
    """Tries until the database is back; each failure is a clear one."""
    for _ in range(100):
        answer = await client.ask("chat:send", said)
        if answer["ok"]:
            return
        assert answer["error"]["code"] in ("UNAVAILABLE", "RATE_LIMIT_EXCEEDED"), answer
        await asyncio.sleep(0.3)
    raise AssertionError("the chat does not come back")


async def people_on_record(signaling: Signaling, meeting: str, people: set[str]) -> None:
    """Waits until the sessions of these people are on record, one each."""
    found: list[str] = []
    for _ in range(100):
        async with open_records(signaling.environment["KCS_SQL__URL"]) as records:
            page = await records.sessions.of_meeting(MeetingId(meeting))
        found = sorted(str(session.user_id) for session in page.items)
        if found == sorted(people):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(found)


async def test_what_was_acknowledged_outlives_a_redis_that_forgets_all(
    own_redis: OwnRedis,
    own_signaling: OwnSignaling,
    own_placement: Placement,
    clients: MakeClient,
) -> None:
    signaling = await own_signaling(own_redis.url)
    async with FakeNode(own_placement, keys_of(signaling), "n"):
        meeting = await signaling.create_meeting("ann", settings={"require_host_approval": True})
        here = {"meeting_id": meeting}
        ann = await clients(signaling, "/meeting", "ann")
        bob = await clients(signaling, "/meeting", "bob")
        cy = await clients(signaling, "/meeting", "cy")
        await ann.get("room:join", here)
        await bob.get("room:join", here)
        await ann.get("waiting:admit", {**here, "target_user_ids": ["bob"]})
        await bob.hears("room:joined")
        await cy.get("room:join", here)
        await bob.get("hand:raise", here)
        target = {**here, "target_user_id": "bob"}
        await ann.get("participant:role:update", {**target, "new_role": "co_host"})
        await ann.get("participant:mute", {**target, "kind": "audio"})
        await ann.get("participant:spotlight", target)
        await ann.get("room:settings", {**here, "settings": {"guest_chat": True}})
        await ann.get("breakout:create", {**here, "count": 2})
        await ann.get("chat:send", {**here, "message": "before"})
        for client in (ann, bob, cy):
            await client.settle()
            client.heard.clear()

        own_redis.stop()
        own_redis.start()

        state = await come_back(own_placement, meeting, {"ann", "bob"}, frozenset({"cy"}))
        (me,) = (each for each in state.participants if each.id == "bob")
        assert (me.role, me.audio_muted) == (Role.CO_HOST, True)
        assert me.hand_raised_at_ms is not None
        assert {each.id for each in state.participants} == {"ann", "bob"}
        assert {each.id for each in state.waiting} == {"cy"}
        live = Live(state.live)
        assert live.spotlight == "bob"
        assert live.settings.guest_chat
        assert live.settings.require_host_approval
        assert live.breakouts is not None
        assert len(live.breakouts.rooms) == 2
        assert not [name for name, _ in [*ann.heard, *bob.heard] if name == "participant:left"]
        # and all of it still works
        await ann.get("waiting:admit", {**here, "all": True})
        joined = await cy.hears("room:joined")
        assert [said["message"] for said in joined["recent_messages"]] == ["before"]
        assert await bob.refused("media:toggle", {**here, "kind": "audio", "enabled": 1}) == (
            "INVALID_REQUEST"
        )
        await bob.get("room:lock", {**here, "locked": True})
