"""What a person may ask about themselves over REST: a copy of their records, and erasure."""

from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field

from kcs_contracts.ids import UserId
from kcs_contracts.limits import Limit
from kcs_contracts.models import Contract, JsonObject
from kcs_signaling.http.audit import note
from kcs_signaling.http.erasure import erase
from kcs_signaling.http.needs import ClientAddress, Person, Services
from kcs_signaling.http.problems import documented, with_header
from kcs_signaling.identity import Identity
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()

WHOLE_RECORDS = Limit(count=10, per_seconds=3600)
"""Exports, and erasures, of one person: each looks through all tables, an erasure through all of
Redis, too."""
WHOLE_RECORDS_ADDRESS_FACTOR = 10


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


@router.get("/export", responses={200: _DOWNLOAD, **documented(401, 403, 429, 503)})
async def export_me(
    services: Services, caller: Person, address: ClientAddress, response: Response
) -> Export:
    """All that the records hold of the caller."""
    await _check_limit(services, "export_me", caller, address)
    found = await services.records.persons.export(caller.user_id, email=caller.email)
    await note(services, "person.exported", caller)
    _log.info("person_exported", user_id=caller.user_id)
    response.headers["Content-Disposition"] = 'attachment; filename="kcs-meetings-export.json"'
    return Export(user_id=caller.user_id, exported_at=datetime.now(UTC), tables=found["tables"])


@router.delete("", responses=documented(401, 403, 429, 503))
async def erase_me(
    services: Services, request: Request, caller: Person, address: ClientAddress
) -> Erasure:
    """Erases the caller from the records and from all else, and out of the meetings they are in.

    Meetings that they host end for all. Their logins end; an access token that is out runs out by
    itself, within minutes. Asking again does no harm.
    """
    await _check_limit(services, "erase_me", caller, address)
    nodes: RoomNodes = request.app.state.nodes
    erased = await erase(services, nodes, caller)
    _log.info("person_erased", rows=sum(erased.counts.values()))
    return Erasure(rows=erased.counts)


async def _check_limit(services: Services, event: str, caller: Identity, address: str) -> None:
    await services.limits.check(
        event,
        WHOLE_RECORDS,
        who=caller.user_id,
        address=address,
        address_factor=WHOLE_RECORDS_ADDRESS_FACTOR,
    )
