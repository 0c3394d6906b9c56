"""Invitations over REST: the link, the mail, and the list."""

import time
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.kcs_signaling.rest.smtp import REFUSED, smtp_server

from kcs_contracts.rooms import Role
from kcs_signaling.settings import MailSettings

GRACE = {"email": "grace@example.org", "display_name": "Grace"}


async def invite(rest: Any, meeting: Any, token: str | None = None, **body: Any) -> Any:
    path, body = f"/api/v1/meetings/{meeting['id']}/invitations", GRACE | body
    return await rest.call("POST", path, token=token or rest.access(rest.ada), json=body)


async def invitations(rest: Any, meeting: Any, query: str = "") -> Any:
    path = f"/api/v1/meetings/{meeting['id']}/invitations{query}"
    return (await rest.call("GET", path, token=rest.access(rest.ada))).json


async def test_without_a_mail_server_the_link_is_answered_and_nothing_sent(rest: Any) -> None:
    meeting = await rest.meeting()
    answer = await invite(rest, meeting, role="guest", valid_hours=2)
    assert answer.status == 201
    assert (answer.json["sent"], answer.json["sent_at"]) == (False, None)
    assert answer.json["not_sent_because"] == "no mail server is configured"
    link, _, token = answer.json["join_url"].partition("#token=")
    assert link == meeting["join_url"]
    grace = rest.services.tokens.verify(token)
    assert (grace.meeting_id, grace.role, grace.user_name) == (meeting["id"], Role.GUEST, "Grace")
    assert grace.email == GRACE["email"]
    assert grace.expires_at == pytest.approx(time.time() + 7200, abs=10)


async def test_an_invitation_is_mailed_with_the_same_link(start_rest: Any, redis: Any) -> None:
    async with smtp_server() as mailbox:
        mail = MailSettings(
            host="127.0.0.1", port=mailbox.port, security="none", sender="kcs@example.org"
        )
        async with start_rest(mail=mail) as rest:
            meeting = await rest.meeting(
                display_name="Lab", starts_at="2035-01-15T09:00:00Z", duration_minutes=45
            )
            with capture_logs() as logs:
                sent = await invite(rest, meeting)
                refused = await invite(rest, meeting, email=REFUSED)
            listed = await invitations(rest, meeting)
    assert (sent.status, sent.json["sent"], sent.json["not_sent_because"]) == (201, True, None)
    (message,) = mailbox.messages
    body = message.get_body(("plain",))
    assert body is not None
    assert sent.json["join_url"] in body.get_content().replace("\n", "")
    assert sent.json["expires_at"] == "2035-01-15T10:45:00Z"
    assert (refused.status, refused.json["sent"]) == (201, False)
    assert "this address" in refused.json["not_sent_because"]
    assert [(each["email"], each["sent"]) for each in listed["items"]] == [
        (GRACE["email"], True),
        (REFUSED, False),
    ]
    assert "token" not in str(listed)
    secret = sent.json["join_url"].partition("#token=")[2]
    assert secret not in str(logs)
    assert GRACE["email"] not in str(logs)


async def test_a_meeting_token_of_a_host_invites_and_others_do_not(rest: Any) -> None:
    meeting = await rest.meeting()
    assert (await invite(rest, meeting, meeting["meeting_token"])).status == 201
    assert (await invite(rest, meeting, rest.access(rest.bob))).status == 403
    guest = (await invite(rest, meeting)).json["join_url"].partition("#token=")[2]
    assert (await invite(rest, meeting, guest)).status == 403
    path = f"/api/v1/meetings/{meeting['id']}/invitations"
    assert (await rest.call("GET", path, token=guest)).status == 403
    ended = f"/api/v1/meetings/{meeting['id']}/end"
    await rest.call("POST", ended, token=rest.access(rest.ada))
    assert (await invite(rest, meeting)).status == 410


async def test_a_link_never_outlives_the_meetings_token(rest: Any) -> None:
    meeting = await rest.meeting(duration_minutes=30)
    answer = await invite(rest, meeting, valid_hours=8760)
    grace = rest.services.tokens.verify(answer.json["join_url"].partition("#token=")[2])
    assert grace.expires_at < time.time() + 2 * 3600


@pytest.mark.parametrize(
    "body",
    [
        {"email": "grace"},
        {"email": "a@b@c.org"},
        {"email": "a b@c.org"},
        {"email": "a@c.org\r\nBcc: eve@evil.example"},
        {"email": "a@c.org\n"},
        {"email": "<a@c.org>"},
        {"email": "a,b@c.org"},
        {"email": "a@" + "c" * 300},
        {"email": None},
        {"display_name": "a\r\nBcc: x"},
        {"valid_hours": 0},
        {"valid_hours": 10**9},
        {"role": "root"},
        {"link": "x"},
    ],
)
async def test_a_wrong_invitation_is_refused_and_not_on_record(rest: Any, body: Any) -> None:
    meeting = await rest.meeting()
    assert (await invite(rest, meeting, **body)).status == 422
    assert (await invitations(rest, meeting))["items"] == []


async def test_invitations_are_listed_in_pages(rest: Any) -> None:
    meeting = await rest.meeting()
    for n in range(3):
        await invite(rest, meeting, email=f"g{n}@example.org")
    first = await invitations(rest, meeting, "?limit=2")
    second = await invitations(rest, meeting, f"?limit=2&cursor={first['next']}")
    emails = [each["email"] for each in first["items"] + second["items"]]
    assert (emails, second["next"]) == ([f"g{n}@example.org" for n in range(3)], None)
