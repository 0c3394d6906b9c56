"""People: roles, host controls, hands, and everybody's view."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from kcs_contracts.ids import MeetingId, MeetingIdText, ParticipantId, ParticipantIdText, UserIdText
from kcs_contracts.protocol.declare import (
    CONTROL,
    Choice,
    ClientEvent,
    Payload,
    Reason,
    RoleText,
    ServerEvent,
    per_minute,
)
from kcs_contracts.protocol.roles import Action
from kcs_contracts.protocol.views import Person
from kcs_contracts.rooms import MediaKind, Quality, Role

Layout = Literal["grid", "speaker", "presentation"]
EmailText = Annotated[
    str, StringConstraints(pattern=r"^[^@\s\x00-\x1f,;<>\"]{1,64}@[A-Za-z0-9.-]{1,185}$")
]
MAX_ADDED = 50


class InMeeting(Payload):
    meeting_id: MeetingIdText


class TargetNamed(InMeeting):
    target_user_id: ParticipantIdText


class TargetIs(TypedDict):
    meeting_id: MeetingId
    target_user_id: ParticipantId


class Mute(TargetNamed):
    kind: MediaKind
    muted: bool = True
    """False: they may unmute themselves again; nobody is unmuted by others."""
    reason: Reason = ""


class Muted(TargetIs):
    kind: MediaKind
    muted: bool


class Remove(TargetNamed):
    reason: Reason = ""


class RoleUpdate(TargetNamed):
    new_role: RoleText


class RoleIs(TargetIs):
    new_role: Role


class Add(InMeeting):
    user_ids: Annotated[tuple[UserIdText, ...], Field(max_length=MAX_ADDED)] = Field(
        default=(), strict=False
    )
    emails: Annotated[tuple[EmailText, ...], Field(max_length=MAX_ADDED)] = Field(
        default=(), strict=False
    )
    role: RoleText | None = None
    """Left out: the meeting's default role. Never host."""

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not self.user_ids and not self.emails:
            raise ValueError("name user_ids or emails")
        return self


class Invited(TypedDict):
    """One who was added; `join_url` lets them in without approval."""

    user_id: NotRequired[str]
    email: NotRequired[str]
    join_url: str
    sent: bool
    """Whether a mail went out."""
    mail: NotRequired[Literal["sent", "sending", "not_sent"]]
    """With `email`: `sending` when the mail server has not taken it yet. Whether it did in the end
    is told by `GET meetings/{id}/invitations`; hand the link over where you cannot wait."""


class Added(TypedDict):
    meeting_id: MeetingId
    invitations: list[Invited]


class HandLower(InMeeting):
    target_user_id: ParticipantIdText | None = None
    """Whose hand: your own, or, for hosts, somebody else's."""


class HandIs(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId


class LayoutChange(InMeeting):
    layout: Layout
    for_all: bool = False
    """For hosts: everybody's view changes."""


class LayoutIs(TypedDict):
    meeting_id: MeetingId
    layout: Layout
    user_id: ParticipantId
    for_all: bool


class Pin(InMeeting):
    target_user_id: ParticipantIdText | None
    """null unpins."""


class PinIs(TypedDict):
    meeting_id: MeetingId
    target_user_id: ParticipantId | None


MUTE = ClientEvent(
    "participant:mute",
    Mute,
    Muted,
    "Mutes somebody at the server: their stream is paused whatever their client does. Whether "
    "they may unmute themselves is the setting `allow_unmute_self`; presenters and hosts may.",
    CONTROL,
    Action.MUTE_OTHERS,
    errors=("NOT_FOUND",),
    guide="architecture",
)
REMOVE = ClientEvent(
    "participant:remove",
    Remove,
    TargetIs,
    "Removes somebody: their media ends, and neither their meeting token nor their account lets "
    "them in again until a host adds them.",
    CONTROL,
    Action.REMOVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)
UPDATE_ROLE = ClientEvent(
    "participant:role:update",
    RoleUpdate,
    RoleIs,
    "Gives somebody another role. Only a host makes hosts; a co-host changes no host.",
    CONTROL,
    Action.CHANGE_ROLES,
    errors=("NOT_FOUND",),
    guide="architecture",
)
ADD = ClientEvent(
    "participant:add",
    Add,
    Added,
    "Adds people: they join by their link, or by their account, without approval.",
    per_minute(20),
    Action.ADD_PEOPLE,
    guide="architecture",
)
RAISE_HAND = ClientEvent(
    "hand:raise",
    InMeeting,
    HandIs,
    "Raises your hand.",
    CONTROL,
    Action.RAISE_HAND,
    guide="architecture",
)
LOWER_HAND = ClientEvent(
    "hand:lower",
    HandLower,
    HandIs,
    "Lowers your hand; a host lowers anybody's.",
    CONTROL,
    Choice[HandLower](
        lambda p: Action.LOWER_HANDS if p.target_user_id else Action.RAISE_HAND,
        Action.RAISE_HAND,
        Action.LOWER_HANDS,
    ),
    errors=("NOT_FOUND",),
    guide="architecture",
)
CHANGE_LAYOUT = ClientEvent(
    "layout:change",
    LayoutChange,
    LayoutIs,
    "Changes your own layout, or, for hosts and `for_all`, everybody's.",
    CONTROL,
    Choice[LayoutChange](
        lambda p: Action.ARRANGE_FOR_ALL if p.for_all else Action.ARRANGE,
        Action.ARRANGE,
        Action.ARRANGE_FOR_ALL,
    ),
    guide="architecture",
)
PIN = ClientEvent(
    "participant:pin",
    Pin,
    PinIs,
    "Pins somebody in your own view.",
    CONTROL,
    Action.ARRANGE,
    errors=("NOT_FOUND",),
    emits="participant:pinned",
    guide="architecture",
)
SPOTLIGHT = ClientEvent(
    "participant:spotlight",
    Pin,
    PinIs,
    "Puts somebody into the light for everybody.",
    CONTROL,
    Action.ARRANGE_FOR_ALL,
    errors=("NOT_FOUND",),
    guide="architecture",
)

CLIENT_EVENTS = (
    MUTE,
    REMOVE,
    UPDATE_ROLE,
    ADD,
    RAISE_HAND,
    LOWER_HAND,
    CHANGE_LAYOUT,
    PIN,
    SPOTLIGHT,
)


class Joined(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    display_name: str
    role: Role


class Left(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    reason: Literal["left", "timeout", "removed", "replaced"]


class Updated(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    updates: Person
    """The whole of them, as they are now."""


class RoleChanged(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    old_role: Role
    new_role: Role


class MutedByHost(TypedDict):
    meeting_id: MeetingId
    kind: MediaKind
    reason: str
    may_unmute: bool


class ParticipantMuted(TypedDict):
    meeting_id: MeetingId
    target_user_id: ParticipantId
    moderator_name: str
    kind: MediaKind
    muted: bool


class Removed(TypedDict):
    meeting_id: MeetingId
    reason: str


class AddedToAll(TypedDict):
    meeting_id: MeetingId
    user_ids: list[str]
    emails: int
    """How many were invited by mail; their addresses are told to nobody else."""
    by: ParticipantId


class HandRaised(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    display_name: str
    timestamp: str


class QualityIs(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    quality: Quality


SERVER_EVENTS = (
    ServerEvent("participant:joined", Joined, "Somebody is in.", "others", "architecture"),
    ServerEvent("participant:left", Left, "Somebody is gone.", "others", "architecture"),
    ServerEvent(
        "participant:updated", Updated, "Something about somebody changed.", "all", "architecture"
    ),
    ServerEvent(
        "participant:role:changed",
        RoleChanged,
        "Somebody has another role: by a host, or because the host left or came back.",
        "all",
        "architecture",
    ),
    ServerEvent("participant:muted", ParticipantMuted, "A host muted somebody.", "all", "client"),
    ServerEvent("participant:added", AddedToAll, "People were added.", "all", "architecture"),
    ServerEvent("muted:by-host", MutedByHost, "A host muted you.", "target", "architecture"),
    ServerEvent("removed:from-meeting", Removed, "A host removed you.", "target", "architecture"),
    ServerEvent("hand:raised", HandRaised, "Somebody raised a hand.", "all", "architecture"),
    ServerEvent("hand:lowered", HandIs, "A hand is down again.", "all", "architecture"),
    ServerEvent(
        "layout:changed", LayoutIs, "A layout changed: yours, or everybody's.", "all", "client"
    ),
    ServerEvent("participant:pinned", PinIs, "You pinned somebody.", "you", "client"),
    ServerEvent("participant:spotlighted", PinIs, "Somebody is in the light.", "all", "client"),
    ServerEvent("connection:quality", QualityIs, "How good somebody's connection is."),
)
