"""Meetings over REST: create, read, end, and the links that let people in.

Records come first, placement second: a meeting whose end placement could not be told is asked
for again by the caller, and both steps bear to be made twice.
"""

import secrets
import time
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import quote

import structlog
from fastapi import APIRouter
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from kcs_contracts.ids import MeetingId, UserId, UserIdText, new_meeting_id
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied, MeetingEnded
from kcs_signaling.http.auth import NameText
from kcs_signaling.http.needs import Caller, HostedMeeting, ReadableMeeting, Services
from kcs_signaling.http.problems import documented
from kcs_signaling.ports import Meeting
from kcs_signaling.tokens import User, meeting_token_expiry

_log = structlog.get_logger()

DefaultRole = Literal[Role.CO_HOST, Role.PRESENTER, Role.ATTENDEE, Role.GUEST]


class MeetingOptions(Contract):
    """What holds in the meeting."""

    default_role: DefaultRole = Field(
        Role.PRESENTER, description="What somebody is who joins by the plain link."
    )


class NewMeeting(Contract):
    """A meeting to make; every field may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {
                    "display_name": "Lab meeting",
                    "starts_at": "2030-01-15T09:00:00Z",
                    "duration_minutes": 60,
                    "expected_participants": 25,
                    "settings": {"default_role": "attendee"},
                },
            ]
        }
    )

    display_name: NameText = "Meeting"
    starts_at: AwareDatetime | None = Field(
        None, description="ISO 8601 with an offset; left out: now."
    )
    duration_minutes: int | None = Field(None, ge=1, le=7 * 24 * 60)
    max_participants: int | None = Field(
        None, ge=2, le=10_000, description="Left out: the installation's default."
    )
    expected_participants: int = Field(
        0, ge=0, le=10_000, description="Room on a node is kept for so many."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{0,63}$")] | None = Field(
        None, description="Where most people are; left out: where the service is."
    )
    settings: MeetingOptions = MeetingOptions()


class MeetingView(Contract):
    """A meeting on record."""

    id: MeetingId = Field(examples=["k7f-x2mq-9tb"])
    display_name: str
    host_id: UserId
    max_participants: int
    expected_participants: int
    region: str
    settings: MeetingOptions
    starts_at: datetime | None
    duration_minutes: int | None
    created_at: datetime
    ended_at: datetime | None = Field(description="None while it is not over.")
    join_url: str = Field(examples=["https://meet.example.org/m/k7f-x2mq-9tb"])


class CreatedMeeting(MeetingView):
    """A new meeting, with the host's way in."""

    meeting_token: str = Field(description="The host's, for this meeting alone.")


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

    meeting_token: str
    user_id: UserId
    role: Role
    expires_at: datetime
    join_url: str = Field(
        description="With the token in the fragment, which browsers send to nobody.",
        examples=["https://meet.example.org/m/k7f-x2mq-9tb#token=eyJ..."],
    )


router = APIRouter(prefix="/api/v1/meetings", tags=["meetings"])


@router.post("", status_code=201, responses=documented(401, 403, 422, 503))
async def create_meeting(services: Services, caller: Caller, new: NewMeeting) -> CreatedMeeting:
    """Makes a meeting whose host is the caller."""
    if caller.kind != "access":
        raise AccessDenied("a meeting token opens one meeting and makes none: send an access token")
    now, defaults = time.time(), services.settings.meeting
    meeting = Meeting(
        id=new_meeting_id(),
        display_name=new.display_name,
        host_id=caller.user_id,
        max_participants=new.max_participants or defaults.max_participants,
        expected_participants=new.expected_participants,
        region=defaults.region if new.region is None else new.region,
        default_role=new.settings.default_role,
        starts_at=new.starts_at.timestamp() if new.starts_at else None,
        duration_minutes=new.duration_minutes,
        created_at=now,
        ended_at=None,
    )
    await services.records.create(meeting)
    _log.info("meeting_created", meeting_id=meeting.id, user_id=caller.user_id)
    expires_at = meeting_token_expiry(meeting, now)
    token = services.tokens.meeting(meeting.id, caller, Role.HOST, expires_at=expires_at)
    return CreatedMeeting(**_view(services, meeting).model_dump(), meeting_token=token)


@router.get("/{meeting_id}", responses=documented(401, 404, 503))
async def read_meeting(services: Services, meeting: ReadableMeeting) -> MeetingView:
    """A meeting, over or not; a meeting token reads its own alone."""
    return _view(services, meeting)


@router.post("/{meeting_id}/end", responses=documented(401, 403, 404, 503))
async def end_meeting(services: Services, caller: Caller, meeting: HostedMeeting) -> MeetingView:
    """Ends a meeting for all; one that is over stays as it is."""
    ended = await services.records.end(meeting.id, now=time.time())
    if await services.placement.end(meeting.id, "ended_by_host"):
        _log.info("meeting_ended", meeting_id=meeting.id, user_id=caller.user_id)
    return _view(services, ended or meeting)


@router.post(
    "/{meeting_id}/tokens", status_code=201, responses=documented(401, 403, 404, 410, 422, 503)
)
async def create_meeting_token(
    services: Services, caller: Caller, meeting: HostedMeeting, new: NewMeetingToken
) -> MeetingToken:
    """A token and a link for somebody else, until an hour after the meeting's end."""
    if meeting.ended_at is not None:
        raise MeetingEnded("the meeting is over")
    user_id = new.user_id or UserId(f"guest-{secrets.token_hex(8)}")
    role = new.role or meeting.default_role
    expires_at = int(meeting_token_expiry(meeting, time.time()))
    person = User(user_id=user_id, user_name=new.display_name)
    token = services.tokens.meeting(meeting.id, person, role, expires_at=expires_at)
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
        join_url=f"{_join_url(services, meeting.id)}#token={token}",
    )


def _view(services: Services, meeting: Meeting) -> MeetingView:
    return MeetingView(
        id=meeting.id,
        display_name=meeting.display_name,
        host_id=meeting.host_id,
        max_participants=meeting.max_participants,
        expected_participants=meeting.expected_participants,
        region=meeting.region,
        settings=MeetingOptions.model_validate({"default_role": meeting.default_role}),
        starts_at=_time(meeting.starts_at),
        duration_minutes=meeting.duration_minutes,
        created_at=datetime.fromtimestamp(meeting.created_at, UTC),
        ended_at=_time(meeting.ended_at),
        join_url=_join_url(services, meeting.id),
    )


def _join_url(services: Services, meeting_id: MeetingId) -> str:
    return f"{services.settings.http.public_url.rstrip('/')}/m/{quote(meeting_id, safe='')}"


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
