"""Declared meetings, for the operator: registered, listed, ended (`kcs_contracts.internal_api`).

Not part of the public API: the ingress routes nothing below `/internal/`, and whoever reaches it
must show the key of `KCS_INTERNAL__KEY`. What is registered is a meeting like those that people
make; its id comes from the operator, so that asking again registers nothing twice.
"""

import hmac
import time
from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import SecretStr

from kcs_contracts.ids import MeetingId, MeetingIdText, UserId
from kcs_contracts.internal_api import (
    MAX_PAGE,
    MEETINGS_PATH,
    DeclaredMeeting,
    DeclaredPage,
    Namespace,
    Registered,
    Registration,
)
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied, MeetingNotFound, SignalingError
from kcs_signaling.http.audit import note
from kcs_signaling.http.meeting_models import time_of
from kcs_signaling.http.meetings import tell_room
from kcs_signaling.http.needs import RestServices, Services
from kcs_signaling.http.paging import Cursor
from kcs_signaling.metrics import MEETINGS_CREATED
from kcs_signaling.ports import Meeting
from kcs_signaling.records.declarations import Declared
from kcs_signaling.tokens import BadToken, User, meeting_token_expiry

OPERATOR = User(user_id=UserId("kcs-operator"), user_name="")
"""Who did it, in the audit log."""
OPEN_END_S = 7 * 24 * 3600
"""How long the host's token of a declared meeting without a schedule is good; the operator has it
renewed."""

_log = structlog.get_logger()


class NotConfigured(SignalingError):
    """There is no key, so nobody can show it."""

    code = "NOT_CONFIGURED"


async def _operator(services: Services, request: Request) -> None:
    """The operator's key, compared in constant time.

    Raises:
        NotConfigured: this service has none.
        BadToken: the request has another, or none.
    """
    key = services.settings.internal.key
    if key is None:
        raise NotConfigured("declared meetings need a key: set KCS_INTERNAL__KEY on signaling")
    said = request.headers.get("authorization", "")
    wanted = f"Bearer {key.get_secret_value()}"
    if not hmac.compare_digest(said.encode(), wanted.encode()):
        raise BadToken("the key is not the one of KCS_INTERNAL__KEY")


router = APIRouter(prefix=MEETINGS_PATH, dependencies=[Depends(_operator)], include_in_schema=False)


@router.put("/{meeting_id}")
async def register(
    services: Services, meeting_id: MeetingIdText, wanted: Registration, response: Response
) -> Registered:
    """Registers a declared meeting, or changes it; 201 when it was not there.

    One that is over stays as it is, and the answer says when it ended.
    """
    if ":" in meeting_id:
        raise AccessDenied("that is the id of a breakout room")
    declarations = services.records.declarations
    meeting = _meeting(meeting_id, wanted)
    done = await declarations.declare(meeting, namespace=wanted.namespace, name=wanted.name)
    await _tell(services, done)
    if done.news:
        await tell_room(services, done.meeting)
        await declarations.told(meeting_id, meeting.settings)
    if done.created:
        response.status_code = 201
    return _registered(services, done)


@router.delete("/{meeting_id}", status_code=204)
async def end(services: Services, meeting_id: MeetingIdText, namespace: Namespace) -> None:
    """Ends a declared meeting for all; what is on record of it stays. Again: nothing more."""
    records = services.records
    if not await records.declarations.declared(meeting_id, namespace):
        return
    before = await records.meetings.read(meeting_id)
    again = before is None or before.ended_at is not None
    now = time.time()
    await records.meetings.end(meeting_id, now=now)
    await services.endings.end_live(meeting_id, "deleted", again=again)
    if not again:
        records.journal.ended(meeting_id, now)
        await note(services, "meeting.ended", OPERATOR, meeting_id=meeting_id)
    # last: until then it stands in the list, and the operator asks again
    await records.declarations.forget(meeting_id)


@router.get("")
async def declared(
    services: Services,
    namespace: Namespace,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
) -> DeclaredPage:
    """The declared meetings of a namespace that its operator has not ended, by id."""
    found = await services.records.declarations.of_namespace(namespace, after=cursor, limit=limit)
    items = tuple(
        DeclaredMeeting(
            id=each.meeting_id,
            name=each.name,
            ended_at=time_of(each.ended_at),
            join_url=services.inviting.plain_link(each.meeting_id),
        )
        for each in found.items
    )
    return DeclaredPage(items=items, next=found.next)


def _meeting(meeting_id: MeetingId, wanted: Registration) -> Meeting:
    return Meeting(
        id=meeting_id,
        display_name=wanted.display_name,
        host_id=wanted.host_id,
        max_participants=wanted.max_participants,
        expected_participants=wanted.expected_participants,
        region=wanted.region,
        default_role=Role.PRESENTER,
        starts_at=wanted.starts_at.timestamp() if wanted.starts_at else None,
        duration_minutes=wanted.duration_minutes,
        created_at=time.time(),
        ended_at=None,
        settings=wanted.settings.model_dump(exclude_unset=True),
        pool=wanted.pool,
    )


async def _tell(services: RestServices, done: Declared) -> None:
    """The audit log and the metrics."""
    meeting_id = done.meeting.id
    if done.created:
        MEETINGS_CREATED.inc()
        await note(services, "meeting.created", OPERATOR, meeting_id=meeting_id)
        _log.info("meeting_declared", meeting_id=meeting_id)
    elif done.changed:
        details = {"fields": sorted(done.changed)}
        await note(services, "meeting.changed", OPERATOR, meeting_id=meeting_id, details=details)
        _log.info("meeting_changed", meeting_id=meeting_id)


def _registered(services: RestServices, done: Declared) -> Registered:
    meeting = done.meeting
    if not meeting.host_id:
        raise MeetingNotFound("the meeting's host was erased, and the meeting with them")
    host = User(user_id=meeting.host_id, user_name=meeting.host_id)
    now = time.time()
    expires_at = meeting_token_expiry(meeting, now)
    if meeting.starts_at is None:
        expires_at = now + OPEN_END_S
    token, link = services.inviting.link(meeting.id, host, Role.HOST, expires_at)
    return Registered(
        id=meeting.id,
        created=done.created,
        ended_at=time_of(meeting.ended_at),
        join_url=services.inviting.plain_link(meeting.id),
        host_token=SecretStr(token),
        host_url=SecretStr(link),
        host_token_expires_at=datetime.fromtimestamp(int(expires_at), UTC),
    )
