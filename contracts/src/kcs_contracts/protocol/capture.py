"""Recording and live streaming. Nothing records or streams yet: the commands are authorised and
then answered with RECORDING_DISABLED or STREAMING_DISABLED."""

from typing import Annotated

from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from kcs_contracts.ids import MeetingId, MeetingIdText
from kcs_contracts.protocol.declare import CONTROL, ClientEvent, Payload, ServerEvent
from kcs_contracts.protocol.errors import ErrorCode
from kcs_contracts.protocol.roles import Action


class RecordingOptions(Payload):
    record_video: bool = True
    record_audio: bool = True
    record_chat: bool = False


class RecordingStart(Payload):
    meeting_id: MeetingIdText
    options: RecordingOptions = Field(default_factory=RecordingOptions)


class RecordingNamed(Payload):
    meeting_id: MeetingIdText


class RecordingIs(TypedDict):
    meeting_id: MeetingId
    recording_id: str


class RecordingStarted(RecordingIs):
    host_name: str
    timestamp: str


class RecordingStopped(RecordingIs):
    duration: float


class RecordingStatus(TypedDict):
    meeting_id: MeetingId
    status: str
    progress: float


class StreamConfig(Payload):
    layout: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,32}$")] = "speaker"
    url: Annotated[str, StringConstraints(max_length=500)] | None = None
    """Where to push; left out: the installation's own CDN."""


class StreamStart(Payload):
    meeting_id: MeetingIdText
    config: StreamConfig = Field(default_factory=StreamConfig)


class StreamStarted(TypedDict):
    meeting_id: MeetingId
    stream_id: str
    url: str


class StreamStopped(TypedDict):
    meeting_id: MeetingId
    stream_id: str


_REFUSED: tuple[ErrorCode, ...] = ("RECORDING_DISABLED", "UNAUTHORIZED_RECORDING")

START_RECORDING = ClientEvent(
    "recording:start",
    RecordingStart,
    RecordingIs,
    "Starts a recording.",
    CONTROL,
    Action.RECORD,
    errors=_REFUSED,
    guide="architecture",
)
STOP_RECORDING = ClientEvent(
    "recording:stop",
    RecordingNamed,
    RecordingStopped,
    "Ends it.",
    CONTROL,
    Action.RECORD,
    errors=_REFUSED,
    guide="architecture",
)
PAUSE_RECORDING = ClientEvent(
    "recording:pause",
    RecordingNamed,
    RecordingIs,
    "Pauses it.",
    CONTROL,
    Action.RECORD,
    errors=_REFUSED,
    guide="architecture",
)
RESUME_RECORDING = ClientEvent(
    "recording:resume",
    RecordingNamed,
    RecordingIs,
    "Goes on.",
    CONTROL,
    Action.RECORD,
    errors=_REFUSED,
    guide="architecture",
)
START_STREAM = ClientEvent(
    "stream:start",
    StreamStart,
    StreamStarted,
    "Starts a live stream.",
    CONTROL,
    Action.STREAM,
    errors=("STREAMING_DISABLED",),
    guide="architecture",
)
STOP_STREAM = ClientEvent(
    "stream:stop",
    RecordingNamed,
    StreamStopped,
    "Ends it.",
    CONTROL,
    Action.STREAM,
    errors=("STREAMING_DISABLED",),
)

CLIENT_EVENTS = (
    START_RECORDING,
    STOP_RECORDING,
    PAUSE_RECORDING,
    RESUME_RECORDING,
    START_STREAM,
    STOP_STREAM,
)

SERVER_EVENTS = (
    ServerEvent(
        "recording:started", RecordingStarted, "The meeting is recorded.", "all", "architecture"
    ),
    ServerEvent("recording:stopped", RecordingStopped, "No longer.", "all", "architecture"),
    ServerEvent("recording:status", RecordingStatus, "How it goes.", "all", "architecture"),
    ServerEvent("recording:paused", RecordingIs, "It pauses.", "all", "client"),
    ServerEvent("recording:resumed", RecordingIs, "It goes on.", "all", "client"),
    ServerEvent("stream:started", StreamStarted, "The meeting is live.", "all", "architecture"),
    ServerEvent("stream:stopped", StreamStopped, "No longer.", "all", "architecture"),
)
