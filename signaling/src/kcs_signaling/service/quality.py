"""What clients report of their connections: kept for the meeting and on record, and judged
(`rooms.quality`)."""

import time

from kcs_contracts.ids import UserId
from kcs_contracts.models import Contract
from kcs_contracts.placement import Placement
from kcs_contracts.protocol.telemetry import ConnectionStats
from kcs_contracts.protocol.views import Measured
from kcs_signaling.metrics import (
    REPORTED_BITRATE,
    REPORTED_JITTER,
    REPORTED_LOSS,
    REPORTED_RTT,
    WARNINGS,
)
from kcs_signaling.records.journal import Journal
from kcs_signaling.records.stats import StatsSample
from kcs_signaling.rooms.peer import Peer
from kcs_signaling.rooms.quality import Issue
from kcs_signaling.service.guard import redis_calls

FRESH_S = 15.0
"""Older reports do not count in what is told of the meeting."""


class _Report(Contract):
    """What a client said, as it is kept for a minute."""

    at: float
    rtt: float
    jitter: float
    loss: float
    bitrate: float


class Quality:
    """Takes reports in, and sums a meeting's up."""

    def __init__(self, placement: Placement, journal: Journal):
        self._placement, self._journal = placement, journal

    async def report(self, peer: Peer, stats: ConnectionStats) -> tuple[Issue, bool] | None:
        """Keeps a report; answers what the peer is to be warned of, see `QualityWatch.after`."""
        seat, now = peer.seated(), time.time()
        self._journal.sampled(
            StatsSample(
                meeting_id=seat.room.id,
                user_id=UserId(seat.participant_id),
                at=now,
                rtt_ms=stats.rtt,
                jitter_ms=stats.jitter,
                loss_percent=stats.packet_loss,
                bitrate_bps=stats.bitrate,
            )
        )
        REPORTED_RTT.observe(stats.rtt / 1000)
        REPORTED_JITTER.observe(stats.jitter / 1000)
        REPORTED_LOSS.observe(stats.packet_loss / 100)
        REPORTED_BITRATE.observe(stats.bitrate)
        kept = _Report(
            at=now,
            rtt=stats.rtt,
            jitter=stats.jitter,
            loss=stats.packet_loss,
            bitrate=stats.bitrate,
        )
        word = seat.word.after(stats, seat.now.quality)
        async with redis_calls():
            await self._placement.report_stats(
                seat.room.id, seat.participant_id, kept.model_dump(), word
            )
        told = seat.watch.after(stats)
        if told is not None and not told[1]:
            WARNINGS.labels(told[0]).inc()
        return told

    async def summed_up(self, peer: Peer) -> Measured:
        """How everybody's connections are in the peer's meeting."""
        async with redis_calls():
            texts = await self._placement.reported_stats(peer.seated().room.id)
        return sum_up([_Report.model_validate_json(text) for text in texts], time.time())


def sum_up(reports: list[_Report], now: float) -> Measured:
    """Averages over the reports that are fresh."""
    fresh = [each for each in reports if each.at > now - FRESH_S]
    count = len(fresh) or 1
    return {
        "participants": len(fresh),
        "rtt_ms": round(sum(r.rtt for r in fresh) / count, 1),
        "jitter_ms": round(sum(r.jitter for r in fresh) / count, 1),
        "packet_loss_percent": round(sum(r.loss for r in fresh) / count, 2),
        "bitrate_bps": round(sum(r.bitrate for r in fresh) / count),
    }
