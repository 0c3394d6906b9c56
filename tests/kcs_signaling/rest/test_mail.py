"""Invitations by mail, to a real SMTP server: what arrives, and when nothing goes out."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.kcs_signaling.rest.smtp import PASSWORD, REFUSED, USER, only_meetings, smtp_server

from kcs_signaling.mail import (
    Invitation,
    MailNotSent,
    calendar_entry,
    invitation_message,
    send_invitation,
)
from kcs_signaling.settings import MailSettings

NOW = datetime(2030, 1, 10, 12, tzinfo=UTC)
START = datetime(2030, 1, 15, 9, tzinfo=UTC)
LINK = "https://meet.example.org/m/k7f-x2mq-9tb#token=" + "a.b-c_d" * 60


def invitation(**other: Any) -> Invitation:
    fields: dict[str, Any] = {
        "meeting_id": "k7f-x2mq-9tb",
        "meeting_name": "Übung 3, mit Kaffee; pünktlich",
        "host_name": 'Ada "Countess" Lovelace',
        "host_email": "ada@example.org",
        "guest_name": "Grace Höpper",
        "guest_email": "grace@example.org",
        "join_url": LINK,
        "starts_at": START,
        "ends_at": START + timedelta(minutes=90),
        "link_expires_at": START + timedelta(minutes=150),
    }
    return Invitation(**fields | other)


def settings(port: int, **other: Any) -> MailSettings:
    fields = {"host": "127.0.0.1", "security": "none", "sender": "meetings@example.org"}
    return MailSettings(**{**fields, "port": port, "timeout_seconds": 3, **other})


def unfolded(entry: str) -> dict[str, str]:
    """The entry's properties by name, unfolded; parameters stay with the name."""
    lines = entry.replace("\r\n ", "").split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def test_an_invitation_arrives_with_its_link_and_a_calendar_entry() -> None:
    async with smtp_server() as mailbox:
        await send_invitation(settings(mailbox.port), invitation(), now=NOW)
    (message,) = mailbox.messages
    assert mailbox.envelopes[0].rcpt_tos == ["grace@example.org"]
    assert message["From"].addresses[0].addr_spec == "meetings@example.org"
    assert message["Reply-To"].addresses[0].addr_spec == "ada@example.org"
    assert message["To"].addresses[0].display_name == "Grace Höpper"
    assert message["Subject"] == "Invitation: Übung 3, mit Kaffee; pünktlich"
    body = message.get_body(("plain",))
    assert body is not None
    assert LINK in body.get_content()
    assert "2030-01-15 09:00 UTC" in body.get_content()
    (attached,) = message.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("text/calendar", "invite.ics")
    assert attached.get_param("method") == "REQUEST"
    entry = unfolded(attached.get_payload(decode=True).decode())
    assert entry["METHOD"] == "REQUEST"
    assert (entry["DTSTART"], entry["DTEND"]) == ("20300115T090000Z", "20300115T103000Z")
    assert entry["UID"] == "k7f-x2mq-9tb@meet.example.org"
    assert entry["URL"] == LINK
    assert entry["SUMMARY"] == "Übung 3\\, mit Kaffee\\; pünktlich"
    assert entry["ORGANIZER;CN=\"Ada 'Countess' Lovelace\""] == "mailto:meetings@example.org"


def test_lines_of_the_calendar_entry_are_short_and_end_between_characters() -> None:
    entry = calendar_entry(invitation(meeting_name="é€𝄞" * 50), organizer="m@x.org", now=NOW)
    assert entry.endswith("\r\n")
    assert max(len(line.encode()) for line in entry.split("\r\n")) == 75
    assert "é€𝄞" * 50 in unfolded(entry)["SUMMARY"]


@pytest.mark.parametrize(
    "text", ["a\r\nBcc: eve@evil.example", "a\u2028b\u0085c", "\x00\x1b[31m", "=?utf-8?q?=0A?=", ""]
)
def test_no_name_can_add_a_header_or_a_line(text: str) -> None:
    odd = invitation(meeting_name=text, host_name=text, guest_name=text, host_email=text)
    message = invitation_message(odd, sender="meetings@example.org", now=NOW)
    assert "Bcc" not in message
    head = message.as_bytes().split(b"\r\n\r\n", 1)[0]
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if line[:1].strip()]
    plain = invitation_message(invitation(host_email=""), sender="meetings@example.org", now=NOW)
    assert sorted(names) == sorted(name.encode() for name in plain.keys())  # noqa: SIM118 - a Message
    entry = calendar_entry(odd, organizer="m@x.org", now=NOW)
    plain_entry = calendar_entry(invitation(), organizer="m@x.org", now=NOW)
    assert len(entry.replace("\r\n ", "").splitlines()) <= len(
        plain_entry.replace("\r\n ", "").splitlines()
    )


async def test_without_a_mail_server_nothing_is_sent() -> None:
    with pytest.raises(MailNotSent, match="no mail server is configured"):
        await send_invitation(MailSettings(), invitation(), now=NOW)


async def test_a_refused_address_is_told() -> None:
    refused = invitation(guest_email=REFUSED)
    async with smtp_server() as mailbox:
        with pytest.raises(MailNotSent, match="does not take mail for this address"):
            await send_invitation(settings(mailbox.port), refused, now=NOW)
    assert mailbox.messages == []


async def test_a_server_without_starttls_gets_nothing_where_it_is_demanded() -> None:
    async with smtp_server() as mailbox:
        demanding = settings(mailbox.port, security="starttls")
        with pytest.raises(MailNotSent):
            await send_invitation(demanding, invitation(), now=NOW)
    assert mailbox.messages == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # the test's server has no TLS
async def test_the_service_logs_in_where_it_has_a_name() -> None:
    guarded = {
        "authenticator": only_meetings,
        "auth_required": True,
        "auth_require_tls": False,
    }
    async with smtp_server(**guarded) as mailbox:
        known = settings(mailbox.port, username=USER, password=PASSWORD)
        await send_invitation(known, invitation(), now=NOW)
        for stranger in (settings(mailbox.port), known.model_copy(update={"username": "eve"})):
            with pytest.raises(MailNotSent):
                await send_invitation(stranger, invitation(), now=NOW)
    assert len(mailbox.messages) == 1


async def test_a_server_that_is_gone_or_silent_is_waited_for_within_bounds() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    began = time.monotonic()
    with pytest.raises(MailNotSent, match="did not take the message"):
        await send_invitation(settings(port, timeout_seconds=0.3), invitation(), now=NOW)
    silent.close()
    with pytest.raises(MailNotSent, match="did not take the message"):
        await send_invitation(settings(port), invitation(), now=NOW)
    assert time.monotonic() - began < 10


def test_a_mail_server_without_a_sender_does_not_start() -> None:
    with pytest.raises(ValueError, match="KCS_MAIL__SENDER"):
        MailSettings(host="mail.example.org")
