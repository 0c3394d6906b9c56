"""Meeting: a meeting that is declared, beside those that people make by REST.

The operator registers it with signaling, reserves room for it before it starts and ends it when
the object is deleted. Phase and counts are a projection of placement.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from kcs_contracts.resources.v1alpha1.common import (
    DURATION,
    Condition,
    Duration,
    ObjectName,
    Region,
    Resource,
    Rule,
    Says,
    Time,
    keyed_by,
)

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
User = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]*$", max_length=64),
    Says("a user id has letters, digits and _ . : @ - and begins with a letter or digit"),
]


class Schedule(Resource):
    """When the meeting is."""

    rules = (
        Rule(
            f"!self.duration.matches(r'{DURATION}') || (duration(self.duration) >= duration('1m') "
            "&& duration(self.duration) <= duration('24h'))",
            "a meeting is planned for 1m to 24h",
            at=".duration",
        ),
    )

    start: Time
    """When it starts, such as 2027-03-01T09:00:00Z. People come in 15 minutes before."""
    duration: Duration = "1h"
    """How long it is planned for, between 1m and 24h."""


class PoolRef(Resource):
    """The pool that takes the meeting."""

    name: ObjectName
    """An SFUPool in the same namespace."""


class MeetingSettings(Resource):
    """What holds in the meeting; hosts can change it during the call."""

    rules = (
        Rule("!self.e2ee", "end-to-end encryption is not there yet", at=".e2ee"),
        Rule("!self.recording", "recording is not there yet", at=".recording"),
    )

    require_host_approval: bool = False
    """People wait until a host lets them in."""
    allow_unmute_self: bool = True
    """Attendees may switch on their own microphones."""
    guest_chat: bool = False
    """Guests may write in the chat."""
    several_screens: bool = True
    """Two people may share their screens at once."""
    host_succession: bool = True
    """When the host has left, a co-host becomes host, else the presenter who is there longest."""
    chat_history: bool = True
    """People who join see what was said before."""
    idle_minutes: int = Field(default=30, ge=1, le=1440)
    """The meeting ends when nobody was there for so long."""
    e2ee: bool = Field(default=False, alias="e2ee")
    """End-to-end encryption; true is refused for now."""
    recording: bool = False
    """Recording from the start; true is refused for now."""


class MeetingSpec(Resource):
    """What is wanted."""

    rules = (
        Rule(
            "self.expectedParticipants <= self.maxParticipants",
            "expectedParticipants must not be above maxParticipants",
            at=".expectedParticipants",
            detail="'expectedParticipants (%d) must not be above maxParticipants (%d)'"
            ".format([self.expectedParticipants, self.maxParticipants])",
        ),
        Rule(
            "self.host == oldSelf.host",
            "host cannot be changed: delete the meeting and make it anew",
            at=".host",
        ),
        Rule(
            "self.region == oldSelf.region",
            "region cannot be changed: delete the meeting and make it anew",
            at=".region",
        ),
    )

    display_name: Text
    """What people see."""
    host: User
    """The user id of the host."""
    schedule: Schedule | None = None
    """When it is; without it, it is open at once."""
    max_participants: int = Field(default=200, ge=2, le=10000)
    """How many may be in it."""
    expected_participants: int = Field(default=15, ge=1, le=10000)
    """How many room is reserved for, before it starts."""
    region: Region = ""
    """Where most people are."""
    pool_ref: PoolRef | None = None
    """The pool that takes it; without it, any pool of the region, then any."""
    settings: MeetingSettings = MeetingSettings()
    """What holds in it."""


class MeetingPhase(StrEnum):
    """Where a meeting is in its life."""

    SCHEDULED = "Scheduled"
    READY = "Ready"
    ACTIVE = "Active"
    ENDED = "Ended"
    FAILED = "Failed"


class SecretRef(Resource):
    """A Secret in the same namespace."""

    name: str
    """Its name."""


class MeetingStatus(Resource):
    """How it is."""

    observed_generation: int | None = None
    """The generation of the spec that the operator has seen."""
    phase: MeetingPhase | None = None
    """Scheduled (it waits for its time, or for room), Ready (room is kept for it, nobody is there),
    Active (people came), Ended, Failed (its conditions say why)."""
    meeting_id: str | None = None
    """Its id."""
    join_url: str | None = Field(default=None, alias="joinURL")
    """Where people join."""
    token_secret_ref: SecretRef | None = None
    """The Secret with the host's meeting token, under `hostToken`, and link, under `hostURL`."""
    token_expires_at: str | None = None
    """When that token ends; that of a meeting without a schedule is renewed before."""
    node: str | None = None
    """The SFU pod that hosts it."""
    epoch: int | None = None
    """Counts its homes: grows when it moves."""
    participants: int = 0
    """People in it."""
    started_at: str | None = None
    """When somebody was first seen in it."""
    ended_at: str | None = None
    """When it ended."""
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=20, json_schema_extra=keyed_by("type")
    )
    """Registered, Placed, Migrating."""


class Meeting(Resource):
    """A meeting: where people join, when it is, and how it goes."""

    kind_name: ClassVar[str] = "Meeting"
    rules = (
        Rule(
            "self.metadata.name.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && "
            "self.metadata.name.size() <= 52",
            "a meeting's name has at most 52 small letters, digits and - between them: its "
            "Secret's name begins with it",
            at=".metadata.name",
        ),
    )

    spec: MeetingSpec
    """What is wanted."""
    status: MeetingStatus = MeetingStatus()
    """How it is."""
