"""The JSON that browsers and SFU exchange about RTP, SCTP and SRTP, as typed dictionaries.

A client's capabilities and parameters arrive as JSON, pass through `ortc`, and leave in the same
shape towards the worker (as flatbuffers) and other clients, so they stay plain dictionaries with
mediasoup's own camelCase keys. pymediasoup has such models too, but importing it imports aiortc and
PyAV (a second media stack in every node); hence these, a departure from the design on purpose.

A TypedDict is what a value looks like *after* `ortc.validate_and_normalize_*` has passed it; until
then, whatever a client sent is an `object`. Keys that mediasoup fills in itself are still
`NotRequired`, because callers may leave them out. Source: mediasoup 3.27.1,
`node/src/rtpParametersTypes.ts`, `sctpParametersTypes.ts`, `srtpParametersTypes.ts`, `ortc.ts`.
"""

from typing import Literal, NotRequired, TypedDict

MediaKind = Literal["audio", "video"]
RtpHeaderExtensionDirection = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
SrtpCryptoSuite = Literal[
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
]

CodecParameterValue = str | int | float
"""A value of `parameters` of a codec or header extension; nothing else passes validation."""


class RtcpFeedback(TypedDict):
    """One RTCP feedback message of a codec, e.g. `nack` + `pli`; `parameter` defaults to `""`."""

    type: str
    parameter: NotRequired[str]


class RouterRtpCodecCapability(TypedDict):
    """A codec as configured for a Router: `preferredPayloadType` may be left to mediasoup."""

    kind: NotRequired[MediaKind]
    mimeType: str
    clockRate: int
    """In hertz."""
    preferredPayloadType: NotRequired[int]
    channels: NotRequired[int]
    """Audio only; default 1."""
    parameters: NotRequired[dict[str, CodecParameterValue]]
    rtcpFeedback: NotRequired[list[RtcpFeedback]]


class RtpCodecCapability(TypedDict):
    """A codec that a Router or an endpoint can receive."""

    kind: MediaKind
    mimeType: str
    preferredPayloadType: int
    clockRate: int
    """In hertz."""
    channels: NotRequired[int]
    """Audio only; default 1."""
    parameters: NotRequired[dict[str, CodecParameterValue]]
    rtcpFeedback: NotRequired[list[RtcpFeedback]]


class RtpHeaderExtension(TypedDict):
    """An RTP header extension that a Router or an endpoint supports (RFC 8285)."""

    kind: MediaKind
    uri: str
    preferredId: int
    preferredEncrypt: NotRequired[bool]
    direction: NotRequired[RtpHeaderExtensionDirection]
    """Only meaningful in a Router's capabilities; ignored in an endpoint's."""


class RtpCapabilities(TypedDict):
    """What a Router or an endpoint can receive."""

    codecs: NotRequired[list[RtpCodecCapability]]
    headerExtensions: NotRequired[list[RtpHeaderExtension]]


class RtpCodecParameters(TypedDict):
    """A codec in use, with its RTP payload type."""

    mimeType: str
    payloadType: int
    clockRate: int
    """In hertz."""
    channels: NotRequired[int]
    parameters: NotRequired[dict[str, CodecParameterValue]]
    rtcpFeedback: NotRequired[list[RtcpFeedback]]


class RtpHeaderExtensionParameters(TypedDict):
    """An RTP header extension in use, with its id in the packet."""

    uri: str
    id: int
    encrypt: NotRequired[bool]
    parameters: NotRequired[dict[str, CodecParameterValue]]


class RtxParameters(TypedDict):
    """The retransmission stream of an encoding."""

    ssrc: int


class RtpEncodingParameters(TypedDict):
    """One RTP stream: a simulcast layer, or the only stream of a producer or consumer."""

    ssrc: NotRequired[int]
    rid: NotRequired[str]
    codecPayloadType: NotRequired[int]
    """Default: the first media codec's."""
    rtx: NotRequired[RtxParameters]
    dtx: NotRequired[bool]
    scalabilityMode: NotRequired[str]
    """E.g. `L1T3`, `S3T3`, `L3T3_KEY` (W3C webrtc-svc)."""
    maxBitrate: NotRequired[int]
    """In bits per second."""


class RtcpParameters(TypedDict):
    """RTCP settings; `reducedSize` (RFC 5506) is always true in mediasoup."""

    cname: NotRequired[str]
    reducedSize: NotRequired[bool]


class RtpParameters(TypedDict):
    """What a producer sends or a consumer receives."""

    mid: NotRequired[str]
    codecs: list[RtpCodecParameters]
    headerExtensions: NotRequired[list[RtpHeaderExtensionParameters]]
    encodings: NotRequired[list[RtpEncodingParameters]]
    rtcp: NotRequired[RtcpParameters]
    msid: NotRequired[str]
    """RFC 8830."""


class CodecMapping(TypedDict):
    """A producer's payload type and the one that the Router uses for that codec."""

    payloadType: int
    mappedPayloadType: int


class EncodingMapping(TypedDict):
    """A producer's encoding, by `ssrc` or `rid`, and the SSRC that stands for it in the Router."""

    ssrc: NotRequired[int]
    rid: NotRequired[str]
    mappedSsrc: int


class RtpMapping(TypedDict):
    """From a producer's payload types and SSRCs to the Router's (`RtpCodecsEncodingsMapping`)."""

    codecs: list[CodecMapping]
    encodings: list[EncodingMapping]


class SctpStreamParameters(TypedDict):
    """Reliability of one data channel (RFC 8831); at most one of the two limits may be given."""

    streamId: int
    ordered: NotRequired[bool]
    maxPacketLifeTime: NotRequired[int]
    """In milliseconds."""
    maxRetransmits: NotRequired[int]


class SctpParameters(TypedDict):
    """A transport's SCTP association, sizes in bytes; `OS, MIS, maxMessageSize` are for clients."""

    port: int
    maxSendMessageSize: int
    maxReceiveMessageSize: int
    sendBufferSize: int
    perStreamSendQueueLimit: int
    maxReceiverWindowBufferSize: int
    isDataChannel: bool
    OS: int
    MIS: int
    maxMessageSize: int


class SctpNegotiatedCapabilities(TypedDict):
    """What both ends of an SCTP association agreed on."""

    negotiatedMaxOutboundStreams: int
    negotiatedMaxInboundStreams: int


class SrtpParameters(TypedDict):
    """SRTP key of a PlainTransport or PipeTransport; `keyBase64` holds master key and salt."""

    cryptoSuite: SrtpCryptoSuite
    keyBase64: str
