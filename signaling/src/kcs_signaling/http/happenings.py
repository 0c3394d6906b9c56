"""What happens and happened in a meeting, over REST: who is in it, how it went."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import Field

from kcs_contracts.ids import ParticipantId, UserId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.http.needs import HostedMeeting, Services
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import documented
from kcs_signaling.records.paging import BadCursor
from kcs_signaling.records.stats import Measure, StatsMinute

_ERRORS = documented(401, 403, 404, 422, 429, 503)


class ParticipantView(Contract):
    """Somebody who is in the meeting now."""

    id: ParticipantId = Field(examples=["ada"])
    display_name: str = Field(examples=["Ada Lovelace"])
    role: Role
    joined_at: datetime
    audio_enabled: bool
    video_enabled: bool
    screen_sharing: bool


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


def _minute(row: StatsMinute) -> MinuteView:
    values = dict(row) | {"minute": datetime.fromtimestamp(row.minute, UTC)}
    del values["meeting_id"]
    return MinuteView(**values)
