"""The client guide's own events (namespace `/`): camelCase, answers as events.

What stands here has names or shapes of its own; all other events of `/` are those of `/meeting`
with camelCase names (see `camel`).
"""

from typing import Literal, NotRequired, Self

from pydantic import model_validator
from typing_extensions import TypedDict

from kcs_contracts.ids import MediaIdText, MeetingIdText, ParticipantIdText, UserIdText
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import chat, media, people, room
from kcs_contracts.protocol.declare import (
    CamelPayload,
    Choice,
    ClientEvent,
    DisplayName,
    ServerEvent,
)
from kcs_contracts.protocol.media import Layer
from kcs_contracts.protocol.roles import Action
from kcs_contracts.rooms import MediaKind


class JoinMeeting(CamelPayload):
    meeting_id: MeetingIdText
    user_id: UserIdText | None = None
    user_name: DisplayName | None = None


class LeaveMeeting(CamelPayload):
    meeting_id: MeetingIdText


class CreateTransport(CamelPayload):
    meeting_id: MeetingIdText
    direction: Literal["send", "recv"]


class ConnectTransport(CamelPayload):
    transport_id: MediaIdText
    dtls_parameters: JsonObject


class Produce(CamelPayload):
    meeting_id: MeetingIdText
    kind: MediaKind
    """Video after `screen:start` is the screen."""
    rtp_parameters: JsonObject


class Consume(CamelPayload):
    meeting_id: MeetingIdText
    producer_participant_id: ParticipantIdText
    kind: MediaKind
    rtp_capabilities: JsonObject


class ConsumerNamed(CamelPayload):
    consumer_id: MediaIdText


class QualityChange(CamelPayload):
    meeting_id: MeetingIdText
    participant_id: ParticipantIdText
    quality: Layer


class Mute(CamelPayload):
    meeting_id: MeetingIdText
    target_user_id: ParticipantIdText
    mute_type: MediaKind
    muted: bool = True


class SendMessage(CamelPayload):
    meeting_id: MeetingIdText
    message: chat.MessageText
    recipient_type: chat.RecipientType = "all"
    recipient_id: ParticipantIdText | None = None
    """Needed with `private`."""
    reply_to: chat.MessageIdText | None = None

    @model_validator(mode="after")
    def _whom(self) -> Self:
        if self.recipient_type == "private" and self.recipient_id is None:
            raise ValueError("recipientId is needed with recipientType private")
        return self


class Typing(CamelPayload):
    meeting_id: MeetingIdText
    typing: bool


class ParticipantJoined(TypedDict):
    participantId: str
    userName: str
    userId: str
    participantCount: int


class WaitingForApproval(TypedDict):
    meetingId: str
    waiting: Literal[True]


class MeetingIs(TypedDict):
    meetingId: str


class ParticipantLeft(TypedDict):
    participantId: str
    userName: str


class TransportParams(TypedDict):
    id: str
    iceParameters: JsonObject
    iceCandidates: list[JsonObject]
    dtlsParameters: JsonObject
    iceServers: list[JsonObject]


class TransportCreated(TypedDict):
    direction: Literal["send", "recv"]
    params: TransportParams


class TransportConnected(TypedDict):
    transportId: str


class ProducedIs(TypedDict):
    producerId: str


class Subscribed(TypedDict):
    id: str
    producerId: str
    kind: MediaKind
    rtpParameters: JsonObject


class ConsumerIs(TypedDict):
    consumerId: str


class NewProducer(TypedDict):
    participantId: str
    producerId: str
    kind: MediaKind
    source: NotRequired[str]


class ProducerClosed(TypedDict):
    participantId: str
    producerId: str
    kind: MediaKind


class QualityChanged(TypedDict):
    participantId: str
    quality: Layer


class NewMessage(TypedDict):
    """In snake_case, as the guide prints it."""

    id: str
    meeting_id: str
    sender_id: str
    sender_name: str
    message: str
    message_type: Literal["text"]
    recipient_type: chat.RecipientType
    recipient_id: str | None
    reply_to: str | None
    timestamp: str


class UserTyping(TypedDict):
    userId: str
    userName: str
    typing: bool


class ParticipantMuted(TypedDict):
    meetingId: str
    targetUserId: str
    moderatorName: str
    muteType: MediaKind
    muted: bool


class MuteIs(TypedDict):
    meetingId: str
    targetUserId: str
    muteType: MediaKind
    muted: bool


class MediaReset(TypedDict):
    meetingId: str
    reason: str


class Error(TypedDict):
    code: str
    message: str
    event: str | None
    retry_after: NotRequired[float]


JOIN = ClientEvent(
    "join-meeting",
    JoinMeeting,
    ParticipantJoined,
    "Joins. Where a host has to approve, `waiting` comes first and `participant-joined` follows "
    "once somebody has let you in.",
    room.JOIN.limit,
    errors=room.JOIN.errors,
    emits="participant-joined",
    guide="client",
)
LEAVE = ClientEvent(
    "leave-meeting",
    LeaveMeeting,
    MeetingIs,
    "Leaves the meeting.",
    room.LEAVE.limit,
    errors=("NOT_JOINED",),
    guide="client",
)
CREATE_TRANSPORT = ClientEvent(
    "create-transport",
    CreateTransport,
    TransportCreated,
    media.CREATE_TRANSPORT.text,
    media.CREATE_TRANSPORT.limit,
    Action.RECEIVE,  # a guest's client makes the one to send by too, and first
    emits="transport-created",
    guide="client",
)
CONNECT_TRANSPORT = ClientEvent(
    "connect-transport",
    ConnectTransport,
    TransportConnected,
    media.CONNECT_TRANSPORT.text,
    media.CONNECT_TRANSPORT.limit,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    emits="transport-connected",
    guide="client",
)
PRODUCE = ClientEvent(
    "produce",
    Produce,
    ProducedIs,
    "Sends a stream on your send transport.",
    media.PRODUCE.limit,
    Choice[Produce](
        lambda p: Action.SEND_AUDIO if p.kind == "audio" else Action.SEND_VIDEO,
        Action.SEND_AUDIO,
        Action.SEND_VIDEO,
    ),
    errors=("NOT_FOUND",),
    emits="produced",
    guide="client",
)
CONSUME = ClientEvent(
    "consume",
    Consume,
    Subscribed,
    "Receives what a participant sends of that kind, paused until `resume-consumer`.",
    media.CONSUME.limit,
    Action.RECEIVE,
    errors=("NOT_FOUND", "CANNOT_CONSUME"),
    emits="subscribed",
    guide="client",
)
RESUME_CONSUMER = ClientEvent(
    "resume-consumer",
    ConsumerNamed,
    ConsumerIs,
    media.RESUME_CONSUMER.text,
    media.RESUME_CONSUMER.limit,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="client",
)
PAUSE_CONSUMER = ClientEvent(
    "pause-consumer",
    ConsumerNamed,
    ConsumerIs,
    media.PAUSE_CONSUMER.text,
    media.PAUSE_CONSUMER.limit,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    guide="client",
)
CHANGE_QUALITY = ClientEvent(
    "quality:change",
    QualityChange,
    QualityChanged,
    "Chooses the layer in which you get a participant's video at most.",
    media.CHANGE_QUALITY.limit,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
    emits="quality:changed",
    guide="client",
)
MUTE = ClientEvent(
    "participant:mute",
    Mute,
    MuteIs,
    people.MUTE.text,
    people.MUTE.limit,
    Action.MUTE_OTHERS,
    errors=("NOT_FOUND",),
    guide="client",
)
SEND = ClientEvent(
    "send-message",
    SendMessage,
    NewMessage,
    chat.SEND.text,
    chat.SEND.limit,
    Action.CHAT,
    errors=("NOT_FOUND",),
    guide="client",
    counts_as=chat.SEND.name,
)
TYPING = ClientEvent(
    "typing",
    Typing,
    UserTyping,
    chat.TYPING.text,
    chat.TYPING.limit,
    Action.CHAT,
    guide="client",
    counts_as=chat.TYPING.name,
)

CLIENT_EVENTS = (
    JOIN,
    LEAVE,
    CREATE_TRANSPORT,
    CONNECT_TRANSPORT,
    PRODUCE,
    CONSUME,
    RESUME_CONSUMER,
    PAUSE_CONSUMER,
    CHANGE_QUALITY,
    MUTE,
    SEND,
    TYPING,
)

SERVER_EVENTS = (
    ServerEvent(
        "participant-joined",
        ParticipantJoined,
        "Somebody is in; you too hear of yourself.",
        "all",
        "client",
    ),
    ServerEvent("participant-left", ParticipantLeft, "Somebody is gone.", "all", "client"),
    ServerEvent("waiting", WaitingForApproval, "You are in the waiting room.", "you"),
    ServerEvent("transport-created", TransportCreated, "The transport is there.", "you", "client"),
    ServerEvent(
        "transport-connected", TransportConnected, "It has its DTLS parameters.", "you", "client"
    ),
    ServerEvent("produced", ProducedIs, "Your stream is open.", "you", "client"),
    ServerEvent("subscribed", Subscribed, "The stream can be played.", "you", "client"),
    ServerEvent(
        "new-producer",
        NewProducer,
        "Something to consume; the next one is told once this one is resumed, or after 1 s.",
        "others",
        "client",
    ),
    ServerEvent("producer-closed", ProducerClosed, "A stream ended.", "others"),
    ServerEvent("quality:changed", QualityChanged, "The layer is chosen.", "you", "client"),
    ServerEvent("new-message", NewMessage, "Something was said.", "all", "client"),
    ServerEvent("user-typing", UserTyping, "Somebody is writing.", "others", "client"),
    ServerEvent("participant:muted", ParticipantMuted, "A host muted somebody.", "all", "client"),
    ServerEvent("media:reset", MediaReset, "Make transports, producers and consumers anew."),
    ServerEvent("error", Error, "A command failed, or the meeting is over.", "you", "client"),
)
