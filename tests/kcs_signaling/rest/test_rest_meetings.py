"""Meetings over REST: create, read, end, and links for others."""

import time
from typing import Any

import pytest

from kcs_contracts.ids import UserId
from kcs_contracts.placement import MeetingIsOver, NodeLease
from kcs_contracts.rooms import Role
from kcs_signaling.records.accounts import Account


async def get(rest: Any, meeting_id: str, token: str) -> Any:
    return await rest.call("GET", f"/api/v1/meetings/{meeting_id}", token=token)


async def end(rest: Any, meeting_id: str, token: str) -> Any:
    return await rest.call("POST", f"/api/v1/meetings/{meeting_id}/end", token=token)


async def test_a_meeting_of_nothing_but_defaults(rest: Any) -> None:
    meeting = await rest.meeting()
    assert meeting["join_url"] == f"https://meet.example.org/m/{meeting['id']}"
    assert (meeting["host_id"], meeting["max_participants"]) == ("ada", 200)
    assert (meeting["starts_at"], meeting["ended_at"]) == (None, None)
    assert meeting["settings"]["default_role"] == "presenter"
    host = rest.services.tokens.verify(meeting["meeting_token"])
    assert (host.meeting_id, host.role, host.user_id) == (meeting["id"], Role.HOST, "ada")
    read = await get(rest, meeting["id"], rest.access(rest.ada))
    assert read.json == {k: v for k, v in meeting.items() if k != "meeting_token"}


async def test_a_meeting_with_everything_said(rest: Any) -> None:
    said = {
        "display_name": "Übung 3",
        "starts_at": "2035-01-15T10:00:00+01:00",
        "duration_minutes": 60,
        "max_participants": 500,
        "expected_participants": 120,
        "region": "eu-central",
    }
    meeting = await rest.meeting(**said, settings={"default_role": "attendee"})
    assert {k: meeting[k] for k in said} == {**said, "starts_at": "2035-01-15T09:00:00Z"}
    assert meeting["settings"]["default_role"] == "attendee"
    record = await rest.services.records.meeting(meeting["id"])
    assert (record.starts_at, record.default_role) == (2_052_464_400, Role.ATTENDEE)
    token = rest.services.tokens.verify(meeting["meeting_token"])
    assert token.expires_at == 2_052_464_400 + 3600 + 3600


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"display_name": ""}, "body.display_name"),
        ({"display_name": "   "}, "body.display_name"),
        ({"display_name": "a\nb"}, "body.display_name"),
        ({"display_name": "\x00"}, "body.display_name"),
        ({"display_name": "SECRET" * 20}, "body.display_name"),
        ({"display_name": ["SECRET"]}, "body.display_name"),
        ({"max_participants": 1}, "body.max_participants"),
        ({"max_participants": 10_001}, "body.max_participants"),
        ({"max_participants": "SECRET"}, "body.max_participants"),
        ({"max_participants": 1e308}, "body.max_participants"),
        ({"expected_participants": -1}, "body.expected_participants"),
        ({"duration_minutes": 0}, "body.duration_minutes"),
        ({"starts_at": "SECRET"}, "body.starts_at"),
        ({"starts_at": "2030-01-01T00:00:00"}, "body.starts_at"),
        ({"region": "SECRET/x"}, "body.region"),
        ({"settings": {"default_role": "host"}}, "body.settings.default_role"),
        ({"settings": {"default_role": "SECRET"}}, "body.settings.default_role"),
        ({"settings": {"x": "SECRET"}}, "body.settings.x"),
        ({"host_id": "SECRET"}, "body.host_id"),
        (["SECRET"], "body"),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_not_echoed(
    rest: Any, body: Any, field: str
) -> None:
    answer = await rest.call("POST", "/api/v1/meetings", token=rest.access(rest.ada), json=body)
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "INVALID_REQUEST"
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert "SECRET" not in answer.text


async def test_a_meeting_token_makes_no_meeting(rest: Any) -> None:
    meeting = await rest.meeting()
    token = meeting["meeting_token"]
    answer = await rest.call("POST", "/api/v1/meetings", token=token, json={})
    assert (answer.status, answer.json["code"]) == (403, "ACCESS_DENIED")


async def test_a_meeting_token_reads_its_own_meeting_and_cannot_tell_of_others(rest: Any) -> None:
    one, other = await rest.meeting(), await rest.meeting()
    assert (await get(rest, one["id"], one["meeting_token"])).status == 200
    forbidden = await get(rest, other["id"], one["meeting_token"])
    unknown = await get(rest, "abc-defg-hij", one["meeting_token"])
    assert (forbidden.status, forbidden.text) == (unknown.status, unknown.text)
    assert forbidden.json["code"] == "MEETING_NOT_FOUND"
    assert (await end(rest, other["id"], one["meeting_token"])).text == unknown.text
    assert (await get(rest, other["id"], rest.access(rest.ada))).json["ended_at"] is None


@pytest.mark.parametrize("meeting_id", ["abc-defg-hij", "x" * 5000, "%00", "%F0%9F%98%80", "a b"])
async def test_an_unknown_meeting_is_not_found(rest: Any, meeting_id: str) -> None:
    answer = await get(rest, meeting_id, rest.access(rest.ada))
    assert (answer.status, answer.json["code"]) == (404, "MEETING_NOT_FOUND")


async def test_only_the_host_ends_a_meeting(rest: Any) -> None:
    meeting = await rest.meeting()
    tokens, expires_at = rest.services.tokens, time.time() + 60
    for token in (
        rest.access(rest.bob),
        tokens.meeting(meeting["id"], rest.bob, Role.CO_HOST, expires_at=expires_at),
        tokens.meeting(meeting["id"], rest.ada, Role.ATTENDEE, expires_at=expires_at),
    ):
        answer = await end(rest, meeting["id"], token)
        assert (answer.status, answer.json["code"]) == (403, "ACCESS_DENIED")
    assert (await get(rest, meeting["id"], rest.access(rest.bob))).json["ended_at"] is None


@pytest.mark.parametrize("by_meeting_token", [False, True])
async def test_an_ended_meeting_is_over_in_records_and_placement(
    rest: Any, by_meeting_token: bool
) -> None:
    meeting = await rest.meeting()
    placement = rest.services.placement
    await placement.renew(
        NodeLease(node="n1", boot="b1", control_url="http://n1", consumer_capacity=500), []
    )
    await placement.assign(meeting["id"], warmup_ms=0)
    token = meeting["meeting_token"] if by_meeting_token else rest.access(rest.ada)
    ended = await end(rest, meeting["id"], token)
    assert ended.status == 200
    assert ended.json["ended_at"] is not None
    with pytest.raises(MeetingIsOver):
        await placement.assign(meeting["id"], warmup_ms=0)
    assert (await end(rest, meeting["id"], token)).json == ended.json
    assert (await get(rest, meeting["id"], token)).json == ended.json


async def test_a_link_lets_somebody_in_under_a_role_and_a_name(rest: Any) -> None:
    meeting = await rest.meeting(duration_minutes=30)
    path = f"/api/v1/meetings/{meeting['id']}/tokens"
    host = rest.access(rest.ada)
    body = {"display_name": "Grace", "role": "guest"}
    made = await rest.call("POST", path, token=host, json=body)
    assert made.status == 201
    start, _, token = made.json["join_url"].partition("#token=")
    assert (start, token) == (meeting["join_url"], made.json["meeting_token"])
    grace = rest.services.tokens.verify(token)
    assert (grace.user_name, grace.role, grace.meeting_id) == ("Grace", Role.GUEST, meeting["id"])
    assert grace.user_id == made.json["user_id"]
    assert grace.user_id.startswith("guest-")

    named = {"display_name": "Bob", "user_id": "guest-bob"}
    bob = await rest.call("POST", path, token=meeting["meeting_token"], json=named)
    assert (bob.json["user_id"], bob.json["role"]) == ("guest-bob", "presenter")


@pytest.mark.parametrize("dev_login", [False, True])
async def test_no_link_speaks_for_somebody_else_who_has_an_account(
    start_rest: Any, dev_login: bool
) -> None:
    async with start_rest(dev_login=dev_login, local_accounts=True) as rest:
        meeting = await rest.meeting()
        eve = Account(
            user_id=UserId("eve"), email=None, user_name="Eve", password_hash="x", created_at=1.0
        )
        guest = eve.model_copy(update={"user_id": UserId("guest-house")})
        for account in (eve, guest):
            assert await rest.services.records.accounts.add(account)
        path = f"/api/v1/meetings/{meeting['id']}/tokens"
        # a host who was made that in the call does not get the owner's either
        deputy = rest.services.tokens.meeting(
            meeting["id"], rest.bob, Role.HOST, expires_at=time.time() + 60
        )

        async def asked(token: str, **body: str) -> int:
            named = {"display_name": "Somebody", **body}
            return int((await rest.call("POST", path, token=token, json=named)).status)

        ada = rest.access(rest.ada)
        for theirs in ("eve", "guest-house"):
            assert await asked(ada, user_id=theirs, role="guest") == 403
        assert await asked(deputy, user_id="ada", role="guest") == 403
        assert await asked(ada, user_id="whoever") == (201 if dev_login else 403)
        assert await asked(ada, user_id="guest-7") == 201
        assert await asked(ada, user_id="ada", role="host") == 201
        for other in ({}, {"user_id": "guest-7"}):
            assert await asked(ada, **other, role="host") == 403
            assert await asked(ada, **other, role="co_host") == 201
        invited = {"display_name": "Grace", "email": "grace@example.org", "role": "host"}
        refused = await rest.call(
            "POST", path.replace("tokens", "invitations"), token=ada, json=invited
        )
        assert (refused.status, refused.json["code"]) == (403, "ACCESS_DENIED")


async def test_only_the_host_makes_links_and_none_to_an_ended_meeting(rest: Any) -> None:
    meeting = await rest.meeting()
    path = f"/api/v1/meetings/{meeting['id']}/tokens"
    body = {"display_name": "Grace", "role": "guest"}
    denied = await rest.call("POST", path, token=rest.access(rest.bob), json=body)
    assert (denied.status, denied.json["code"]) == (403, "ACCESS_DENIED")
    for wrong in ({}, {**body, "role": "root"}, {**body, "user_id": "../x"}, {**body, "x": 1}):
        answer = await rest.call("POST", path, token=rest.access(rest.ada), json=wrong)
        assert answer.status == 422
    await end(rest, meeting["id"], rest.access(rest.ada))
    over = await rest.call("POST", path, token=rest.access(rest.ada), json=body)
    assert (over.status, over.json["code"]) == (410, "MEETING_ENDED")
