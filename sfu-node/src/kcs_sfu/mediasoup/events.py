"""Every event of the driver, as frozen dataclasses: `obj.on(EventType, callback)`.

An object's own state is up to date when its event is emitted. Names follow mediasoup's events; the
class that emits one is named in its docstring.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from kcs_sfu.mediasoup.errors import ChannelClosed
from kcs_sfu.mediasoup.rtp_parameters import SctpNegotiatedCapabilities
from kcs_sfu.mediasoup.transport_types import DtlsState, IceState, SctpState, TransportTuple

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.producer import Producer

CloseReason = Literal[
    "closed",
    "died",
    "workerclose",
    "routerclose",
    "transportclose",
    "listenserverclose",
    "producerclose",
    "dataproducerclose",
]
TraceDirection = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Closed:
    """Every object, exactly once: `closed` is its own close(), else who took it along."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class Died:
    """Worker: it ended by itself, or was killed because it talked nonsense. All of it is closed."""

    error: ChannelClosed


@dataclass(frozen=True, slots=True)
class Paused:
    """Producer, Consumer, DataProducer, DataConsumer, RtpObserver: nothing flows from now on.

    A consumer counts its producer in: paused if either is.
    """


@dataclass(frozen=True, slots=True)
class Resumed:
    """The opposite of `Paused`."""


# Transports


@dataclass(frozen=True, slots=True)
class IceStateChange:
    """WebRtcTransport."""

    state: IceState


@dataclass(frozen=True, slots=True)
class IceSelectedTupleChange:
    """WebRtcTransport: media flows over this pair of addresses."""

    tuple: TransportTuple


@dataclass(frozen=True, slots=True)
class DtlsStateChange:
    """WebRtcTransport. `remote_cert` is PEM, once connected."""

    state: DtlsState
    remote_cert: str | None


@dataclass(frozen=True, slots=True)
class SctpStateChange:
    """Any transport with SCTP."""

    state: SctpState


@dataclass(frozen=True, slots=True)
class SctpNegotiated:
    """Any transport with SCTP: how many streams both ends agreed on."""

    capabilities: SctpNegotiatedCapabilities


@dataclass(frozen=True, slots=True)
class TupleChange:
    """PlainTransport with comedia: the remote end has shown itself."""

    tuple: TransportTuple


@dataclass(frozen=True, slots=True)
class RtcpTupleChange:
    """PlainTransport with comedia and without rtcp_mux: the remote end has shown itself."""

    tuple: TransportTuple


@dataclass(frozen=True, slots=True)
class RtcpReceived:
    """DirectTransport: an RTCP packet."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TransportTrace:
    """Any transport, after enable_trace_event(). `info` has mediasoup's camelCase keys."""

    type: Literal["probation", "bwe"]
    timestamp_ms: int
    direction: TraceDirection
    info: dict[str, object]


# Producer


class ProducerScore(TypedDict, total=False):
    """How well one stream of a producer arrives: `score` 0 to 10 (0: it does not)."""

    encodingIdx: int
    ssrc: int
    rid: str
    score: int


@dataclass(frozen=True, slots=True)
class ProducerScoreChange:
    """Producer."""

    scores: list[ProducerScore]


@dataclass(frozen=True, slots=True)
class VideoOrientationChange:
    """Producer: the sender turned its camera. `rotation` is in degrees, clockwise."""

    camera: bool
    flip: bool
    rotation: int


@dataclass(frozen=True, slots=True)
class ProducerTrace:
    """Producer, after enable_trace_event(). `info` has mediasoup's camelCase keys."""

    type: Literal["keyframe", "fir", "nack", "pli", "rtp", "sr"]
    timestamp_ms: int
    direction: TraceDirection
    info: dict[str, object]


# Consumer


class ConsumerScore(TypedDict):
    """How well a consumer's stream, its producer's stream, and all of that producer's, arrive."""

    score: int
    producerScore: int
    producerScores: list[int]


class ConsumerLayers(TypedDict, total=False):
    """Layers of a simulcast or SVC stream, 0 being the lowest; `spatialLayer` is always there."""

    spatialLayer: int
    temporalLayer: int


@dataclass(frozen=True, slots=True)
class ConsumerScoreChange:
    """Consumer."""

    score: ConsumerScore


@dataclass(frozen=True, slots=True)
class LayersChange:
    """Consumer: the layers that it sends now; None when it sends nothing."""

    layers: ConsumerLayers | None


@dataclass(frozen=True, slots=True)
class ProducerPaused:
    """Consumer: its producer was paused."""


@dataclass(frozen=True, slots=True)
class ProducerResumed:
    """Consumer: its producer was resumed."""


@dataclass(frozen=True, slots=True)
class RtpReceived:
    """Consumer on a DirectTransport: an RTP packet."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ConsumerTrace:
    """Consumer, after enable_trace_event(). `info` has mediasoup's camelCase keys."""

    type: Literal["keyframe", "fir", "nack", "pli", "rtp"]
    timestamp_ms: int
    direction: TraceDirection
    info: dict[str, object]


# DataConsumer


@dataclass(frozen=True, slots=True)
class DataProducerPaused:
    """DataConsumer: its data producer was paused."""


@dataclass(frozen=True, slots=True)
class DataProducerResumed:
    """DataConsumer: its data producer was resumed."""


@dataclass(frozen=True, slots=True)
class SctpSendBufferFull:
    """DataConsumer: a message was dropped because the SCTP send buffer is full."""


@dataclass(frozen=True, slots=True)
class BufferedAmountLow:
    """DataConsumer: what waits to be sent fell below its threshold. In bytes."""

    buffered_amount: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """DataConsumer on a DirectTransport. `ppid` tells text (51, 56) from binary (53, 57)."""

    data: bytes
    ppid: int


# Observers


@dataclass(frozen=True, slots=True)
class Volume:
    """How loud a producer was in the last interval, in dBov: -127 (silent) to 0."""

    producer: "Producer"
    volume: int


@dataclass(frozen=True, slots=True)
class Volumes:
    """AudioLevelObserver: the loudest first."""

    volumes: list[Volume]


@dataclass(frozen=True, slots=True)
class Silence:
    """AudioLevelObserver: nobody is above the threshold any more."""


@dataclass(frozen=True, slots=True)
class DominantSpeaker:
    """ActiveSpeakerObserver: who speaks now."""

    producer: "Producer"
