"""What happens and happened in a meeting, over REST: who is in it, what was said, how it went."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from kcs_contracts.ids import ParticipantId, UserId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.http.meeting_models import time_of
from kcs_signaling.http.needs import Caller, HostedMeeting, Services
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import documented
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.records.paging import BadCursor
from kcs_signaling.records.stats import Measure, StatsMinute

_ERRORS = documented(401, 403, 404, 422, 503)


class ParticipantView(Contract):
    """Somebody who is in the meeting now."""

    id: ParticipantId = Field(examples=["ada"])
    display_name: str = Field(examples=["Ada Lovelace"])
    role: Role
    joined_at: datetime
    audio_enabled: bool
    video_enabled: bool
    screen_sharing: bool


class MessageView(Contract):
    """A chat message; a deleted one has no text."""

    id: str = Field(examples=["5d2c1f0e"])
    sender_id: UserId = Field(examples=["ada"])
    sender_name: str = Field(examples=["Ada Lovelace"])
    text: str = Field(examples=["Hello"])
    reply_to: str | None = Field(description="The id of another message.")
    recipient_type: Literal["all", "host", "private"]
    recipient_id: UserId | None = Field(description="With `private`.")
    at: datetime
    deleted_at: datetime | None


class MinuteView(Contract):
    """A participant's connection in one minute."""

    user_id: UserId | None = Field(description="null once it is anonymised.", examples=["ada"])
    minute: datetime
    samples: int = Field(examples=[12])
    rtt_ms: Measure
    jitter_ms: Measure
    loss_percent: Measure
    bitrate_bps: Measure


router = APIRouter(prefix="/api/v1/meetings/{meeting_id}", tags=["what happened"])


@router.get("/participants", responses=_ERRORS)
async def list_participants(
    services: Services, meeting: HostedMeeting, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ParticipantView]:
    """Who is in the meeting now, in the order in which they came."""
    people = (await services.placement.snapshot(meeting.id)).participants
    if cursor is not None:
        after = _place_in(cursor)
        people = tuple(person for person in people if _place(person) > after)
    shown = people[:limit]
    more = f"{shown[-1].joined_at_ms}.{shown[-1].id}" if len(people) > limit else None
    return Page(items=[_participant(person) for person in shown], next=more)


@router.get("/chat", responses=_ERRORS)
async def read_chat(
    services: Services,
    caller: Caller,
    meeting: HostedMeeting,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[MessageView]:
    """What was said to all, to the hosts, and to or by the caller; the newest first."""
    page = await services.records.chat.history(
        meeting.id, caller.user_id, is_host=True, after=cursor, limit=limit
    )
    return page_of(_message, page)


@router.get("/stats", responses=_ERRORS)
async def read_stats(
    services: Services, meeting: HostedMeeting, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[MinuteView]:
    """How people's connections were, by participant and minute; the oldest first."""
    page = await services.records.stats.of_meeting(meeting.id, after=cursor, limit=limit)
    return page_of(_minute, page)


def _place(person: Participant) -> tuple[int, str]:
    return person.joined_at_ms, person.id


def _place_in(cursor: str) -> tuple[int, str]:
    joined, _, who = cursor.partition(".")
    try:
        return int(joined), who
    except ValueError:
        raise BadCursor("the cursor is not one of this list: begin without it") from None


def _participant(person: Participant) -> ParticipantView:
    return ParticipantView(
        id=person.id,
        display_name=person.display_name,
        role=person.role,
        joined_at=datetime.fromtimestamp(person.joined_at_ms / 1000, UTC),
        audio_enabled=person.audio_enabled,
        video_enabled=person.video_enabled,
        screen_sharing=person.screen_sharing,
    )


def _message(message: ChatMessage) -> MessageView:
    said = message.model_dump(exclude={"meeting_id", "at", "deleted_at"})
    at = datetime.fromtimestamp(message.at, UTC)
    return MessageView(**said, at=at, deleted_at=time_of(message.deleted_at))


def _minute(row: StatsMinute) -> MinuteView:
    values = dict(row) | {"minute": datetime.fromtimestamp(row.minute, UTC)}
    del values["meeting_id"]
    return MinuteView(**values)
