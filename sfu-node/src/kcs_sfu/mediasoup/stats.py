"""Statistics as mediasoup's JSON. Times are milliseconds, bitrates bits per second, sizes bytes.

Source: mediasoup 3.27.1, `rtpStreamStatsTypes.ts`, `TransportTypes.ts`, `WorkerTypes.ts`.
"""

from typing import Literal, NotRequired, TypedDict

from kcs_sfu.mediasoup.rtp_parameters import MediaKind
from kcs_sfu.mediasoup.transport_types import (
    DtlsState,
    IceRole,
    IceState,
    SctpState,
    TransportTuple,
)


class RtpStreamStats(TypedDict):
    """One RTP stream, received (`inbound-rtp`) or sent (`outbound-rtp`)."""

    type: Literal["inbound-rtp", "outbound-rtp"]
    timestamp: int
    ssrc: int
    rtxSsrc: NotRequired[int]
    rid: NotRequired[str]
    kind: MediaKind
    mimeType: str
    packetsLost: int
    fractionLost: int
    """In 1/256."""
    jitter: int
    """In units of the codec's clock."""
    packetsDiscarded: int
    packetsRetransmitted: int
    packetsRepaired: int
    nackCount: int
    nackPacketCount: int
    pliCount: int
    firCount: int
    roundTripTime: float
    rtxPacketsDiscarded: int
    score: int
    packetCount: int
    byteCount: int
    bitrate: int
    bitrateByLayer: NotRequired[dict[str, int]]
    """Received streams only."""


class TransportStats(TypedDict):
    """One transport; the keys at the end depend on its type."""

    type: Literal["webrtc-transport", "plain-rtp-transport", "pipe-transport", "direct-transport"]
    transportId: str
    timestamp: int
    sctpState: NotRequired[SctpState]
    bytesReceived: int
    recvBitrate: int
    bytesSent: int
    sendBitrate: int
    rtpBytesReceived: int
    rtpRecvBitrate: int
    rtpBytesSent: int
    rtpSendBitrate: int
    rtxBytesReceived: int
    rtxRecvBitrate: int
    rtxBytesSent: int
    rtxSendBitrate: int
    probationBytesSent: int
    probationSendBitrate: int
    availableOutgoingBitrate: NotRequired[int]
    availableIncomingBitrate: NotRequired[int]
    maxIncomingBitrate: NotRequired[int]
    maxOutgoingBitrate: NotRequired[int]
    minOutgoingBitrate: NotRequired[int]
    rtpPacketLossReceived: NotRequired[float]
    rtpPacketLossSent: NotRequired[float]
    iceRole: NotRequired[IceRole]
    iceState: NotRequired[IceState]
    iceSelectedTuple: NotRequired[TransportTuple]
    dtlsState: NotRequired[DtlsState]
    rtcpMux: NotRequired[bool]
    comedia: NotRequired[bool]
    tuple: NotRequired[TransportTuple]
    rtcpTuple: NotRequired[TransportTuple]


class DataProducerStats(TypedDict):
    """Messages received by a data producer."""

    type: Literal["data-producer"]
    timestamp: int
    label: str
    protocol: str
    messagesReceived: int
    bytesReceived: int


class DataConsumerStats(TypedDict):
    """Messages sent by a data consumer; `bufferedAmount` waits to be sent."""

    type: Literal["data-consumer"]
    timestamp: int
    label: str
    protocol: str
    messagesSent: int
    bytesSent: int
    bufferedAmount: int


class WorkerResourceUsage(TypedDict):
    """The worker process's `uv_rusage_t`: times in milliseconds, sizes in kilobytes."""

    ru_utime: int
    ru_stime: int
    ru_maxrss: int
    ru_ixrss: int
    ru_idrss: int
    ru_isrss: int
    ru_minflt: int
    ru_majflt: int
    ru_nswap: int
    ru_inblock: int
    ru_oublock: int
    ru_msgsnd: int
    ru_msgrcv: int
    ru_nsignals: int
    ru_nvcsw: int
    ru_nivcsw: int
