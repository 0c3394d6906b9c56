"""Breakout rooms, recordings, streams and detailed logs of a meeting, over REST."""

import time
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from tests.support.call import Call, go
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import NodeLease
from kcs_contracts.rooms import BreakoutRoom, Breakouts, Role

DEBUG_S = 30 * 60


async def asks(rest: Any, method: str, path: str, **more: Any) -> Any:
    token = more.pop("token", None) or rest.access(rest.ada)
    return await rest.call(method, f"/api/v1/{path}", token=token, **more)


async def begin(rest: Any, meeting: Any) -> None:
    """Somebody has made the meeting's room ready."""
    node = NodeLease(node="n1", boot="b1", control_url="http://127.0.0.1:1", consumer_capacity=500)
    await rest.services.placement.renew(node, [])
    await rest.services.placement.assign(MeetingId(meeting["id"]), warmup_ms=0)


async def test_the_host_sees_which_breakout_rooms_there_are_and_who_belongs_where(
    rest: Any,
) -> None:
    meeting = await rest.meeting()
    path = f"meetings/{meeting['id']}/breakouts"
    none = {"open": False, "choose": False, "rooms": [], "assignments": {}, "closes_at": None}
    assert (await asks(rest, "GET", path)).json == none
    room = MeetingId(f"{meeting['id']}:1")
    breakouts = Breakouts(
        open=True,
        rooms=(BreakoutRoom(id=room, name="Red"),),
        assignments={"bob": room},
        closes_at_ms=1_000,
    )
    await rest.services.placement.change_live(meeting["id"], "breakouts", breakouts)
    assert (await asks(rest, "GET", path)).json == {
        "open": True,
        "choose": False,
        "rooms": [{"id": room, "name": "Red"}],
        "assignments": {"bob": room},
        "closes_at": "1970-01-01T00:00:01Z",
    }


async def test_without_a_recorder_the_lists_are_empty_and_no_recording_is_found(rest: Any) -> None:
    meeting = await rest.meeting()
    for what in ("recordings", "streams"):
        answer = await asks(rest, "GET", f"meetings/{meeting['id']}/{what}")
        assert (answer.status, answer.json) == (200, {"items": [], "next": None})
    for method, path in (
        ("GET", "recordings/x"),
        ("DELETE", "recordings/x"),
        ("GET", "recordings/x/download"),
    ):
        answer = await asks(rest, method, path)
        assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
        assert "no recorder" in answer.json["detail"]
        assert (await rest.call(method, f"/api/v1/{path}")).status == 401


async def test_a_host_has_a_running_meeting_logged_in_detail_for_a_while(rest: Any) -> None:
    meeting, placement = await rest.meeting(), rest.services.placement
    await begin(rest, meeting)
    path = f"meetings/{meeting['id']}/debug"
    on = await asks(rest, "PUT", path, json={"enabled": True, "minutes": 30})
    assert on.status == 200
    until = datetime.fromisoformat(on.json["until"]).timestamp()
    assert abs(until - time.time() - DEBUG_S) < 10
    assert (await placement.live(meeting["id"])).debug_until_ms == round(until * 1000)
    off = await asks(rest, "PUT", path, json={"enabled": False})
    assert off.json == {"enabled": False, "until": None}
    assert (await placement.live(meeting["id"])).debug_until_ms == 0
    log = (await asks(rest, "GET", f"audit?meeting_id={meeting['id']}")).json["items"]
    assert [each["action"] for each in log[:2]] == ["meeting.debugged"] * 2


@pytest.mark.parametrize(
    "body",
    [{}, {"enabled": 1.5}, {"enabled": True, "minutes": 0}, {"enabled": True, "minutes": 241}],
)
async def test_a_wrong_request_for_detailed_logs_is_refused(rest: Any, body: Any) -> None:
    meeting = await rest.meeting()
    assert (await asks(rest, "PUT", f"meetings/{meeting['id']}/debug", json=body)).status == 422


async def test_detailed_logs_are_for_hosts_of_meetings_that_have_begun(rest: Any) -> None:
    meeting = await rest.meeting()
    path, body = f"meetings/{meeting['id']}/debug", {"enabled": True}
    early = await asks(rest, "PUT", path, json=body)
    assert (early.status, early.json["code"]) == (400, "INVALID_REQUEST")
    assert not await rest.services.redis.exists("kcs:idle")
    expires_at = time.time() + 60
    other = rest.services.tokens.meeting(
        meeting["id"], rest.bob, Role.CO_HOST, expires_at=expires_at
    )
    assert (await asks(rest, "PUT", path, json=body, token=other)).status == 403
    await begin(rest, meeting)
    await rest.services.placement.end(meeting["id"], "ended_by_host")  # the record comes later
    assert (await asks(rest, "PUT", path, json=body)).status in (400, 410)
    await asks(rest, "POST", f"meetings/{meeting['id']}/end")
    over = await asks(rest, "PUT", path, json=body)
    assert (over.status, over.json["code"]) == (410, "MEETING_ENDED")


async def test_the_end_of_a_meeting_ends_the_stays_of_all(rest: Any) -> None:
    meeting, records = await rest.meeting(), rest.services.records
    for room in (meeting["id"], f"{meeting['id']}:2"):
        await records.sessions.open(room, "bob", user_name="Bob", role=Role.GUEST, at=5)
    await asks(rest, "POST", f"meetings/{meeting['id']}/end")
    await records.journal.flush()
    for room in (meeting["id"], f"{meeting['id']}:2"):
        (stay,) = (await records.sessions.of_meeting(room)).items
        assert stay.closed_at is not None


async def test_what_was_said_in_a_breakout_room_is_for_the_hosts_of_the_meeting(
    call: Call, signaling: Signaling, other_replica: Signaling
) -> None:
    ann, bob = await call.enters(signaling, "ann"), await call.enters(signaling, "bob")
    eve = await call.enters(signaling, "eve", role=Role.CO_HOST)
    (red,) = await call.rooms(ann, 1, choose=True)
    await ann.get("breakout:open", call.named())
    for client in (bob, eve):
        await go(client, red)
    said = await bob.get("chat:send", {"meeting_id": red, "message": "between us"})

    async def asked(who: str, what: str = f"{red}/chat", method: str = "GET") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {signaling.access(who)}"}
        url = f"{other_replica.url}/api/v1/meetings/{what}"
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.request(method, url) as answer,
        ):
            return answer.status, await answer.text()

    for who in ("ann", "eve"):
        for what in (f"{red}/chat", f"{red}/chat/export"):
            status, text = await asked(who, what)
            assert (status, "between us" in text) == (200, True)
    for who in ("bob", "zoe"):
        assert (await asked(who))[0] == 403
    for nothing in (f"{call.id}:51/chat", f"{call.id}:x/chat", f"{red}:1/chat", red):
        assert (await asked("ann", nothing))[0] == 404
    message = f"{red}/chat/{said['message_id']}"
    assert (await asked("bob", message, "DELETE"))[0] == 403
    assert (await asked("eve", message, "DELETE"))[0] == 204
    assert (await bob.hears("chat:deleted"))["message_id"] == said["message_id"]

    await ann.get("room:end", call.named())
    assert (await asked("ann"))[0] == 200
    assert (await asked("eve"))[0] == 403
