"""Detailed logs of one meeting for a while, for whoever looks into what is wrong with it."""

import time
from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from kcs_contracts.models import Contract
from kcs_contracts.placement import MeetingIsOver
from kcs_contracts.rooms import Breakouts
from kcs_signaling.errors import InvalidRequest, MeetingEnded
from kcs_signaling.http.audit import note
from kcs_signaling.http.needs import Caller, ChangedMeeting, Services
from kcs_signaling.http.problems import documented


class DebugRequest(Contract):
    """Whether to log in detail, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"enabled": True, "minutes": 30}, {"enabled": False}]}
    )

    enabled: bool
    minutes: int = Field(30, ge=1, le=240, description="With `enabled`.")


class DebugView(Contract):
    """Until when the meeting is logged in detail."""

    enabled: bool
    until: datetime | None = Field(description="null when it is not.")


router = APIRouter(prefix="/api/v1/meetings/{meeting_id}/debug", tags=["operations"])


@router.put("", responses=documented(400, 401, 403, 404, 410, 422, 429, 503))
async def debug_meeting(
    services: Services, caller: Caller, meeting: ChangedMeeting, request: DebugRequest
) -> DebugView:
    """Logs in detail what signaling and the media server do for this meeting and its breakout
    rooms, those that open later too, or stops that.

    The lines name nobody and hold no message's text. The meeting must have begun.
    """
    if meeting.ended_at is not None:
        raise MeetingEnded("the meeting is over")
    if await services.placement.assignment(meeting.id) is None:
        raise InvalidRequest("nobody has begun the meeting: there is nothing to log")
    until_ms = int((time.time() + request.minutes * 60) * 1000) if request.enabled else 0
    try:
        breakouts = await services.placement.breakouts(meeting.id) or Breakouts(rooms=())
        for meeting_id in (meeting.id, *(room.id for room in breakouts.rooms)):
            await services.placement.set_debug(meeting_id, until_ms)
    except MeetingIsOver:
        raise MeetingEnded("the meeting is over") from None
    details = {"enabled": request.enabled, "minutes": request.minutes}
    await note(services, "meeting.debugged", caller, meeting_id=meeting.id, details=details)
    until = datetime.fromtimestamp(until_ms / 1000, UTC) if until_ms else None
    return DebugView(enabled=request.enabled, until=until)
