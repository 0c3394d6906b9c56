"""What happens in a meeting, over REST: who is there, how it went; the audit log."""

import time
from typing import Any

import pytest

from kcs_contracts.ids import MeetingId
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.records.stats import StatsSample


async def get(rest: Any, path: str, user: Any = None, **more: Any) -> Any:
    token = more.get("token") or rest.access(user or rest.ada)
    return await rest.call("GET", f"/api/v1/{path}", token=token)


def somebody(user: str) -> Participant:
    return Participant.model_validate(
        {
            "id": user,
            "display_name": user.title(),
            "role": "presenter",
            "session": f"session-{user}",
            "joined_at_ms": 1,
        }
    )


async def test_the_host_sees_who_is_in_the_meeting_in_the_order_of_joining(rest: Any) -> None:
    meeting = await rest.meeting()
    path = f"meetings/{meeting['id']}/participants"
    assert (await get(rest, path)).json == {"items": [], "next": None}
    users = ["cy", "ann", "bob"]
    for user in users:
        await rest.services.placement.join(MeetingId(meeting["id"]), somebody(user), limit=9)
    everybody = (await get(rest, path)).json["items"]
    assert sorted(each["id"] for each in everybody) == sorted(users)
    seen, query = [], "?limit=1"
    while query:
        page = (await get(rest, path + query)).json
        seen += page["items"]
        query = f"?limit=1&cursor={page['next']}" if page["next"] else ""
    assert seen == everybody
    ann = next(each for each in seen if each["id"] == "ann")
    assert (ann["display_name"], ann["role"], ann["audio_enabled"]) == ("Ann", "presenter", False)
    assert "session-ann" not in str(seen)
    assert (await get(rest, f"{path}?cursor=x")).json["code"] == "INVALID_CURSOR"


async def test_the_host_reads_statistics_that_are_on_record(rest: Any) -> None:
    meeting = await rest.meeting()
    records, path = rest.services.records, f"meetings/{meeting['id']}"
    rates = {"rtt_ms": 40.0, "jitter_ms": 2.0, "loss_percent": 0.5, "bitrate_bps": 1e6}
    sample = {"meeting_id": meeting["id"], "user_id": "bob", "at": 61.0} | rates
    await records.stats.add([StatsSample.model_validate(sample)])
    (minute,) = (await get(rest, f"{path}/stats")).json["items"]
    assert (minute["user_id"], minute["minute"]) == ("bob", "1970-01-01T00:01:00Z")
    assert minute["rtt_ms"] == {"avg": 40.0, "max": 40.0}


@pytest.mark.parametrize(
    "what", ["participants", "stats", "invitations", "breakouts", "recordings", "streams"]
)
async def test_what_happened_is_for_the_host_alone(rest: Any, what: str) -> None:
    meeting, other = await rest.meeting(), await rest.meeting()
    path, tokens = f"meetings/{meeting['id']}/{what}", rest.services.tokens
    expires_at = time.time() + 60
    guest = tokens.meeting(meeting["id"], rest.bob, Role.CO_HOST, expires_at=expires_at)
    assert (await get(rest, path, token=guest)).status == 403
    assert (await get(rest, path, rest.bob)).status == 403
    assert (await get(rest, path, token=other["meeting_token"])).status == 404
    assert (await rest.call("GET", f"/api/v1/{path}")).status == 401
    assert (await get(rest, path, token=meeting["meeting_token"])).status == 200


async def test_all_that_is_done_with_a_meeting_is_in_its_hosts_audit_log(rest: Any) -> None:
    meeting = await rest.meeting()
    await rest.meeting(host=rest.bob)
    path, ada = f"/api/v1/meetings/{meeting['id']}", rest.access(rest.ada)
    change = {"display_name": "SECRET", "duration_minutes": 5}
    headers = {"If-Match": "*"}
    await rest.call("PATCH", path, token=ada, json=change, headers=headers)
    link = {"display_name": "SECRET", "user_id": "guest-1", "role": "guest"}
    await rest.call("POST", f"{path}/tokens", token=ada, json=link)
    invited = {"display_name": "SECRET", "email": "secret@example.org"}
    await rest.call("POST", f"{path}/invitations", token=ada, json=invited)
    for _ in range(2):  # the second time nothing happens
        await rest.call("POST", f"{path}/end", token=ada)
    log = (await get(rest, "audit")).json
    actions = [(each["action"], each["actor"], each["subject"]) for each in log["items"]]
    assert actions == [
        ("meeting.ended", "ada", None),
        ("invitation.made", "ada", None),
        ("meeting_token.issued", "ada", "guest-1"),
        ("meeting.changed", "ada", None),
        ("meeting.created", "ada", None),
    ]
    assert {each["meeting_id"] for each in log["items"]} == {meeting["id"]}
    assert log["items"][3]["details"] == {"fields": ["display_name", "duration_minutes"]}
    assert "secret" not in str(log).lower()
    assert (await get(rest, f"audit?meeting_id={meeting['id']}")).json == log
    first = (await get(rest, "audit?limit=3")).json
    second = (await get(rest, f"audit?limit=3&cursor={first['next']}")).json
    assert first["items"] + second["items"] == log["items"]
    assert (await rest.services.records.audit.verify()).broken is None


async def test_the_audit_log_of_others_is_not_read(rest: Any) -> None:
    meeting = await rest.meeting()
    assert (await get(rest, "audit", rest.bob)).json["items"] == []
    bobs = await get(rest, f"audit?meeting_id={meeting['id']}", rest.bob)
    unknown = await get(rest, "audit?meeting_id=abc-defg-hij", rest.bob)
    assert (bobs.status, bobs.text) == (404, unknown.text)
    assert (await get(rest, "audit", token=meeting["meeting_token"])).status == 403


async def test_a_deletion_and_a_login_are_in_the_audit_log(rest: Any) -> None:
    login = {"user_id": "ada", "user_name": "Ada"}
    await rest.call("POST", "/api/v1/auth/token", json=login)
    meeting, ada = await rest.meeting(), rest.access(rest.ada)
    await rest.call("DELETE", f"/api/v1/meetings/{meeting['id']}", token=ada)
    page = await rest.services.records.audit.of_meeting(meeting["id"])
    assert [each.action for each in page.items] == ["meeting.deleted", "meeting.created"]
    mine = (await rest.services.records.persons.export("ada"))["tables"]["audit"]
    assert [row["action"] for row in mine] == ["login", "meeting.created", "meeting.deleted"]
