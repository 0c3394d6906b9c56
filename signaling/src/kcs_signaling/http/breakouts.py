"""Breakout rooms over REST: which there are, and who belongs where. They are run in the meeting."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import Field

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.models import Contract
from kcs_contracts.rooms import BreakoutRoom, Breakouts
from kcs_signaling.http.needs import HostedMeeting, Services
from kcs_signaling.http.problems import documented

router = APIRouter(prefix="/api/v1/meetings/{meeting_id}/breakouts", tags=["what happened"])


class BreakoutsView(Contract):
    """The breakout rooms of a meeting, as they are now."""

    open: bool = Field(description="Whether people may go into them.")
    choose: bool = Field(description="Whether people choose their room themselves.")
    rooms: list[BreakoutRoom] = Field(examples=[[{"id": "k7f-x2mq-9tb:1", "name": "Room 1"}]])
    assignments: dict[ParticipantId, MeetingId] = Field(
        description="Who belongs into which room.", examples=[{"ada": "k7f-x2mq-9tb:1"}]
    )
    closes_at: datetime | None = Field(description="null: when a host closes them.")


@router.get("", responses=documented(401, 403, 404, 429, 503))
async def read_breakouts(services: Services, meeting: HostedMeeting) -> BreakoutsView:
    """A meeting's breakout rooms; without any, `rooms` is empty."""
    found = await services.placement.breakouts(meeting.id) or Breakouts(rooms=())
    closes_at = found.closes_at_ms and datetime.fromtimestamp(found.closes_at_ms / 1000, UTC)
    return BreakoutsView(
        open=found.open,
        choose=found.choose,
        rooms=list(found.rooms),
        assignments=found.assignments,
        closes_at=closes_at or None,
    )
