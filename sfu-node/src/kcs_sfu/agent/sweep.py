"""Looks at all transports every ten seconds, a few at a time: traffic, loss, jitter, round trips.

Of a sender it asks for the transport and its streams, of a receiver for the transport and one of
its streams: all of them share its path. A large node is swept more slowly, not at a higher cost.
What flowed after the last look at a transport that has closed is not counted.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from weakref import WeakKeyDictionary

from kcs_contracts.node_api import Direction
from kcs_sfu.agent.participant import Participant
from kcs_sfu.agent.quality import Quality
from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.errors import MediasoupError
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.stats import TransportStats
from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport

_EVERY_S = 10.0
_AT_ONCE = 10
_STEP_S = 0.1


class Sweep:
    """Samples into `quality`; `egress_bps` is the traffic to browsers, as last seen."""

    def __init__(self, participants: Callable[[], Iterable[Participant]], quality: Quality):
        self._participants, self._quality = participants, quality
        self._seen: WeakKeyDictionary[WebRtcTransport, tuple[int, int]] = WeakKeyDictionary()
        """Bytes received and sent, when it was looked at last."""
        self.egress_bps = 0

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            started = time.monotonic()
            await self.once()
            await asyncio.sleep(max(_STEP_S, started + _EVERY_S - time.monotonic()))

    async def once(self) -> None:
        """One sweep over what is there now."""
        looks = [
            (transport, _streams(participant, direction))
            for participant in self._participants()
            for direction, transport in participant.transports.items()
        ]
        received = sent = available = 0
        for start in range(0, len(looks), _AT_ONCE):
            some = looks[start : start + _AT_ONCE]
            for stats in await asyncio.gather(*(self._look(*look) for look in some)):
                if stats is not None:
                    received += stats["recvBitrate"]
                    sent += stats["sendBitrate"]
                    available += stats.get("availableOutgoingBitrate", 0)
            await asyncio.sleep(_STEP_S)
        self.egress_bps = sent
        self._quality.bitrates(received, sent, available)

    async def _look(
        self, transport: WebRtcTransport, streams: Sequence[Producer | Consumer]
    ) -> TransportStats | None:
        """None when it closed meanwhile, or its worker does not answer."""
        stats = None
        with suppress(MediasoupError):
            [stats] = await transport.get_stats()
            self._count(transport, stats)
            for stream in streams:
                # a consumer's stats have its producer's stream too
                own = "outbound-rtp" if isinstance(stream, Consumer) else "inbound-rtp"
                for entry in await stream.get_stats():
                    if entry["type"] == own:
                        self._quality.stream(entry)
        return stats

    def _count(self, transport: WebRtcTransport, stats: TransportStats) -> None:
        received, sent = self._seen.get(transport, (0, 0))
        self._seen[transport] = stats["bytesReceived"], stats["bytesSent"]
        self._quality.traffic("in", stats["bytesReceived"] - received)
        self._quality.traffic("out", stats["bytesSent"] - sent)
        self._quality.transport(stats)


def _streams(participant: Participant, direction: Direction) -> Sequence[Producer | Consumer]:
    if direction == "send":
        return list(participant.producers.values())
    return [c for c in participant.consumers.values() if not c.paused][:1]
