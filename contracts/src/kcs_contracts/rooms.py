"""A meeting as placement holds it: who is in it, what they send, and where it lives.

`RoomSnapshot` is what `Placement.snapshot` reads and what a replica's cache starts from;
the events in `events` bring it up to date.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from kcs_contracts.ids import (
    BootId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
    SessionId,
)
from kcs_contracts.models import Contract

MediaKind = Literal["audio", "video"]
Quality = Literal["excellent", "good", "fair", "poor"]
"""How good a connection is, by the client guide's thresholds."""


class Role(StrEnum):
    """What a participant may do: `protocol.roles` has the table role x action."""

    HOST = "host"
    CO_HOST = "co_host"
    PRESENTER = "presenter"
    ATTENDEE = "attendee"
    GUEST = "guest"


class Source(StrEnum):
    """Where a producer's media comes from."""

    MIC = "mic"
    CAMERA = "camera"
    SCREEN = "screen"
    SCREEN_AUDIO = "screen_audio"

    @property
    def kind(self) -> MediaKind:
        """The media kind that this source has."""
        return "audio" if self in (Source.MIC, Source.SCREEN_AUDIO) else "video"


class Participant(Contract):
    """One user in one meeting."""

    id: ParticipantId
    display_name: str
    role: Role
    session: SessionId
    joined_at_ms: int = Field(description="Unix time of the first join, in ms; kept on resume.")
    audio_enabled: bool = False
    """The microphone: a producer exists and is not paused."""
    video_enabled: bool = False
    """The camera: a producer exists and is not paused."""
    screen_sharing: bool = False
    hand_raised_at_ms: int | None = None
    """Since when the hand is up, Unix time in ms: hands are taken in that order."""
    audio_muted: bool = False
    """A host muted the microphone; the setting `allow_unmute_self` says who ends that."""
    video_muted: bool = False
    """A host muted the camera."""
    quality: Quality | None = None
    """Of the connection, as the client reported last."""


class Waiting(Contract):
    """Somebody whom a host has to let in."""

    id: ParticipantId
    display_name: str
    session: SessionId
    since_ms: int = Field(description="Unix time, in ms; by Redis's clock.")


class BreakoutRoom(Contract):
    """A room beside the main meeting; in placement it is a meeting of its own."""

    id: MeetingId
    name: str


class Breakouts(Contract):
    """The breakout rooms of a meeting, and who belongs where."""

    open: bool = False
    rooms: tuple[BreakoutRoom, ...]
    assignments: dict[ParticipantId, MeetingId] = Field(default_factory=dict)
    choose: bool = False
    """People choose their room themselves."""
    closes_at_ms: int | None = None
    """Unix time, in ms; None: when a host closes them."""
    made_at_ms: int = 0
    """Unix time, in ms: what was said in earlier rooms of the same ids is not for these."""


class Producer(Contract):
    """One stream that a participant sends."""

    id: ProducerId
    participant_id: ParticipantId
    source: Source
    paused: bool = False

    @property
    def kind(self) -> MediaKind:
        """The media kind of its source."""
        return self.source.kind


class Assignment(Contract):
    """A meeting's home: the node, that node's life, and the epoch that fences older homes."""

    meeting_id: MeetingId
    node: NodeName
    boot: BootId
    epoch: Epoch
    control_url: str = Field(description="Base URL of the node's control API.")


class NextHome(Contract):
    """Where a meeting is moving to: the media that is there already, beside that of its home."""

    assignment: Assignment
    generation: Generation
    producers: tuple[Producer, ...] = ()

    @property
    def epoch(self) -> Epoch:
        """The epoch that the meeting has there."""
        return self.assignment.epoch


class RoomSnapshot(Contract):
    """All that placement knows of a meeting at `version`."""

    meeting_id: MeetingId
    version: int = Field(description="Number of the last event that it includes.")
    assignment: Assignment | None
    generation: Generation
    participants: tuple[Participant, ...]
    producers: tuple[Producer, ...]
    waiting: tuple[Waiting, ...] = ()
    """By when they came."""
    live: dict[str, str] = Field(default_factory=dict)
    """What holds in the meeting, field by field as JSON; see `live.Live`."""
    inside: dict[ParticipantId, MeetingId] = Field(default_factory=dict)
    """Who is in which breakout room."""
    next: NextHome | None = None
    """Where the meeting is moving to."""
