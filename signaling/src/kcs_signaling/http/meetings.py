"""Meetings over REST: create, list, read, change, end, delete.

Records come first, placement second: a meeting whose end placement could not be told is asked
for again by the caller, and both steps bear to be made twice.
"""

import hashlib
import time
from contextlib import suppress
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Request, Response

from kcs_contracts.ids import new_meeting_id
from kcs_contracts.limits import Limit as RateLimit
from kcs_contracts.rooms import Role
from kcs_signaling.errors import MeetingEnded, MeetingNotFound
from kcs_signaling.http.audit import note
from kcs_signaling.http.meeting_models import (
    CreatedMeeting,
    MeetingChanges,
    MeetingView,
    NewMeeting,
    view_of,
)
from kcs_signaling.http.needs import (
    Caller,
    ChangedMeeting,
    ClientAddress,
    Person,
    ReadableMeeting,
    RestServices,
    Services,
)
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import (
    PreconditionFailed,
    PreconditionRequired,
    documented,
    with_header,
)
from kcs_signaling.identity import Identity
from kcs_signaling.metrics import MEETINGS_CREATED
from kcs_signaling.ports import Meeting
from kcs_signaling.records.meetings import Once
from kcs_signaling.service.people import put_in_force
from kcs_signaling.tokens import meeting_token_expiry

_log = structlog.get_logger()

CREATIONS = RateLimit(count=100, per_seconds=60)
"""Meetings that one user makes; whoever enters a term's timetable waits now and then."""

_ETAG = with_header("ETag", "The meeting's version, for `If-Match`.", '"3"')

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your own: the same request with it within 24 h makes no second "
        "meeting, and answers with the first one.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(max_length=200, description="The ETag of the meeting as you read it.", examples=['"3"']),
]

router = APIRouter(prefix="/api/v1/meetings", tags=["meetings"])


@router.post("", status_code=201, responses={201: _ETAG, **documented(401, 403, 422, 429, 503)})
async def create_meeting(
    services: Services,
    caller: Person,
    address: ClientAddress,
    request: Request,
    response: Response,
    new: NewMeeting,
    idempotency_key: IdempotencyKey = None,
) -> CreatedMeeting:
    """Makes a meeting whose host is the caller."""
    await services.limits.check("create_meeting", CREATIONS, who=caller.user_id, address=address)
    once = None
    if idempotency_key is not None:
        body = hashlib.sha256(await request.body()).hexdigest()
        once = Once(user_id=caller.user_id, key=idempotency_key, fingerprint=body)
    asked = _new_meeting(services, caller, new)
    meeting = await services.records.meetings.create(asked, once=once)
    if meeting.id == asked.id:
        MEETINGS_CREATED.inc()
        await note(services, "meeting.created", caller, meeting_id=meeting.id)
        _log.info("meeting_created", meeting_id=meeting.id, user_id=caller.user_id)
    expires_at = meeting_token_expiry(meeting, time.time())
    token = services.tokens.meeting(meeting.id, caller, Role.HOST, expires_at=expires_at)
    view = _shown(services, response, meeting)
    return CreatedMeeting(**view.model_dump(), meeting_token=token)


@router.get("", responses=documented(401, 403, 422, 429, 503))
async def list_meetings(
    services: Services, caller: Person, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[MeetingView]:
    """The caller's own meetings, over or not, the newest first."""
    page = await services.records.meetings.of_host(caller.user_id, after=cursor, limit=limit)
    return page_of(lambda meeting: view_of(services, meeting), page)


@router.get("/{meeting_id}", responses={200: _ETAG, **documented(401, 403, 404, 429, 503)})
async def read_meeting(
    services: Services, meeting: ReadableMeeting, response: Response
) -> MeetingView:
    """A meeting, over or not; a meeting token reads its own alone."""
    return _shown(services, response, meeting)


@router.patch(
    "/{meeting_id}",
    responses={200: _ETAG, **documented(401, 403, 404, 410, 412, 422, 428, 429, 503)},
)
async def change_meeting(
    services: Services,
    caller: Caller,
    meeting: ChangedMeeting,
    changes: MeetingChanges,
    response: Response,
    if_match: IfMatch = None,
) -> MeetingView:
    """Changes a meeting that is not over, unless somebody else has changed it meanwhile.

    `If-Match` must hold the ETag that was read (or `*`, for whatever is there now). Asked again
    where the answer did not come, with the old ETag: a change that was made is not made twice, and
    the meeting that runs is told again. People who are in the meeting stay, whatever
    `max_participants` says then.
    """
    if if_match is None:
        raise PreconditionRequired("send If-Match with the ETag of the meeting as you read it")
    if meeting.ended_at is not None:
        raise MeetingEnded("the meeting is over")
    values = changes.values()
    if "settings" in values:
        values["settings"] = meeting.settings | values["settings"]
    if _matches(if_match, meeting):
        meeting = await _changed(services, caller, meeting, values)
    elif not values or values != {name: getattr(meeting, name) for name in values}:
        raise _changed_meanwhile()
    if "settings" in values:
        await tell_room(services, meeting)
    return _shown(services, response, meeting)


@router.delete("/{meeting_id}", status_code=204, responses=documented(401, 403, 404, 429, 503))
async def delete_meeting(services: Services, caller: Caller, meeting: ChangedMeeting) -> None:
    """Ends a meeting for all and removes it from the records, with its chat and statistics."""
    # first: with no record, nobody could ask
    await services.endings.end_live(meeting.id, "deleted", again=meeting.ended_at is not None)
    if await services.records.meetings.delete(meeting.id):
        await note(services, "meeting.deleted", caller, meeting_id=meeting.id)
        _log.info("meeting_deleted", meeting_id=meeting.id, user_id=caller.user_id)


@router.post("/{meeting_id}/end", responses={200: _ETAG, **documented(401, 403, 404, 429, 503)})
async def end_meeting(
    services: Services, caller: Caller, meeting: ChangedMeeting, response: Response
) -> MeetingView:
    """Ends a meeting and its breakout rooms for all; one that is over stays as it is."""
    ended = await services.records.meetings.end(meeting.id, now=time.time())
    if ended is None:
        raise MeetingNotFound("there is no such meeting")  # deleted meanwhile
    again = meeting.ended_at is not None
    if not again:
        await note(services, "meeting.ended", caller, meeting_id=meeting.id)
    await services.endings.end_live(meeting.id, "ended_by_host", again=again)
    services.records.journal.ended(meeting.id, ended.ended_at or time.time())
    return _shown(services, response, ended)


async def _changed(
    services: RestServices, caller: Identity, meeting: Meeting, values: dict[str, Any]
) -> Meeting:
    if not values:
        return meeting
    changed = await services.records.meetings.change(meeting.id, meeting.version, **values)
    if changed is None:
        raise _changed_meanwhile()
    details = {"fields": sorted(values)}
    await note(services, "meeting.changed", caller, meeting_id=meeting.id, details=details)
    _log.info("meeting_changed", meeting_id=meeting.id, user_id=caller.user_id)
    return changed


def _changed_meanwhile() -> PreconditionFailed:
    return PreconditionFailed("the meeting has changed since you read it: read it again")


async def tell_room(services: RestServices, meeting: Meeting) -> None:
    """Its settings are in force where it runs; a meeting that nobody has begun reads them from the
    record when they do."""
    if await services.placement.assignment(meeting.id) is None:
        return
    with suppress(MeetingEnded):
        await put_in_force(services.placement, services.records, meeting)


def _new_meeting(services: Services, caller: Identity, new: NewMeeting) -> Meeting:
    defaults = services.settings.meeting
    return Meeting(
        id=new_meeting_id(),
        display_name=new.display_name,
        host_id=caller.user_id,
        max_participants=new.max_participants or defaults.max_participants,
        expected_participants=new.expected_participants,
        region=defaults.region if new.region is None else new.region,
        default_role=new.settings.default_role,
        starts_at=new.starts_at.timestamp() if new.starts_at else None,
        duration_minutes=new.duration_minutes,
        created_at=time.time(),
        ended_at=None,
        settings=new.settings.said(),
    )


def _shown(services: Services, response: Response, meeting: Meeting) -> MeetingView:
    response.headers["ETag"] = _etag(meeting)
    return view_of(services, meeting)


def _etag(meeting: Meeting) -> str:
    return f'"{meeting.version}"'


def _matches(if_match: str, meeting: Meeting) -> bool:
    """RFC 9110, 13.1.1: any of the list, by strong comparison, or `*`."""
    return any(each.strip() in ("*", _etag(meeting)) for each in if_match.split(","))
