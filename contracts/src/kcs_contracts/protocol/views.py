"""The shapes that several events carry. Times are ISO 8601 in UTC, with milliseconds."""

from typing import Literal

from typing_extensions import TypedDict

from kcs_contracts.ids import ConsumerId, MeetingId, NodeName, ParticipantId, ProducerId
from kcs_contracts.models import JsonObject
from kcs_contracts.rooms import MediaKind, Quality, Role, Source


class MeetingNamed(TypedDict):
    meeting_id: MeetingId


class Person(TypedDict):
    """Somebody in a meeting."""

    user_id: ParticipantId
    display_name: str
    role: Role
    audio_enabled: bool
    video_enabled: bool
    screen_sharing: bool
    hand_raised_at: str | None
    audio_muted_by_host: bool
    video_muted_by_host: bool
    quality: Quality | None
    joined_at: str


class Stream(TypedDict):
    """Something to consume."""

    producer_id: ProducerId
    user_id: ParticipantId
    kind: MediaKind
    source: Source
    paused: bool


class Message(TypedDict):
    """A chat message; a deleted one has no text."""

    meeting_id: MeetingId
    message_id: str
    user_id: ParticipantId
    display_name: str
    message: str
    reply_to: str | None
    recipient_type: Literal["all", "private", "host"]
    recipient_id: ParticipantId | None
    timestamp: str
    deleted: bool


class WaitingPerson(TypedDict):
    """Somebody in the waiting room, as hosts see it."""

    user_id: ParticipantId
    display_name: str
    since: str


class BreakoutPerson(TypedDict):
    """Where somebody belongs, and where they are."""

    user_id: ParticipantId
    room_id: MeetingId


class BreakoutRoomView(TypedDict):
    room_id: MeetingId
    name: str


class BreakoutsView(TypedDict):
    """The breakout rooms of a meeting. Who is where is told to hosts alone."""

    meeting_id: MeetingId
    open: bool
    choose: bool
    """Whether people choose their room themselves."""
    rooms: list[BreakoutRoomView]
    assignments: list[BreakoutPerson]
    inside: list[BreakoutPerson]
    closes_at: str | None


class SettingsView(TypedDict):
    """What holds in the meeting."""

    display_name: str
    max_participants: int
    default_role: Role
    require_host_approval: bool
    allow_unmute_self: bool
    guest_chat: bool
    several_screens: bool
    host_succession: bool
    chat_history: bool
    locked: bool


class IceServers(TypedDict):
    """With credentials that the client renews before they end (`ice:refresh`)."""

    ice_servers: list[JsonObject]
    ice_ttl_seconds: int | None


class Transport(IceServers):
    transport_id: str
    direction: Literal["send", "recv"]
    ice_parameters: JsonObject
    ice_candidates: list[JsonObject]
    dtls_parameters: JsonObject


class Consumer(TypedDict):
    consumer_id: ConsumerId
    producer_id: ProducerId
    user_id: ParticipantId
    kind: MediaKind
    source: Source
    type: Literal["simple", "simulcast", "svc", "pipe"]
    rtp_parameters: JsonObject
    producer_paused: bool


class MediaMigrate(TypedDict):
    meeting_id: MeetingId
    node: NodeName
    epoch: int
    generation: int
    streams: list[Stream]
    """What is sent there already, by whomever."""


class MediaPlane(TypedDict):
    """Which life of the meeting's media this is: transports of another one are gone."""

    epoch: int
    generation: int


class Measured(TypedDict):
    """Of the people who reported within the last 15 s."""

    participants: int
    rtt_ms: float
    jitter_ms: float
    packet_loss_percent: float
    bitrate_bps: float


class Fault(TypedDict):
    """Why something was not done."""

    code: str
    message: str
