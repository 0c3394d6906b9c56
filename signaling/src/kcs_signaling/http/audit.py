"""The audit log over REST: what was done with the caller's meetings, and the way to write it."""

import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from kcs_contracts.ids import MeetingId, MeetingIdText, UserId
from kcs_contracts.models import Contract, JsonObject
from kcs_signaling.errors import MeetingNotFound
from kcs_signaling.http.needs import Person, RestServices, Services
from kcs_signaling.http.paging import DEFAULT_LIMIT, Cursor, Limit, Page, page_of
from kcs_signaling.http.problems import documented
from kcs_signaling.records.audit import AuditEntry
from kcs_signaling.tokens import Person as Actor

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


class AuditView(Contract):
    """One thing that was done."""

    seq: int = Field(description="Its place in the log of the whole installation.", examples=[17])
    at: datetime
    action: str = Field(examples=["meeting.created"])
    actor: UserId | None = Field(description="Who did it; null: a person who was erased.")
    subject: UserId | None = Field(description="Whom it was done to, if anybody who is known.")
    meeting_id: MeetingId | None
    details: JsonObject = Field(examples=[{"fields": ["starts_at"]}])
    hash: str = Field(description="SHA-256 over this entry and the hash of the one before it.")


async def note(
    services: RestServices,
    action: str,
    actor: Actor,
    *,
    meeting_id: MeetingId | None = None,
    subject: UserId | None = None,
    details: JsonObject | None = None,
) -> None:
    """Writes an entry; `details` must hold nothing that names a person.

    Raises:
        Unavailable: the database does not answer; the caller answers so too.
    """
    await services.records.audit.write(
        action,
        at=time.time(),
        actor=actor.user_id,
        subject=subject,
        meeting_id=meeting_id,
        details=details,
    )


@router.get("", responses=documented(401, 403, 404, 422, 429, 503))
async def read_audit(
    services: Services,
    caller: Person,
    meeting_id: Annotated[
        MeetingIdText | None, Query(description="Of one meeting; left out: of all that you host.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[AuditView]:
    """What was done with the meetings that the caller hosts, the newest first."""
    audit = services.records.audit
    if meeting_id is None:
        page = await audit.of_host(caller.user_id, after=cursor, limit=limit)
        return page_of(_view, page)
    meeting = await services.records.meetings.read(meeting_id)
    if meeting is None or meeting.host_id != caller.user_id:
        raise MeetingNotFound("you host no such meeting")
    return page_of(_view, await audit.of_meeting(meeting_id, after=cursor, limit=limit))


def _view(entry: AuditEntry) -> AuditView:
    return AuditView(
        seq=entry.seq,
        at=datetime.fromtimestamp(entry.at, UTC),
        action=entry.action,
        actor=entry.actor,
        subject=entry.subject,
        meeting_id=entry.meeting_id,
        details=entry.details or {},
        hash=entry.hash,
    )
