"""What REST needs of the service, and the dependencies that its routes name."""

from typing import Annotated, Protocol

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId, MeetingIdText
from kcs_contracts.limits import Limit
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_signaling.adapters.addresses import client_address
from kcs_signaling.errors import AccessDenied, MeetingNotFound
from kcs_signaling.identity import Identity
from kcs_signaling.ports import Meeting, NodeControl
from kcs_signaling.records import Records
from kcs_signaling.service.endings import Endings
from kcs_signaling.service.inviting import Inviting
from kcs_signaling.service.limits import Limiter
from kcs_signaling.settings import Settings
from kcs_signaling.tokens import BadToken, Tokens
from kcs_signaling.turn import Turn


class RestServices(Protocol):
    """The part of `kcs_signaling.services.Services` that REST uses."""

    @property
    def settings(self) -> Settings: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def records(self) -> Records: ...
    @property
    def placement(self) -> Placement: ...
    @property
    def redis(self) -> Redis: ...
    @property
    def nodes(self) -> NodeControl: ...
    @property
    def limits(self) -> Limiter: ...
    @property
    def inviting(self) -> Inviting: ...
    @property
    def endings(self) -> Endings: ...
    @property
    def turn(self) -> Turn: ...


def _services(request: Request) -> RestServices:
    services: RestServices = request.app.state.services
    return services


Services = Annotated[RestServices, Depends(_services)]


async def _address(services: Services, request: Request) -> str:
    return client_address(request.scope, services.settings.http.trusted_proxies)


ClientAddress = Annotated[str, Depends(_address)]
"""Where the request comes from, as limits count it."""

_MEETING_ID: TypeAdapter[MeetingId] = TypeAdapter(MeetingIdText)
_BEARER = HTTPBearer(
    bearerFormat="JWT", description="An access or meeting token.", auto_error=False
)


async def _caller(
    services: Services,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Identity:
    if credentials is None:
        raise BadToken("send a token: Authorization: Bearer <token>")
    return services.tokens.verify(credentials.credentials)


Caller = Annotated[Identity, Depends(_caller)]
"""The bearer of the request's token; 401 without a valid one."""


async def _person(caller: Caller) -> Identity:
    if caller.kind != "access":
        raise AccessDenied("a meeting token opens one meeting and nothing else: log in for this")
    return caller


Person = Annotated[Identity, Depends(_person)]
"""The bearer of an access token; 403 for a meeting token."""


async def _meeting(
    services: Services,
    caller: Caller,
    meeting_id: Annotated[str, Path(description="A meeting's id.", examples=["k7f-x2mq-9tb"])],
) -> Meeting:
    # A meeting that the token is not for looks the same as one that is not there.
    known = None
    if caller.kind == "access" or caller.meeting_id == meeting_id:
        known = await _known(services, meeting_id)
    if known is None:
        raise MeetingNotFound("there is no such meeting")
    return known


async def _known(services: RestServices, meeting_id: str) -> Meeting | None:
    try:
        valid = _MEETING_ID.validate_python(meeting_id)
    except ValidationError:
        return None  # PostgreSQL, for one, cannot be asked for every text
    return await services.records.meetings.read(valid)


ReadableMeeting = Annotated[Meeting, Depends(_meeting)]
"""The meeting in the path: anybody's with an access token, else the meeting token's own."""


def is_host(caller: Identity, meeting: Meeting) -> bool:
    """Whether the caller is a host of the meeting; the meeting is known to be readable."""
    if caller.kind == "meeting":
        return caller.role is Role.HOST
    return caller.user_id == meeting.host_id


async def _hosted(caller: Caller, meeting: ReadableMeeting) -> Meeting:
    if not is_host(caller, meeting):
        raise AccessDenied("only the host of the meeting may do this")
    return meeting


HostedMeeting = Annotated[Meeting, Depends(_hosted)]
"""The meeting in the path, where the caller is its host; 403 otherwise."""

CHANGES = Limit(count=120, per_seconds=60)
"""What a host does to meetings: each time goes on record for good."""


async def _changed(
    services: Services, caller: Caller, meeting: HostedMeeting, address: ClientAddress
) -> Meeting:
    await services.limits.check("change_meeting", CHANGES, who=caller.user_id, address=address)
    return meeting


ChangedMeeting = Annotated[Meeting, Depends(_changed)]
"""A `HostedMeeting` that the route changes or gives tokens for; 429 when that is too often."""
