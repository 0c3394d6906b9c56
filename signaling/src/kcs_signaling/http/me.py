"""What a person may ask about themselves over REST: a copy of their records, and erasure."""

import secrets
import time
from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field

from kcs_contracts.ids import MeetingId, ParticipantId, SessionId, UserId
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.node_api import CloseParticipant
from kcs_contracts.placement import MeetingIsOver, Placement
from kcs_signaling.http.audit import note
from kcs_signaling.http.needs import Person, RestServices, Services
from kcs_signaling.http.problems import documented, with_header
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()


class Export(Contract):
    """All that is on record of a person; secrets such as password hashes are left out."""

    user_id: UserId = Field(examples=["ada"])
    exported_at: datetime
    tables: dict[str, list[JsonObject]] = Field(
        description="Rows by table.",
        examples=[{"meetings": [{"id": "k7f-x2mq-9tb", "display_name": "Lab meeting"}]}],
    )


class Erasure(Contract):
    """What was erased or made anonymous."""

    rows: dict[str, int] = Field(
        description="How many rows, by table.", examples=[{"chat_messages": 12, "sessions": 3}]
    )


router = APIRouter(prefix="/api/v1/me", tags=["me"])
_DOWNLOAD = with_header("Content-Disposition", "A file name to keep it under.", "attachment")


@router.get("/export", responses={200: _DOWNLOAD, **documented(401, 403, 503)})
async def export_me(services: Services, caller: Person, response: Response) -> Export:
    """All that the records hold of the caller."""
    found = await services.records.persons.export(caller.user_id, email=caller.email)
    await note(services, "person.exported", caller)
    _log.info("person_exported", user_id=caller.user_id)
    response.headers["Content-Disposition"] = 'attachment; filename="kcs-meetings-export.json"'
    return Export(user_id=caller.user_id, exported_at=datetime.now(UTC), tables=found["tables"])


@router.delete("", responses=documented(401, 403, 503))
async def erase_me(services: Services, request: Request, caller: Person) -> Erasure:
    """Erases the caller from the records, and takes them out of the meetings that they are in.

    Meetings that they host end for all. Their logins end; an access token that is out runs out by
    itself, within minutes. Asking again does no harm.
    """
    nodes: RoomNodes = request.app.state.nodes
    await _end_hosted(services, caller.user_id)
    await _take_out(services.placement, nodes, ParticipantId(caller.user_id))
    erased = await services.records.persons.erase(
        caller.user_id, email=caller.email, now=time.time()
    )
    _log.info("person_erased", rows=sum(erased.counts.values()))
    return Erasure(rows=erased.counts)


async def _end_hosted(services: RestServices, host: UserId) -> None:
    """Ends them where people are; that they are over is put on record by the erasure."""
    cursor: str | None = None
    while True:
        page = await services.records.meetings.of_host(host, after=cursor, limit=200)
        for meeting in page.items:
            if meeting.ended_at is None:
                await services.placement.end(meeting.id, "deleted")
        cursor = page.next
        if cursor is None:
            return


async def _take_out(placement: Placement, nodes: RoomNodes, who: ParticipantId) -> None:
    for meeting_id in await placement.meetings_of(who):
        people = (await placement.snapshot(meeting_id)).participants
        found = next((person for person in people if person.id == who), None)
        if found is None:
            continue
        # A session that replaces theirs makes their replica part with the socket for good: it
        # would take a mere absence for a loss of Redis, and put them back.
        session = SessionId(f"erased-{secrets.token_hex(8)}")
        replacing = found.model_copy(update={"session": session})
        try:
            await placement.join(meeting_id, replacing, limit=len(people))
        except MeetingIsOver:
            continue
        await placement.leave(meeting_id, who, session, "removed")
        await nodes.tell(MeetingId(meeting_id), CloseParticipant(participant_id=who))
