"""Coming in, going out, the waiting room, and what holds for the meeting as a whole."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from kcs_contracts.ids import MeetingId, MeetingIdText, ParticipantId, ParticipantIdText, UserIdText
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol.declare import (
    CONTROL,
    ENTRANCE,
    ClientEvent,
    DisplayName,
    Payload,
    Reason,
    RoleText,
    ServerEvent,
    per_minute,
)
from kcs_contracts.protocol.roles import Action
from kcs_contracts.protocol.views import (
    BreakoutsView,
    IceServers,
    MediaMigrate,
    MediaPlane,
    MeetingNamed,
    Message,
    Person,
    SettingsView,
    Stream,
    Transport,
    WaitingPerson,
)
from kcs_contracts.rooms import Role

MAX_TOKEN_LENGTH = 4096
SHORT_MINUTE = per_minute(6)


class RoomCreate(Payload):
    meeting_id: MeetingIdText
    user_id: UserIdText | None = None
    role: RoleText | None = None


class RoomConfig(TypedDict):
    display_name: str
    max_participants: int
    default_role: Role


class RoomCreated(TypedDict):
    meeting_id: MeetingId
    room_id: MeetingId
    config: RoomConfig


class RoomJoin(RoomCreate):
    display_name: DisplayName | None = None
    transports: Annotated[tuple[Literal["send", "recv"], ...], Field(max_length=2)] = Field(
        default=(), strict=False
    )
    """Transports to be made at once, which spares a round trip."""
    since: Annotated[int, Field(ge=0)] | None = None
    """The `version` that the client had heard of before it lost its socket: what was said since is
    told again after the answer."""


class RoomJoined(IceServers):
    meeting_id: MeetingId
    user_id: ParticipantId
    display_name: str
    your_role: Role
    participants: list[Person]
    """By when they joined."""
    producers: list[Stream]
    """The others' streams."""
    rtp_capabilities: JsonObject
    transports: list[Transport]
    settings: SettingsView
    spotlight: ParticipantId | None
    layout: Literal["grid", "speaker", "presentation"] | None
    """A layout that a host chose for all."""
    waiting: list[WaitingPerson]
    """Empty for those who may not admit."""
    breakouts: BreakoutsView | None
    parent_id: MeetingId | None
    """The meeting that this breakout room belongs to."""
    recent_messages: list[Message]
    """The last ones that you may see, oldest first."""
    version: int
    resume_token: str
    """Join again with it when your token has expired."""
    resumed: bool
    media: MediaPlane
    moving: MediaMigrate | None
    """The meeting is moving to another media server: as `media:migrate`."""


class RoomWaiting(TypedDict):
    meeting_id: MeetingId
    waiting: Literal[True]


class RoomLeave(Payload):
    meeting_id: MeetingIdText
    user_id: UserIdText | None = None


class RoomNamed(Payload):
    meeting_id: MeetingIdText


class RoomLock(RoomNamed):
    locked: bool


class RoomLocked(TypedDict):
    meeting_id: MeetingId
    locked: bool


class SettingsChange(Payload):
    """Settings that change; those left out stay."""

    require_host_approval: bool | None = None
    allow_unmute_self: bool | None = None
    guest_chat: bool | None = None
    several_screens: bool | None = None
    host_succession: bool | None = None
    chat_history: bool | None = None


class RoomSettingsChange(RoomNamed):
    settings: SettingsChange


class SettingsChanged(TypedDict):
    meeting_id: MeetingId
    settings: SettingsView


class Admit(RoomNamed):
    target_user_ids: Annotated[tuple[ParticipantIdText, ...], Field(max_length=200)] = Field(
        default=(), strict=False
    )
    all: bool = False
    """Everybody who waits now."""

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.all == bool(self.target_user_ids):
            raise ValueError("name target_user_ids, or say all: true")
        return self


class Admitted(TypedDict):
    meeting_id: MeetingId
    user_ids: list[ParticipantId]


class Deny(RoomNamed):
    target_user_id: ParticipantIdText
    reason: Reason = ""


class Denied(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId


class AuthRefresh(Payload):
    token: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_LENGTH)]
    """A new access token, or meeting token of the meeting that you are in, of the same user."""


class AuthRefreshed(TypedDict):
    expires_at: str


CREATE = ClientEvent(
    "room:create",
    RoomCreate,
    RoomCreated,
    "Makes the meeting's room ready on a media server before anybody is in it; for hosts.",
    ENTRANCE,
    errors=("MEETING_NOT_FOUND", "ACCESS_DENIED", "MEETING_ENDED", "NO_CAPACITY"),
    emits="room:created",
    guide="architecture",
)
JOIN = ClientEvent(
    "room:join",
    RoomJoin,
    RoomJoined,
    "Joins; a second time, or from another socket, it resumes. Where a host has to approve, the "
    "answer is that of `room:waiting`, and `room:joined` follows once somebody has let you in.",
    ENTRANCE,
    errors=(
        "MEETING_NOT_FOUND",
        "ACCESS_DENIED",
        "MEETING_ENDED",
        "MEETING_FULL",
        "MEETING_LOCKED",
        "MEETING_NOT_OPEN",
        "NO_CAPACITY",
    ),
    emits="room:joined",
    guide="architecture",
)
LEAVE = ClientEvent(
    "room:leave",
    RoomLeave,
    MeetingNamed,
    "Leaves the meeting, or the waiting room.",
    ENTRANCE,
    errors=("NOT_JOINED",),
    guide="architecture",
)
SNAPSHOT = ClientEvent(
    "room:snapshot",
    RoomNamed,
    RoomJoined,
    "Tells all that `room:joined` tells, as it is now; after `room:resync`.",
    per_minute(30),
    Action.RECEIVE,
)
LOCK = ClientEvent(
    "room:lock",
    RoomLock,
    RoomLocked,
    "Locks the meeting, or opens it again: while it is locked nobody new but hosts comes in.",
    CONTROL,
    Action.LOCK,
)
CHANGE_SETTINGS = ClientEvent(
    "room:settings",
    RoomSettingsChange,
    SettingsChanged,
    "Changes what holds in the meeting, from now on and on record.",
    CONTROL,
    Action.CHANGE_SETTINGS,
)
END = ClientEvent(
    "room:end",
    RoomNamed,
    MeetingNamed,
    "Ends the meeting for all.",
    CONTROL,
    Action.END,
)
ADMIT = ClientEvent(
    "waiting:admit",
    Admit,
    Admitted,
    "Lets people in from the waiting room: those named, or all.",
    CONTROL,
    Action.ADMIT,
    errors=("NOT_FOUND",),
)
DENY = ClientEvent(
    "waiting:deny",
    Deny,
    Denied,
    "Turns somebody in the waiting room away; they may ask again.",
    CONTROL,
    Action.ADMIT,
    errors=("NOT_FOUND",),
)
REFRESH_AUTH = ClientEvent(
    "auth:refresh",
    AuthRefresh,
    AuthRefreshed,
    "Puts a new token in the place of one that ends, without leaving the call.",
    per_minute(30),
    errors=("ACCESS_DENIED",),
)

CLIENT_EVENTS = (
    CREATE,
    JOIN,
    LEAVE,
    SNAPSHOT,
    LOCK,
    CHANGE_SETTINGS,
    END,
    ADMIT,
    DENY,
    REFRESH_AUTH,
)


class RoomClosed(TypedDict):
    meeting_id: MeetingId
    reason: Literal["ended_by_host", "expired", "deleted", "idle", "breakout_closed"]
    return_to: MeetingId | None
    """Where to go on: the meeting of a breakout room that closed."""


class RoomError(TypedDict):
    meeting_id: MeetingId | None
    error: str
    code: str
    event: str | None
    retry_after: NotRequired[float]


class Resync(TypedDict):
    meeting_id: MeetingId
    version: int


class SessionReplaced(TypedDict):
    meeting_id: MeetingId


class WaitingAdded(WaitingPerson):
    meeting_id: MeetingId


class WaitingLeft(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    outcome: Literal["admitted", "denied", "left"]


class WaitingDenied(TypedDict):
    meeting_id: MeetingId
    reason: str


SERVER_EVENTS = (
    ServerEvent("room:created", RoomCreated, "The room is ready.", "you", "architecture"),
    ServerEvent("room:joined", RoomJoined, "You are in.", "you", "architecture"),
    ServerEvent("room:waiting", RoomWaiting, "You are in the waiting room.", "you"),
    ServerEvent("room:closed", RoomClosed, "The meeting is over.", "all", "architecture"),
    ServerEvent(
        "room:error",
        RoomError,
        "A meeting could not be entered, or a command without acknowledgement failed.",
        "you",
        "architecture",
    ),
    ServerEvent(
        "room:resync",
        Resync,
        "Events may be lost to you: ask for `room:snapshot` and `chat:history`.",
        "you",
    ),
    ServerEvent("room:locked", RoomLocked, "The meeting was locked, or opened again."),
    ServerEvent("room:settings:changed", SettingsChanged, "Settings changed."),
    ServerEvent("waiting:added", WaitingAdded, "Somebody waits.", "hosts"),
    ServerEvent("waiting:left", WaitingLeft, "Somebody does not wait any more.", "hosts"),
    ServerEvent("waiting:denied", WaitingDenied, "You were turned away.", "you"),
    ServerEvent(
        "session:replaced",
        SessionReplaced,
        "Another socket of yours has joined; this one is closed.",
        "you",
    ),
)
