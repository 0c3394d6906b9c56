"""What REST needs of the service, and the dependencies that its routes name."""

from typing import Annotated, Protocol

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId, MeetingIdText, ParticipantId
from kcs_contracts.limits import Limit
from kcs_contracts.placement import Known, Placement
from kcs_contracts.rooms import Role
from kcs_signaling.adapters.addresses import client_address
from kcs_signaling.errors import AccessDenied, MeetingNotFound
from kcs_signaling.identity import Identity
from kcs_signaling.ports import Meeting, NodeControl
from kcs_signaling.records import Records
from kcs_signaling.records.breakouts import with_breakouts
from kcs_signaling.service.endings import Endings
from kcs_signaling.service.entry import main_of
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

MeetingIdInPath = Annotated[str, Path(description="A meeting's id.", examples=["k7f-x2mq-9tb"])]
_MEETING_ID: TypeAdapter[MeetingId] = TypeAdapter(MeetingIdText)
_BEARER = HTTPBearer(
    bearerFormat="JWT", description="An access or meeting token.", auto_error=False
)


REQUESTS = Limit(count=300, per_seconds=60)
"""All that somebody asks with a token, reads above all; some has a limit of its own besides."""


async def _caller(
    services: Services,
    address: ClientAddress,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> Identity:
    if credentials is None:
        raise BadToken("send a token: Authorization: Bearer <token>")
    caller = services.tokens.verify(credentials.credentials)
    await services.limits.check("request", REQUESTS, who=caller.user_id, address=address)
    return caller


Caller = Annotated[Identity, Depends(_caller)]
"""The bearer of the request's token; 401 without a valid one, 429 when they ask too often."""


async def _person(caller: Caller) -> Identity:
    if caller.kind != "access":
        raise AccessDenied("a meeting token opens one meeting and nothing else: log in for this")
    return caller


Person = Annotated[Identity, Depends(_person)]
"""The bearer of an access token; 403 for a meeting token."""


async def _found(
    services: Services,
    caller: Caller,
    meeting_id: MeetingIdInPath,
) -> Meeting:
    # A meeting that the token is not for looks the same as one that is not there.
    known, main_id = None, _main_id(meeting_id)
    if main_id is not None and caller.meeting_id in (None, main_id):
        known = await services.records.meetings.read(main_id)
    if known is None:
        raise _nowhere()
    return known


def _main_id(text: str) -> MeetingId | None:
    """The meeting's id, or that of the one which it is a breakout room of; None: it is no id."""
    try:
        valid = _MEETING_ID.validate_python(text)
    except ValidationError:
        return None  # PostgreSQL, for one, cannot be asked for every text
    main_id = main_of(valid) or valid
    return main_id if valid in with_breakouts([main_id]) else None


def _nowhere() -> MeetingNotFound:
    return MeetingNotFound("there is no such meeting")


FoundMeeting = Annotated[Meeting, Depends(_found)]
"""The meeting in the path, or the one that has the breakout room in the path, whatever became of
the caller there."""


async def _known_there(services: Services, caller: Caller, meeting: FoundMeeting) -> Known | None:
    is_theirs = caller.user_id == meeting.host_id
    if meeting.ended_at is not None or (is_theirs and is_host(caller, meeting)):
        return None
    known = await services.placement.person(meeting.id, ParticipantId(caller.user_id))
    if known.removed and not is_theirs:
        raise AccessDenied("a host removed you from the meeting")
    return known


KnownThere = Annotated[Known | None, Depends(_known_there)]
"""The caller as the meeting that runs knows them; 403 for whoever was removed from it. None where
nobody asks: it is over, and knows nobody any more, or they are its host, whom nobody shuts out."""


async def _readable(meeting: FoundMeeting, meeting_id: MeetingIdInPath, _: KnownThere) -> Meeting:
    if meeting_id != meeting.id:
        raise _nowhere()  # a breakout room has no record of its own
    return meeting


ReadableMeeting = Annotated[Meeting, Depends(_readable)]
"""The meeting in the path: anybody's with an access token, else the meeting token's own; 403 for
whoever was removed from it."""


def is_host(caller: Identity, meeting: Meeting) -> bool:
    """Whether the caller is a host of the meeting; the meeting is known to be readable.

    Once it is over, its token alone makes nobody host: they may have been removed meanwhile.
    """
    is_theirs = caller.user_id == meeting.host_id
    if caller.kind == "meeting":
        return caller.role is Role.HOST and (is_theirs or meeting.ended_at is None)
    return is_theirs


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
