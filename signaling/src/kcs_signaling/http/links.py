"""Letting people into a meeting over REST: tokens to hand over, and invitations by mail.

How many mails a person may cause is not bounded here yet: that comes with the limits of all
requests.
"""

import secrets
import time
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter
from pydantic import ConfigDict, Field, StringConstraints

from kcs_contracts.ids import UserId, UserIdText
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.errors import MeetingEnded
from kcs_signaling.http.audit import note
from kcs_signaling.http.meeting_models import NameText, join_url, time_of
from kcs_signaling.http.needs import Caller, HostedMeeting, Services
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import documented
from kcs_signaling.identity import Identity
from kcs_signaling.mail import EMAIL, Invitation, MailNotSent, send_invitation
from kcs_signaling.ports import Meeting
from kcs_signaling.records.invitations import Invitation as InvitationRecord
from kcs_signaling.tokens import User, meeting_token_expiry

_log = structlog.get_logger()
_OPEN_END_MINUTES = 60

EmailText = Annotated[str, StringConstraints(max_length=254, pattern=EMAIL)]


class NewMeetingToken(Contract):
    """Somebody to let in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"role": "presenter", "display_name": "Grace Hopper"}]}
    )

    display_name: NameText
    role: Role | None = Field(None, description="Left out: the meeting's default role.")
    user_id: UserIdText | None = Field(None, description="Left out: a guest with a new id.")


class MeetingToken(Contract):
    """A link that lets one person in."""

    meeting_token: str = Field(examples=["eyJhbGciOiJFZERTQSJ9..."])
    user_id: UserId = Field(examples=["guest-3f9a0c1d2e4b5a69"])
    role: Role
    expires_at: datetime
    join_url: str = Field(
        description="With the token in the fragment, which browsers send to nobody.",
        examples=["https://meet.example.org/m/k7f-x2mq-9tb#token=eyJ..."],
    )


class NewInvitation(Contract):
    """Somebody to invite."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "grace@example.org", "display_name": "Grace Hopper"}]
        }
    )

    email: EmailText
    display_name: NameText
    role: Role | None = Field(None, description="Left out: the meeting's default role.")
    valid_hours: int | None = Field(
        None,
        ge=1,
        le=24 * 365,
        description="How long the link works; it never does longer than an hour after the "
        "meeting's end, which is what leaving it out means.",
    )


class InvitationView(Contract):
    """An invitation on record. Its link is not: only the guest and whoever made it have that."""

    id: str = Field(examples=["Yk3vX0c9Q2M"])
    email: str = Field(examples=["grace@example.org"])
    display_name: str = Field(examples=["Grace Hopper"])
    role: Role
    created_at: datetime
    expires_at: datetime = Field(description="When the link stops working.")
    sent: bool = Field(description="Whether the mail server took the message.")
    sent_at: datetime | None


class MadeInvitation(InvitationView):
    """A new invitation. When `sent` is false, nothing went out: hand over the link yourself."""

    join_url: str = Field(examples=["https://meet.example.org/m/k7f-x2mq-9tb#token=eyJ..."])
    not_sent_because: str | None = Field(
        None, description="With `sent` false.", examples=["no mail server is configured"]
    )


router = APIRouter(prefix="/api/v1/meetings/{meeting_id}", tags=["letting people in"])


@router.post("/tokens", status_code=201, responses=documented(401, 403, 404, 410, 422, 503))
async def create_meeting_token(
    services: Services, caller: Caller, meeting: HostedMeeting, new: NewMeetingToken
) -> MeetingToken:
    """A token and a link for somebody else, until an hour after the meeting's end."""
    user_id = new.user_id or _guest_id()
    person = User(user_id=user_id, user_name=new.display_name)
    role = new.role or meeting.default_role
    expires_at = _expiry(meeting, None)
    details = {"role": role.value, "expires_at": expires_at}
    await note(
        services,
        "meeting_token.issued",
        caller,
        meeting_id=meeting.id,
        subject=user_id,
        details=details,
    )
    token, link = _link(services, meeting, person, role, expires_at)
    _log.info(
        "meeting_token_made",
        meeting_id=meeting.id,
        user_id=caller.user_id,
        for_user_id=user_id,
        role=role.value,
    )
    return MeetingToken(
        meeting_token=token,
        user_id=user_id,
        role=role,
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        join_url=link,
    )


@router.post("/invitations", status_code=201, responses=documented(401, 403, 404, 410, 422, 503))
async def invite(
    services: Services, caller: Caller, meeting: HostedMeeting, new: NewInvitation
) -> MadeInvitation:
    """Makes a link of the guest's own, for a limited time, and mails it with a calendar entry.

    Without a mail server, or when it refuses, the invitation stands all the same: `sent` is
    false, and the link in the answer is for the host to hand over.
    """
    person = User(user_id=_guest_id(), user_name=new.display_name, email=new.email)
    record = InvitationRecord(
        id=secrets.token_urlsafe(9),
        meeting_id=meeting.id,
        inviter_id=caller.user_id,
        email=new.email,
        display_name=new.display_name,
        role=new.role or meeting.default_role,
        created_at=time.time(),
        expires_at=_expiry(meeting, new.valid_hours),
    )
    _, link = _link(services, meeting, person, record.role, record.expires_at)
    await services.records.invitations.add(record)
    details = {"invitation": record.id, "role": record.role.value}
    await note(services, "invitation.made", caller, meeting_id=meeting.id, details=details)
    reason = await _mail(services, caller, meeting, record, link)
    if reason is None:
        sent_at = time.time()
        record = record.model_copy(update={"sent_at": sent_at})
        await services.records.invitations.sent(record.id, at=sent_at)
    _log.info("invited", meeting_id=meeting.id, user_id=caller.user_id, sent=reason is None)
    return MadeInvitation(**_view(record).model_dump(), join_url=link, not_sent_because=reason)


@router.get("/invitations", responses=documented(401, 403, 404, 422, 503))
async def list_invitations(
    services: Services, meeting: HostedMeeting, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[InvitationView]:
    """Who was invited, the first first."""
    found = services.records.invitations.of_meeting(meeting.id, after=cursor, limit=limit)
    return page_of(_view, await found)


async def _mail(
    services: Services, caller: Identity, meeting: Meeting, record: InvitationRecord, link: str
) -> str | None:
    """Why nothing was sent; None when it was."""
    starts_at = meeting.starts_at or record.created_at
    minutes = meeting.duration_minutes or _OPEN_END_MINUTES
    message = Invitation(
        meeting_id=meeting.id,
        meeting_name=meeting.display_name,
        host_name=caller.user_name or "The host",
        host_email=caller.email,
        guest_name=record.display_name,
        guest_email=record.email,
        join_url=link,
        starts_at=datetime.fromtimestamp(starts_at, UTC),
        ends_at=datetime.fromtimestamp(starts_at + minutes * 60, UTC),
        link_expires_at=datetime.fromtimestamp(record.expires_at, UTC),
    )
    try:
        await send_invitation(services.settings.mail, message, now=datetime.now(UTC))
    except MailNotSent as error:
        return str(error)
    return None


def _expiry(meeting: Meeting, valid_hours: int | None) -> int:
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


def _link(
    services: Services, meeting: Meeting, person: User, role: Role, expires_at: float
) -> tuple[str, str]:
    token = services.tokens.meeting(meeting.id, person, role, expires_at=expires_at)
    return token, f"{join_url(services, meeting.id)}#token={token}"


def _guest_id() -> UserId:
    return UserId(f"guest-{secrets.token_hex(8)}")


def _view(record: InvitationRecord) -> InvitationView:
    return InvitationView(
        id=record.id,
        email=record.email,
        display_name=record.display_name,
        role=record.role,
        created_at=datetime.fromtimestamp(record.created_at, UTC),
        expires_at=datetime.fromtimestamp(record.expires_at, UTC),
        sent=record.sent_at is not None,
        sent_at=time_of(record.sent_at),
    )
