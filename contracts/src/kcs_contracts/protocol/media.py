"""Transports, producers and consumers. WebRTC parameters keep mediasoup's camelCase inside."""

from typing import Annotated, Literal, NotRequired, Self

from pydantic import Field, model_validator
from typing_extensions import TypedDict

from kcs_contracts.ids import (
    Epoch,
    MediaIdText,
    MeetingId,
    MeetingIdText,
    ParticipantId,
    ParticipantIdText,
    ProducerId,
)
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol.declare import (
    CONTROL,
    NEGOTIATION,
    Choice,
    ClientEvent,
    Payload,
    ServerEvent,
    SourceText,
    per_minute,
)
from kcs_contracts.protocol.roles import SENDING, Action
from kcs_contracts.protocol.views import (
    Consumer,
    Fault,
    IceServers,
    MeetingNamed,
    Stream,
    Transport,
)
from kcs_contracts.rooms import MediaKind, Source

BATCH = 25
"""Streams in one `consume:batch`: their answer stays near 50 KB."""

Layer = Literal["low", "medium", "high"]
_SOURCES = {"audio": Source.MIC, "video": Source.CAMERA, "screen": Source.SCREEN}


class AtHome(Payload):
    """What is meant for a certain media server, while the meeting moves from one to another."""

    epoch: Annotated[Epoch, Field(ge=0, le=2**53)] | None = None
    """Of `media:migrate`, or of the plane that you have; left out: that of the present server."""


class TransportCreate(AtHome):
    meeting_id: MeetingIdText
    direction: Literal["send", "recv"]


class TransportConnect(AtHome):
    transport_id: MediaIdText
    dtls_parameters: JsonObject


class TransportNamed(AtHome):
    transport_id: MediaIdText


class TransportIs(TypedDict):
    transport_id: str


class IceRestarted(TypedDict):
    transport_id: str
    ice_parameters: JsonObject


class IceRefresh(Payload):
    meeting_id: MeetingIdText


class ProduceRequest(AtHome):
    transport_id: MediaIdText
    kind: Literal["audio", "video", "screen"]
    """`screen` is video from a screen."""
    rtp_parameters: JsonObject
    source: SourceText | None = None
    paused: bool = False

    @model_validator(mode="after")
    def _agree(self) -> Self:
        source = self.media_source
        if self.kind not in (
            (source.kind, "screen") if source is Source.SCREEN else (source.kind,)
        ):
            raise ValueError(f"source: {source.value} is not {self.kind}")
        return self

    @property
    def media_source(self) -> Source:
        """What is sent."""
        return self.source or _SOURCES[self.kind]


class Produced(TypedDict):
    producer_id: ProducerId
    kind: MediaKind
    source: Source
    paused: bool


class ProducerNamed(AtHome):
    producer_id: MediaIdText


class ProducerIs(TypedDict):
    producer_id: str


class ConsumeRequest(AtHome):
    producer_id: MediaIdText
    rtp_capabilities: JsonObject | None = None
    """What your device plays; needed the first time."""


class ConsumeBatch(AtHome):
    producer_ids: Annotated[tuple[MediaIdText, ...], Field(min_length=1, max_length=BATCH)] = Field(
        strict=False
    )
    rtp_capabilities: JsonObject | None = None
    paused: bool = True
    """False: their media flows as soon as your transport is connected."""


class NotConsumed(Fault):
    producer_id: str


class ConsumedBatch(TypedDict):
    consumers: list[Consumer]
    failed: list[NotConsumed]


class ConsumerNamed(AtHome):
    consumer_id: MediaIdText


class ConsumerIs(TypedDict):
    consumer_id: str


class ConsumersNamed(AtHome):
    consumer_ids: Annotated[tuple[MediaIdText, ...], Field(min_length=1, max_length=200)] = Field(
        strict=False
    )


class ConsumersAre(TypedDict):
    consumer_ids: list[str]


class MediaToggle(Payload):
    meeting_id: MeetingIdText
    kind: MediaKind
    enabled: bool


class MediaToggled(TypedDict):
    meeting_id: MeetingId
    kind: MediaKind
    enabled: bool


class ScreenStart(Payload):
    meeting_id: MeetingIdText


class ScreenStop(ScreenStart):
    target_user_id: ParticipantIdText | None = None
    """Whose sharing ends: your own, or, for those who may mute, somebody else's."""


class QualityChange(AtHome):
    producer_id: MediaIdText
    layer: Layer


class QualityChanged(TypedDict):
    producer_id: str
    layer: Layer


_using = Choice[TransportCreate](
    lambda p: Action.SEND_AUDIO if p.direction == "send" else Action.RECEIVE,
    Action.SEND_AUDIO,
    Action.RECEIVE,
)
_sending = Choice[ProduceRequest](
    lambda p: SENDING[p.media_source], *dict.fromkeys(SENDING.values())
)
_switching = Choice[MediaToggle](
    lambda p: Action.SEND_AUDIO if p.kind == "audio" else Action.SEND_VIDEO,
    Action.SEND_AUDIO,
    Action.SEND_VIDEO,
)
_stopping = Choice[ScreenStop](
    lambda p: Action.MUTE_OTHERS if p.target_user_id else Action.SHARE_SCREEN,
    Action.SHARE_SCREEN,
    Action.MUTE_OTHERS,
)

CREATE_TRANSPORT = ClientEvent(
    "transport:create",
    TransportCreate,
    Transport,
    "Makes the transport of that direction; an older one goes, with all that it carried.",
    NEGOTIATION,
    _using,
    errors=("NOT_FOUND",),
    emits="transport:created",
    guide="architecture",
)
CONNECT_TRANSPORT = ClientEvent(
    "transport:connect",
    TransportConnect,
    TransportIs,
    "Hands over the client's DTLS parameters.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)
RESTART_ICE = ClientEvent(
    "transport:restart-ice",
    TransportNamed,
    IceRestarted,
    "New ICE parameters for a transport that lost its way.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
)
REFRESH_ICE = ClientEvent(
    "ice:refresh",
    IceRefresh,
    IceServers,
    "New credentials for the TURN servers.",
    per_minute(30),
    Action.RECEIVE,
)
PRODUCE = ClientEvent(
    "produce",
    ProduceRequest,
    Produced,
    "Sends a stream. An older one of the same source ends. Who was muted by a host and may not "
    "unmute themselves sends it paused.",
    CONTROL,
    _sending,
    errors=("NOT_FOUND", "SCREEN_SHARE_TAKEN"),
    emits="producer:created",
    guide="architecture",
)
CLOSE_PRODUCER = ClientEvent(
    "produce:close",
    ProducerNamed,
    ProducerIs,
    "Ends one of your own streams.",
    CONTROL,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)
CONSUME = ClientEvent(
    "consume",
    ConsumeRequest,
    Consumer,
    "Receives somebody's stream, paused until `consumer:resume`.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND", "CANNOT_CONSUME"),
    emits="consumer:created",
    guide="architecture",
)
CONSUME_BATCH = ClientEvent(
    "consume:batch",
    ConsumeBatch,
    ConsumedBatch,
    f"Receives up to {BATCH} streams in one go; each may fail by itself.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
)
RESUME_CONSUMER = ClientEvent(
    "consumer:resume",
    ConsumerNamed,
    ConsumerIs,
    "Lets a stream's media flow.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)
RESUME_CONSUMERS = ClientEvent(
    "consumers:resume",
    ConsumersNamed,
    ConsumersAre,
    "The same for several; answers those that were there.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
)
PAUSE_CONSUMER = ClientEvent(
    "consumer:pause",
    ConsumerNamed,
    ConsumerIs,
    "Holds a stream's media back, as while its tile is off screen.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)
CLOSE_CONSUMER = ClientEvent(
    "consumer:close",
    ConsumerNamed,
    ConsumerIs,
    "Receives a stream no longer.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)
TOGGLE = ClientEvent(
    "media:toggle",
    MediaToggle,
    MediaToggled,
    "Switches your microphone or camera, at the server too.",
    CONTROL,
    _switching,
    guide="architecture",
)
START_SCREEN = ClientEvent(
    "screen:start",
    ScreenStart,
    MeetingNamed,
    "Says that you are about to share your screen, and takes one of the places for that.",
    CONTROL,
    Action.SHARE_SCREEN,
    errors=("SCREEN_SHARE_TAKEN",),
    guide="architecture",
)
STOP_SCREEN = ClientEvent(
    "screen:stop",
    ScreenStop,
    MeetingNamed,
    "Ends a screen share: its streams are closed at the server.",
    CONTROL,
    _stopping,
    errors=("NOT_FOUND",),
    guide="architecture",
)
CHANGE_QUALITY = ClientEvent(
    "quality:change",
    QualityChange,
    QualityChanged,
    "Chooses the simulcast layer in which you get a stream at most.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="architecture",
)

CLIENT_EVENTS = (
    CREATE_TRANSPORT,
    CONNECT_TRANSPORT,
    RESTART_ICE,
    REFRESH_ICE,
    PRODUCE,
    CLOSE_PRODUCER,
    CONSUME,
    CONSUME_BATCH,
    RESUME_CONSUMER,
    RESUME_CONSUMERS,
    PAUSE_CONSUMER,
    CLOSE_CONSUMER,
    TOGGLE,
    START_SCREEN,
    STOP_SCREEN,
    CHANGE_QUALITY,
)


class ConsumerClosed(TypedDict):
    consumer_id: str
    producer_id: ProducerId
    reason: Literal["closed", "transport_closed", "participant_left"]


class ProducerOf(TypedDict):
    producer_id: ProducerId
    user_id: ParticipantId


class ProducerClosed(ProducerOf):
    source: Source


class MediaUpdated(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    kind: MediaKind
    enabled: bool


class MediaReset(TypedDict):
    meeting_id: MeetingId
    reason: Literal["worker_died", "node_lost", "moved"]
    epoch: int
    generation: int


class SpeakerActive(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId | None


class AudioLevel(TypedDict):
    user_id: ParticipantId
    level: int
    """dBvo: -127 (silence) to 0."""


class AudioLevels(TypedDict):
    meeting_id: MeetingId
    levels: list[AudioLevel]


class ScreenSharing(TypedDict):
    meeting_id: MeetingId
    user_id: ParticipantId
    display_name: str
    timestamp: str


class Warned(TypedDict):
    meeting_id: MeetingId
    issue: Literal["bandwidth", "cpu", "network"]
    resolved: NotRequired[bool]


SERVER_EVENTS = (
    ServerEvent("transport:created", Transport, "The transport is there.", "you", "architecture"),
    ServerEvent("producer:created", Produced, "The stream is open.", "you", "architecture"),
    ServerEvent("consumer:created", Consumer, "The stream can be played.", "you", "architecture"),
    ServerEvent("consumer:closed", ConsumerClosed, "A stream ended.", "you", "architecture"),
    ServerEvent("new-producer", Stream, "Something to consume.", "others", "architecture"),
    ServerEvent("producer:paused", ProducerOf, "A stream is paused at the server.", "others"),
    ServerEvent("producer:resumed", ProducerOf, "A stream goes on.", "others"),
    ServerEvent("producer:closed", ProducerClosed, "A stream ended.", "others"),
    ServerEvent(
        "participant:media:updated",
        MediaUpdated,
        "Somebody's microphone or camera went on or off.",
        "all",
        "architecture",
    ),
    ServerEvent("screen:started", ScreenSharing, "Somebody shares a screen.", "all", "client"),
    ServerEvent("screen:stopped", ScreenSharing, "They have stopped.", "all", "client"),
    ServerEvent(
        "media:reset",
        MediaReset,
        "The media server is another: make transports, producers and consumers anew.",
    ),
    ServerEvent("speaker:active", SpeakerActive, "Who speaks now."),
    ServerEvent("audio:levels", AudioLevels, "How loud the loudest are."),
    ServerEvent(
        "quality:warning",
        Warned,
        "Your connection is bad (or, with `resolved`, good again).",
        "you",
        "architecture",
    ),
)
