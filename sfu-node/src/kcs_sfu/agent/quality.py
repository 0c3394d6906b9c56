"""What media is like, as Prometheus counts it: connections, bytes, round trips, jitter, loss.

`Connection` and `Sweep` count here. Labels are `direction` (in: from browsers, out: to them) and
`outcome`; no meeting, participant or stream is one.
"""

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kcs_sfu.agent.connection import Outcome
from kcs_sfu.mediasoup.stats import RtpStreamStats, TransportStats

Direction = Literal["in", "out"]

_RTT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)
_JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
_LOSS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_CLOCK_HZ = {"audio": 48_000, "video": 90_000}
"""Of all codecs that the node has."""


class Quality:
    """The instruments, in the node's registry."""

    def __init__(self, registry: CollectorRegistry):
        self._connections = Counter(
            "kcs_sfu_connections",
            "Transports whose client tried to connect (ICE, DTLS), by outcome.",
            ("outcome",),
            registry=registry,
        )
        self._bytes = Counter(
            "kcs_sfu_network_bytes",
            "Bytes of all transports.",
            ("direction",),
            registry=registry,
        )
        self._bitrate = Gauge(
            "kcs_sfu_network_bits_per_second",
            "Bitrate of all transports, as last looked at.",
            ("direction",),
            registry=registry,
        )
        self._available = Gauge(
            "kcs_sfu_network_available_bits_per_second",
            "What congestion control finds the receivers' networks can take, all together.",
            registry=registry,
        )
        self._rtt = Histogram(
            "kcs_sfu_rtt_seconds",
            "Round trips, sampled per receiver, and per stream of a sender.",
            ("direction",),
            buckets=_RTT_S,
            registry=registry,
        )
        self._jitter = Histogram(
            "kcs_sfu_jitter_seconds",
            "Jitter, sampled per receiver, and per stream of a sender.",
            ("direction",),
            buckets=_JITTER_S,
            registry=registry,
        )
        self._loss = Histogram(
            "kcs_sfu_packet_loss_ratio",
            "Share of packets lost, 0 to 1, sampled per transport.",
            ("direction",),
            buckets=_LOSS,
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Makes all series: Prometheus' rates do not see what one of them begins with."""
        for outcome in get_args(Outcome):
            self._connections.labels(outcome)
        for direction in get_args(Direction):
            for each in (self._bytes, self._rtt, self._jitter, self._loss):
                each.labels(direction)

    def connection(self, outcome: Outcome) -> None:
        """A transport's first connection came out so."""
        self._connections.labels(outcome).inc()

    def traffic(self, direction: Direction, count: int) -> None:
        """So many bytes more."""
        self._bytes.labels(direction).inc(count)

    def bitrates(self, received: int, sent: int, available: int) -> None:
        """Sums over all transports, in bits per second."""
        self._bitrate.labels("in").set(received)
        self._bitrate.labels("out").set(sent)
        self._available.set(available)

    def transport(self, stats: TransportStats) -> None:
        """Samples the loss of what flows now."""
        if stats["rtpRecvBitrate"] and "rtpPacketLossReceived" in stats:
            self._loss.labels("in").observe(stats["rtpPacketLossReceived"])
        if stats["rtpSendBitrate"] and "rtpPacketLossSent" in stats:
            self._loss.labels("out").observe(stats["rtpPacketLossSent"])

    def stream(self, stats: RtpStreamStats) -> None:
        """Samples jitter and round trip of a stream that flows; mediasoup says 0 for unknown."""
        if not stats["bitrate"]:
            return
        direction = "in" if stats["type"] == "inbound-rtp" else "out"
        if stats["jitter"]:
            self._jitter.labels(direction).observe(stats["jitter"] / _CLOCK_HZ[stats["kind"]])
        if stats["roundTripTime"]:
            self._rtt.labels(direction).observe(stats["roundTripTime"] / 1000)
