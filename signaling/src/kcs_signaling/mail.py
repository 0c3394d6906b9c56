"""Invitations by mail: the message with its calendar entry, and SMTP, which nothing else speaks.

REST (`http.invitations`) makes the link and hands it over here; what cannot be sent is said by
`MailNotSent`, since the host still has the link to pass on.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from urllib.parse import urlsplit

import aiosmtplib
import structlog

from kcs_contracts.ids import MeetingId
from kcs_contracts.models import Contract
from kcs_signaling.settings import MailSettings

EMAIL = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
)
"""An address in ASCII, as the `email` field of HTML takes it."""
_log = structlog.get_logger()
_LINE_OCTETS = 75


class MailNotSent(Exception):
    """The message did not go out; the text says why, and names no address and no server."""


class Invitation(Contract):
    """What an invitation says."""

    meeting_id: MeetingId
    meeting_name: str
    host_name: str
    host_email: str = ""
    """Left out of the message unless it is an address: a token's claim may be any text."""
    guest_name: str
    guest_email: str
    join_url: str
    """The guest's own way in: a secret."""
    starts_at: datetime
    ends_at: datetime
    link_expires_at: datetime


async def send_invitation(settings: MailSettings, invitation: Invitation, *, now: datetime) -> None:
    """Hands one message to the SMTP server.

    Raises:
        MailNotSent: no server is configured, it does not answer, or it refuses.
    """
    if settings.host is None:
        raise MailNotSent("no mail server is configured")
    message = invitation_message(invitation, sender=settings.sender, now=now)
    try:
        async with asyncio.timeout(settings.timeout_seconds):
            await aiosmtplib.send(
                message,
                sender=settings.sender,
                recipients=[invitation.guest_email],
                hostname=settings.host,
                port=settings.port,
                username=settings.username,
                password=settings.password.get_secret_value() if settings.username else None,
                use_tls=settings.security == "tls",
                start_tls=settings.security == "starttls",
                timeout=settings.timeout_seconds,
            )
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _not_sent("the mail server does not take mail for this address", error) from error
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ssl.SSLError) as error:
        raise _not_sent("the mail server did not take the message", error) from error


def _not_sent(reason: str, error: Exception) -> MailNotSent:
    _log.warning("mail_not_sent", reason=reason, error=type(error).__name__)
    return MailNotSent(reason)


def invitation_message(invitation: Invitation, *, sender: str, now: datetime) -> EmailMessage:
    """The message: plain text with the link, and the calendar entry attached."""
    message = EmailMessage(policy=SMTP)
    host, guest = _line(invitation.host_name), _line(invitation.guest_name)
    message["From"] = Address(f"{host} (KCS Meetings)", addr_spec=sender)
    message["To"] = Address(guest, addr_spec=invitation.guest_email)
    if re.fullmatch(EMAIL, invitation.host_email):
        message["Reply-To"] = Address(host, addr_spec=invitation.host_email)
    message["Subject"] = f"Invitation: {_line(invitation.meeting_name)}"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message.set_content(_text(invitation))
    message.add_attachment(
        calendar_entry(invitation, organizer=sender, now=now).encode(),
        maintype="text",
        subtype="calendar",
        params={"method": "REQUEST", "charset": "utf-8"},
        filename="invite.ics",
    )
    return message


def calendar_entry(invitation: Invitation, *, organizer: str, now: datetime) -> str:
    """An iCalendar REQUEST (RFC 5545, RFC 5546) of one event, for a calendar to take in."""
    link = invitation.join_url
    site = urlsplit(link).hostname or "kcs-meetings"
    host, guest = _quoted(invitation.host_name), _quoted(invitation.guest_name)
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//KCS Meetings//EN",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        f"UID:{invitation.meeting_id}@{site}",
        f"DTSTAMP:{_utc(now)}",
        f"DTSTART:{_utc(invitation.starts_at)}",
        f"DTEND:{_utc(invitation.ends_at)}",
        "SEQUENCE:0",
        f"SUMMARY:{_escaped(_line(invitation.meeting_name))}",
        f"ORGANIZER;CN={host}:mailto:{organizer}",
        f"ATTENDEE;CN={guest};ROLE=REQ-PARTICIPANT;RSVP=FALSE:mailto:{invitation.guest_email}",
        f"LOCATION:{_escaped(link)}",
        f"URL:{link}",
        f"DESCRIPTION:{_escaped(_text(invitation))}",
        "STATUS:CONFIRMED",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _text(invitation: Invitation) -> str:
    start = invitation.starts_at.astimezone(UTC)
    until = invitation.link_expires_at.astimezone(UTC)
    return (
        f"{_line(invitation.host_name)} invites you to a meeting: "
        f"{_line(invitation.meeting_name)}\n\n"
        f"When: {start:%Y-%m-%d %H:%M} UTC\n"
        f"Join: {invitation.join_url}\n\n"
        f"The link is yours alone and works until {until:%Y-%m-%d %H:%M} UTC.\n"
    )


def _line(text: str) -> str:
    """One line: line breaks and runs of spaces become one space, control characters go."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _escaped(text: str) -> str:
    """TEXT (RFC 5545, 3.3.11)."""
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return text


def _quoted(text: str) -> str:
    """A parameter's value in quotes, which can hold no quote (RFC 5545, 3.1)."""
    return f'"{_line(text).replace(chr(34), chr(39))}"'


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _folded(line: str) -> str:
    """Lines of at most 75 octets, none ending within a character (RFC 5545, 3.1)."""
    return "\r\n ".join(_pieces(line))


def _pieces(line: str) -> Iterator[str]:
    piece, octets, limit = "", 0, _LINE_OCTETS
    for character in line:
        size = len(character.encode())
        if octets + size > limit:
            yield piece
            # Each further line begins with a space, which counts.
            piece, octets, limit = "", 0, _LINE_OCTETS - 1
        piece += character
        octets += size
    yield piece
