"""Letting people into a meeting over REST: tokens to hand over, and invitations by mail."""

from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter
from pydantic import ConfigDict, Field, StringConstraints

from kcs_contracts.ids import UserId, UserIdText
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied
from kcs_signaling.http.audit import note
from kcs_signaling.http.meeting_models import NameText, time_of
from kcs_signaling.http.needs import Caller, ChangedMeeting, ClientAddress, HostedMeeting, Services
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import documented
from kcs_signaling.mail import EMAIL
from kcs_signaling.ports import Meeting
from kcs_signaling.records.invitations import Invitation as InvitationRecord
from kcs_signaling.service.inviting import GUEST, guest_id, link_expiry
from kcs_signaling.tokens import User

_log = structlog.get_logger()

EmailText = Annotated[str, StringConstraints(max_length=254, pattern=EMAIL)]


class NewMeetingToken(Contract):
    """Somebody to let in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"role": "presenter", "display_name": "Grace Hopper"}]}
    )

    display_name: NameText
    role: Role | None = Field(
        None,
        description="Left out: the meeting's default role. Nobody but yourself gets `host`: change "
        "a person's role when they are in.",
    )
    user_id: UserIdText | None = Field(
        None,
        description="Left out: a guest with a new id. Otherwise your own, or a guest's, which "
        "begins with `guest-`, where no issuer from outside knows the people. People with an "
        "account come in by that: whoever held a token of theirs would be them, and read what is "
        "private to them. With the development login, any id but that of an account.",
    )


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
    role: Role | None = Field(
        None, description="Left out: the meeting's default role. Never `host`."
    )
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


@router.post("/tokens", status_code=201, responses=documented(401, 403, 404, 410, 422, 429, 503))
async def create_meeting_token(
    services: Services, caller: Caller, meeting: ChangedMeeting, new: NewMeetingToken
) -> MeetingToken:
    """A token and a link for a guest, or for another device of yours, until an hour after the
    meeting's end.

    A token speaks for whom it names, so none is made for somebody else who has an account.
    """
    user_id = new.user_id or guest_id()
    person = User(user_id=user_id, user_name=new.display_name)
    role = new.role or meeting.default_role
    if user_id != caller.user_id:
        _check_role(role)
        await _check_is_guest(services, meeting, user_id)
    expires_at = link_expiry(meeting)
    details = {"role": role.value, "expires_at": expires_at}
    await note(
        services,
        "meeting_token.issued",
        caller,
        meeting_id=meeting.id,
        subject=user_id,
        details=details,
    )
    token, link = services.inviting.link(meeting.id, person, role, expires_at)
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


@router.post(
    "/invitations", status_code=201, responses=documented(401, 403, 404, 410, 422, 429, 503)
)
async def invite(
    services: Services,
    caller: Caller,
    meeting: HostedMeeting,
    new: NewInvitation,
    address: ClientAddress,
) -> MadeInvitation:
    """Makes a link of the guest's own, for a limited time, and mails it with a calendar entry.

    Without a mail server, or when it refuses, the invitation stands all the same: `sent` is
    false, and the link in the answer is for the host to hand over.
    """
    _check_role(new.role or meeting.default_role)
    await services.inviting.check_limits(meeting, new.email, address)
    made = await services.inviting.invite(
        meeting,
        caller,
        email=new.email,
        display_name=new.display_name,
        role=new.role or meeting.default_role,
        valid_hours=new.valid_hours,
    )
    view = _view(made.record).model_dump()
    return MadeInvitation(**view, join_url=made.link, not_sent_because=made.not_sent_because)


@router.get("/invitations", responses=documented(401, 403, 404, 422, 429, 503))
async def list_invitations(
    services: Services, meeting: HostedMeeting, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[InvitationView]:
    """Who was invited, the first first."""
    found = services.records.invitations.of_meeting(meeting.id, after=cursor, limit=limit)
    return page_of(_view, await found)


def _check_role(role: Role) -> None:
    """Links are passed on: whoever comes by one has less to say than the host who made it."""
    if role is Role.HOST:
        raise AccessDenied("nobody is invited as a host: change their role when they are in")


async def _check_is_guest(services: Services, meeting: Meeting, user_id: UserId) -> None:
    """Nobody with an account can be meant."""
    auth = services.settings.auth
    free = user_id.startswith(GUEST) and auth.external is None
    if not (free or auth.dev_login) or user_id == meeting.host_id:
        raise AccessDenied("others join by their own account: leave user_id out for a guest")
    account = await services.records.accounts.find(user_id)
    if account is not None and account.user_id == user_id:
        raise AccessDenied("they have an account: they join by that")


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
