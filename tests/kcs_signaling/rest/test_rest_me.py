"""A person's copy of their records, and their erasure, also out of a running meeting."""

import asyncio
from typing import Any

import aiohttp
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts.node_api import CloseParticipant
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role


async def log_in(rest: Any, **who: str) -> Any:
    return (await rest.call("POST", "/api/v1/auth/token", json=who)).json


async def test_an_export_holds_what_is_on_record_and_no_secret(rest: Any) -> None:
    pair = await log_in(rest, user_id="ada", user_name="Ada", email="ada@example.org")
    meeting = await rest.meeting()
    theirs = await rest.meeting(host=rest.bob)
    path = f"/api/v1/meetings/{theirs['id']}/invitations"
    body = {"email": "Ada@example.org", "display_name": "Ada"}
    await rest.call("POST", path, token=rest.access(rest.bob), json=body)
    answer = await rest.call("GET", "/api/v1/me/export", token=pair["access_token"])
    assert answer.status == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    tables = answer.json["tables"]
    assert [row["id"] for row in tables["meetings"]] == [meeting["id"]]
    assert [row["email"].lower() for row in tables["invitations"]] == ["ada@example.org"]
    assert "token_hash" not in answer.text
    audit = (await rest.services.records.persons.export("ada"))["tables"]["audit"]
    assert audit[-1]["action"] == "person.exported"


async def test_an_erased_person_is_in_no_table_and_their_login_is_over(rest: Any) -> None:
    pair = await log_in(rest, user_id="ada-7f3", user_name="Ada Q", email="ada@example.org")
    token = pair["access_token"]
    meeting = (await rest.call("POST", "/api/v1/meetings", token=token, json={})).json
    answer = await rest.call("DELETE", "/api/v1/me", token=token)
    assert answer.status == 200
    assert answer.json["rows"]["meetings"] == 1
    left = await rest.services.records.persons.export("ada-7f3", email="ada@example.org")
    assert left["tables"] == {}
    refresh = {"refresh_token": pair["refresh_token"]}
    assert (await rest.call("POST", "/api/v1/auth/refresh", json=refresh)).status == 401
    record = await rest.services.records.meetings.read(meeting["id"])
    assert (record.host_id, record.ended_at is not None) == ("", True)
    again = await rest.call("DELETE", "/api/v1/me", token=token)
    assert again.status == 200
    assert (await rest.services.records.audit.verify()).broken is None


async def test_a_meeting_token_exports_and_erases_nobody(rest: Any) -> None:
    meeting = await rest.meeting()
    for method, path in (("GET", "/api/v1/me/export"), ("DELETE", "/api/v1/me")):
        answer = await rest.call(method, path, token=meeting["meeting_token"])
        assert (answer.status, answer.json["code"]) == (403, "ACCESS_DENIED")
    assert (await rest.services.records.meetings.read(meeting["id"])).host_id == "ada"


async def test_without_redis_nobody_is_half_erased(start_rest: Any) -> None:
    async with start_rest(redis="redis://127.0.0.1:1/0") as rest:
        meeting = await rest.meeting()
        answer = await rest.call("DELETE", "/api/v1/me", token=rest.access(rest.ada))
        assert answer.status == 503
        assert (await rest.services.records.meetings.read(meeting["id"])).host_id == "ada"


async def test_an_erased_person_is_taken_out_of_the_meetings_that_they_are_in(
    signaling: Signaling, node: FakeNode, placement: Placement, clients: MakeClient
) -> None:
    theirs, hosted = await signaling.create_meeting("ann"), await signaling.create_meeting("eve")
    ann = await clients(signaling, "/meeting", "ann")
    eve = await clients(signaling, "/", "eve")
    other = await clients(signaling, "/meeting", "eve")
    guest = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", {"meeting_id": theirs})
    await eve.emit("join-meeting", {"meetingId": theirs})
    assert (await ann.hears("participant:joined"))["user_id"] == "eve"
    await other.get("room:join", {"meeting_id": hosted})
    await guest.get("room:join", {"meeting_id": hosted})

    headers = {"Authorization": f"Bearer {signaling.access('eve')}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.delete(f"{signaling.url}/api/v1/me") as answer,
    ):
        assert answer.status == 200

    left = await ann.hears("participant:left")
    assert (left["user_id"], left["reason"]) == ("eve", "removed")
    await guest.hears("room:closed")
    assert await placement.meetings_of("eve") == []
    (closed,) = [op for op in node.asked(CloseParticipant) if op.participant_id == "eve"]
    assert closed
    assert (await guest.refused("room:join", {"meeting_id": hosted})) == "MEETING_ENDED"
    # nothing puts them back: a replica touches and restores its own peers every few seconds
    await asyncio.sleep(6)
    people = (await placement.snapshot(theirs)).participants
    assert [(each.id, each.role) for each in people] == [("ann", Role.HOST)]
