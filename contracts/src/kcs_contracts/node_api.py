"""The control API of an SFU node: signaling asks, the node does.

One route carries every operation: `POST /v1/rooms/{meeting_id}/ops` with `Operations`, a batch
that the node runs in order and answers with `Results`, one per operation in the same order, so
that one operation's failure leaves the others standing. The `Authorization: Bearer` header
carries a ticket (see `tickets`). An answer that refuses the whole batch has the status and the
`NodeError` of `Refusal`.

A participant's transports, producers and consumers belong to it: an operation that names
somebody else's is answered with NOT_FOUND.
"""

from typing import Annotated, Literal

from pydantic import Field

from kcs_contracts.ids import (
    ConsumerId,
    Generation,
    MediaIdText,
    ParticipantIdText,
    ProducerId,
    TransportId,
)
from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.rooms import MediaKind, Source

OPS_PATH = "/v1/rooms/{meeting_id}/ops"
MAX_OPERATIONS = 200

Direction = Literal["send", "recv"]
NodeErrorCode = Literal[
    "NOT_FOUND",  # no such transport, producer or consumer of this participant
    "INVALID",  # parameters that mediasoup or ORTC refuses
    "CANNOT_CONSUME",  # the receiver's capabilities do not fit the producer
    "LIMIT",  # too many transports, producers or consumers: the message says of what
    "MUTED",  # the participant is muted (`SetMuted`): this producer stays paused
    "UNAVAILABLE",  # the worker died or did not answer: try again
    # refusals of the whole batch:
    "BAD_TICKET",  # 401: missing, expired, forged, or for another meeting, node or boot
    "STALE_EPOCH",  # 409: the node knows a higher epoch of this meeting
    "NOT_ADMITTING",  # 503: draining, or the lease could not be renewed; existing media runs on
]


class _ForParticipant(Contract):
    participant_id: ParticipantIdText


class OpenRoom(Contract):
    """Makes the room if it is not there; answers `RoomOpened`."""

    op: Literal["open_room"] = "open_room"


class CloseRoom(Contract):
    """Closes the room and all in it."""

    op: Literal["close_room"] = "close_room"


class CloseParticipant(_ForParticipant):
    """Closes all that a participant has, who is not muted any more; nothing to close is fine."""

    op: Literal["close_participant"] = "close_participant"


class DescribeParticipant(_ForParticipant):
    """Answers `ParticipantMedia`."""

    op: Literal["describe_participant"] = "describe_participant"


class CreateTransport(_ForParticipant):
    """Makes the transport of that direction, closing an older one; answers `TransportCreated`."""

    op: Literal["create_transport"] = "create_transport"
    direction: Direction


class ConnectTransport(_ForParticipant):
    """Hands over the client's DTLS parameters."""

    op: Literal["connect_transport"] = "connect_transport"
    transport_id: MediaIdText
    dtls_parameters: JsonObject


class RestartIce(_ForParticipant):
    """New ICE credentials for a transport; answers `IceRestarted`."""

    op: Literal["restart_ice"] = "restart_ice"
    transport_id: MediaIdText


class Produce(_ForParticipant):
    """Opens a producer on the named transport, else the send transport; answers `Produced`.

    It opens paused when asked so, and whatever was asked when the participant is muted.
    """

    op: Literal["produce"] = "produce"
    transport_id: MediaIdText | None = None
    source: Source
    rtp_parameters: JsonObject
    paused: bool = False


class CloseProducer(_ForParticipant):
    op: Literal["close_producer"] = "close_producer"
    producer_id: MediaIdText


class PauseProducer(_ForParticipant):
    op: Literal["pause_producer"] = "pause_producer"
    producer_id: MediaIdText


class ResumeProducer(_ForParticipant):
    """Answers the error MUTED, and changes nothing, when the participant is muted."""

    op: Literal["resume_producer"] = "resume_producer"
    producer_id: MediaIdText


class SetMuted(_ForParticipant):
    """Mutes a participant's microphone (audio) or camera (video) at the node, or lifts that.

    Muted: its producers of that source are paused, those to come open paused, and none of them
    can be resumed. Lifted: they can, but nothing is resumed. Nothing to mute is fine, and so is
    a participant who is not here yet. It holds while the room is open, worker deaths and new
    transports included, until it is lifted or `CloseParticipant`; a room of another epoch, and
    one that was closed, must be told again. Screens are not muted.
    """

    op: Literal["set_muted"] = "set_muted"
    kind: MediaKind
    muted: bool


class Consume(_ForParticipant):
    """Opens a consumer on the participant's recv transport; answers `Consumed`.

    Not paused: media flows at once, so the receiver must be able to take what it does not know
    yet. A consumer of the same producer that the participant already has is closed first.
    Neighbours in a batch are run at once: many cost about as much time as one.
    """

    op: Literal["consume"] = "consume"
    producer_id: MediaIdText
    rtp_capabilities: JsonObject
    paused: bool = True


class CloseConsumer(_ForParticipant):
    op: Literal["close_consumer"] = "close_consumer"
    consumer_id: MediaIdText


class PauseConsumer(_ForParticipant):
    op: Literal["pause_consumer"] = "pause_consumer"
    consumer_id: MediaIdText


class ResumeConsumer(_ForParticipant):
    op: Literal["resume_consumer"] = "resume_consumer"
    consumer_id: MediaIdText


class SetPreferredLayers(_ForParticipant):
    """Chooses the simulcast or SVC layer of the participant's consumer of that producer."""

    op: Literal["set_preferred_layers"] = "set_preferred_layers"
    producer_id: MediaIdText
    spatial_layer: int = Field(ge=0, le=7)
    temporal_layer: int | None = Field(default=None, ge=0, le=7)


class RequestKeyFrame(_ForParticipant):
    op: Literal["request_key_frame"] = "request_key_frame"
    consumer_id: MediaIdText


class GetStats(_ForParticipant):
    """mediasoup's stats of all that the participant has; answers `ParticipantStats`."""

    op: Literal["get_stats"] = "get_stats"


class SetDebug(Contract):
    """Logs in detail what happens in the meeting, in this epoch: a room that opens later too."""

    op: Literal["set_debug"] = "set_debug"
    until_ms: int = Field(ge=0, le=2**53)
    """Unix ms; 0: no longer."""
    pseudonym_key: str = Field(default="", pattern="^([0-9a-f]{64})?$", repr=False)
    """For the people in the lines (`kcs_contracts.logs.pseudonym`), in hex; without it, none are
    named."""


Operation = Annotated[
    OpenRoom
    | CloseRoom
    | CloseParticipant
    | DescribeParticipant
    | CreateTransport
    | ConnectTransport
    | RestartIce
    | Produce
    | CloseProducer
    | PauseProducer
    | ResumeProducer
    | SetMuted
    | Consume
    | CloseConsumer
    | PauseConsumer
    | ResumeConsumer
    | SetPreferredLayers
    | RequestKeyFrame
    | GetStats
    | SetDebug,
    Field(discriminator="op"),
]


class Operations(Contract):
    """The body of a request."""

    ops: tuple[Operation, ...] = Field(min_length=1, max_length=MAX_OPERATIONS)


# --- answers ---------------------------------------------------------------------------------


class Done(Contract):
    """It is done; there is nothing to tell."""

    op: Literal["done"] = "done"


class RoomOpened(Contract):
    op: Literal["room_opened"] = "room_opened"
    rtp_capabilities: JsonObject


class TransportCreated(Contract):
    op: Literal["transport_created"] = "transport_created"
    transport_id: TransportId
    direction: Direction
    ice_parameters: JsonObject
    ice_candidates: tuple[JsonObject, ...]
    dtls_parameters: JsonObject


class IceRestarted(Contract):
    op: Literal["ice_restarted"] = "ice_restarted"
    ice_parameters: JsonObject


class Produced(Contract):
    op: Literal["produced"] = "produced"
    producer_id: ProducerId
    source: Source
    paused: bool = False
    """As asked, or because the participant is muted."""


class Consumed(Contract):
    op: Literal["consumed"] = "consumed"
    consumer_id: ConsumerId
    producer_id: ProducerId
    kind: MediaKind
    type: Literal["simple", "simulcast", "svc", "pipe"]
    rtp_parameters: JsonObject
    producer_paused: bool


class TransportView(Contract):
    transport_id: TransportId
    direction: Direction


class ConsumerView(Contract):
    consumer_id: ConsumerId
    producer_id: ProducerId
    paused: bool


class ParticipantMedia(Contract):
    """What a participant has on the node now."""

    op: Literal["participant_media"] = "participant_media"
    transports: tuple[TransportView, ...]
    producers: tuple[ProducerId, ...]
    consumers: tuple[ConsumerView, ...]


class ParticipantStats(Contract):
    """mediasoup's own stats, one list per transport, producer and consumer id."""

    op: Literal["participant_stats"] = "participant_stats"
    transports: dict[TransportId, list[JsonObject]]
    producers: dict[ProducerId, list[JsonObject]]
    consumers: dict[ConsumerId, list[JsonObject]]


Answer = Annotated[
    Done
    | RoomOpened
    | TransportCreated
    | IceRestarted
    | Produced
    | Consumed
    | ParticipantMedia
    | ParticipantStats,
    Field(discriminator="op"),
]


class NodeError(Contract):
    """Why an operation, or a batch, was not done."""

    code: NodeErrorCode
    message: str


class Result(Contract):
    """Exactly one of the two is set."""

    answer: Answer | None = None
    error: NodeError | None = None


class Results(Contract):
    """The answer to `Operations`; `generation` tells which media plane they speak of."""

    generation: Generation
    results: tuple[Result, ...]


class Refusal(Contract):
    """The answer to a batch that was refused whole (401, 409, 503)."""

    error: NodeError
