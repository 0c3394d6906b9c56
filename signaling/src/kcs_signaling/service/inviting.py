"""Links that let one person into one meeting, and the mails that carry them.

How many mails a person may cause, and get, is bounded.
"""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

import structlog

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.limits import Limit
from kcs_contracts.rooms import Role
from kcs_signaling.errors import MeetingEnded
from kcs_signaling.mail import Invitation, MailNotSent, send_invitation
from kcs_signaling.ports import Meeting
from kcs_signaling.records.invitations import Invitation as InvitationRecord
from kcs_signaling.records.records import Records
from kcs_signaling.service.limits import Limiter
from kcs_signaling.settings import Settings
from kcs_signaling.tokens import Person, Tokens, User, meeting_token_expiry

_log = structlog.get_logger()
_OPEN_END_MINUTES = 60
GUEST = "guest-"
"""What the ids of people without an account begin with."""

INVITATIONS = Limit(count=200, per_seconds=3600)
"""To the meetings of one host, whoever of its hosts makes them."""
INVITATIONS_TO_ONE = Limit(count=10, per_seconds=3600)
"""To one mailbox, whoever makes them."""


class Prepared(NamedTuple):
    """An invitation that is on record and was mailed to nobody yet."""

    meeting: Meeting
    inviter: Person
    record: InvitationRecord
    link: str


@dataclass(frozen=True)
class Made:
    """An invitation that stands."""

    record: InvitationRecord
    link: str
    not_sent_because: str | None
    """None: the mail server took the message."""


class Inviting:
    """Invitations and links, for REST and for calls."""

    def __init__(self, settings: Settings, records: Records, tokens: Tokens, limits: Limiter):
        self._settings, self._records = settings, records
        self._tokens, self._limits = tokens, limits

    async def check_limits(self, meeting: Meeting, email: str, address: str) -> None:
        """Counts one invitation.

        Raises:
            RateLimited: it is one too many, for the meeting's host or for that mailbox.
        """
        # not by the caller: a host makes as many others of their own as they like
        host = meeting.host_id
        await self._limits.check("invite", INVITATIONS, who=host, address=address)
        guest = sha256(email.lower().encode()).hexdigest()[:32]
        await self._limits.check("invited", INVITATIONS_TO_ONE, who=guest, address=address)

    async def invite(
        self,
        meeting: Meeting,
        inviter: Person,
        *,
        email: str,
        display_name: str,
        role: Role,
        valid_hours: int | None = None,
        admitted: bool = False,
    ) -> Made:
        """Puts an invitation on record and mails it; without a mail server it stands all the same.

        Raises:
            MeetingEnded: the meeting is over.
            Unavailable: the records do not answer.
        """
        prepared = await self.prepare(
            meeting,
            inviter,
            email=email,
            display_name=display_name,
            role=role,
            valid_hours=valid_hours,
            admitted=admitted,
        )
        return await self.deliver(prepared)

    async def prepare(
        self,
        meeting: Meeting,
        inviter: Person,
        *,
        email: str,
        display_name: str,
        role: Role,
        valid_hours: int | None = None,
        admitted: bool = False,
    ) -> Prepared:
        """Puts an invitation on record: it stands, and its link works.

        Raises:
            MeetingEnded, Unavailable: as `invite`.
        """
        person = User(user_id=guest_id(), user_name=display_name, email=email)
        record = InvitationRecord(
            id=secrets.token_urlsafe(9),
            meeting_id=meeting.id,
            inviter_id=inviter.user_id,
            email=email,
            display_name=display_name,
            role=role,
            created_at=time.time(),
            expires_at=link_expiry(meeting, valid_hours),
        )
        _, link = self.link(meeting.id, person, role, record.expires_at, admitted=admitted)
        await self._records.invitations.add(record)
        await self._records.audit.write(
            "invitation.made",
            at=record.created_at,
            actor=inviter.user_id,
            meeting_id=meeting.id,
            details={"invitation": record.id, "role": role.value},
        )
        return Prepared(meeting, inviter, record, link)

    async def deliver(self, prepared: Prepared) -> Made:
        """Mails an invitation that is on record, and puts on record that it was sent.

        Raises:
            Unavailable: the records do not answer; the mail is out, or not.
        """
        meeting, inviter, record, link = prepared
        reason = await self._mail(meeting, inviter, record, link)
        if reason is None:
            sent_at = time.time()
            record = record.model_copy(update={"sent_at": sent_at})
            await self._records.invitations.sent(record.id, at=sent_at)
        _log.info("invited", meeting_id=meeting.id, user_id=inviter.user_id, sent=reason is None)
        return Made(record, link, reason)

    def link(
        self,
        meeting_id: MeetingId,
        person: User,
        role: Role,
        expires_at: float,
        *,
        admitted: bool = False,
    ) -> tuple[str, str]:
        """A meeting token and the link that holds it, in the fragment, which browsers send to
        nobody."""
        token = self._tokens.meeting(
            meeting_id, person, role, expires_at=expires_at, admitted=admitted
        )
        return token, f"{self.plain_link(meeting_id)}#token={token}"

    def plain_link(self, meeting_id: MeetingId) -> str:
        """The link to a meeting that lets in whoever can log in."""
        return f"{self._settings.http.public_url.rstrip('/')}/m/{quote(meeting_id, safe='')}"

    async def _mail(
        self, meeting: Meeting, inviter: Person, record: InvitationRecord, link: str
    ) -> str | None:
        """Why nothing was sent; None when it was."""
        starts_at = meeting.starts_at or record.created_at
        minutes = meeting.duration_minutes or _OPEN_END_MINUTES
        message = Invitation(
            meeting_id=meeting.id,
            meeting_name=meeting.display_name,
            host_name=inviter.user_name or "The host",
            host_email=inviter.email,
            guest_name=record.display_name,
            guest_email=record.email,
            join_url=link,
            starts_at=datetime.fromtimestamp(starts_at, UTC),
            ends_at=datetime.fromtimestamp(starts_at + minutes * 60, UTC),
            link_expires_at=datetime.fromtimestamp(record.expires_at, UTC),
        )
        try:
            await send_invitation(self._settings.mail, message, now=datetime.now(UTC))
        except MailNotSent as error:
            return str(error)
        return None


def link_expiry(meeting: Meeting, valid_hours: int | None = None) -> int:
    """When a link stops working, in Unix s.

    Raises:
        MeetingEnded: the meeting is over.
    """
    if meeting.ended_at is not None:
        raise MeetingEnded("the meeting is over")
    latest = meeting_token_expiry(meeting, time.time())
    if valid_hours is not None:
        latest = min(latest, time.time() + valid_hours * 3600)
    return int(latest)


def guest_id() -> UserId:
    """Of somebody who is known by an invitation alone."""
    return UserId(f"{GUEST}{secrets.token_hex(8)}")
