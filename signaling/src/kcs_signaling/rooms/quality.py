"""How good a connection is: a word for all, and whether its owner is to be warned. Pure.

The words and their thresholds are the client guide's ("Performance Monitoring"); a round-trip time
above 200 ms is poor too, as its adaptation has it.
"""

from dataclasses import dataclass
from typing import Literal

from kcs_contracts.protocol.telemetry import ConnectionStats
from kcs_contracts.rooms import Quality as Word

Issue = Literal["bandwidth", "cpu", "network"]


@dataclass(frozen=True)
class _Bounds:
    """From above any of these on."""

    loss_percent: float
    jitter_ms: float
    rtt_ms: float

    def exceeded_by(self, stats: ConnectionStats) -> bool:
        return (
            stats.packet_loss > self.loss_percent
            or stats.jitter > self.jitter_ms
            or stats.rtt > self.rtt_ms
        )


_POOR = _Bounds(loss_percent=5, jitter_ms=50, rtt_ms=200)
_FAIR = _Bounds(loss_percent=2, jitter_ms=30, rtt_ms=150)
_WORDS: tuple[Word, ...] = ("excellent", "good", "fair", "poor")
_GOOD = _Bounds(loss_percent=1, jitter_ms=20, rtt_ms=100)


def word_for(stats: ConnectionStats) -> Word:
    """excellent, good, fair or poor."""
    if _POOR.exceeded_by(stats):
        return "poor"
    if _FAIR.exceeded_by(stats):
        return "fair"
    return "good" if _GOOD.exceeded_by(stats) else "excellent"


class WordWatch:
    """The word that is told of a connection: another one when two reports in a row call for it, so
    that one bad moment, or a connection at the edge of two words, is not told again and again."""

    def __init__(self) -> None:
        self.word: Word | None = None
        self._last: Word | None = None

    def after(self, stats: ConnectionStats, told: Word | None) -> Word:
        """The word to tell now.

        Args:
            stats: what the client reports.
            told: what was told last of this person, by another socket of theirs maybe.
        """
        now, before = word_for(stats), self._last
        self._last, held = now, self.word or told or now
        if before is not None and _step(held, before) * _step(held, now) > 0:
            held = min(before, now, key=lambda word: abs(_step(held, word)))
        self.word = held
        return held


def _step(held: Word, now: Word) -> int:
    """How much worse it is now; below 0: better."""
    return _WORDS.index(now) - _WORDS.index(held)


class QualityWatch:
    """Whether somebody is being warned: from the second bad report in a row until two are fine.

    Fine is less than fair, so that a connection at the edge is not warned of again and again.
    """

    def __init__(self) -> None:
        self.issue: Issue | None = None
        self._bad = self._fine = 0

    def after(self, stats: ConnectionStats) -> tuple[Issue, bool] | None:
        """What to say now: the issue, and whether it is over; None: nothing new."""
        issue = issue_of(stats)
        self._bad = self._bad + 1 if issue else 0
        fine = issue is None and not _FAIR.exceeded_by(stats)
        self._fine = self._fine + 1 if fine else 0
        if issue and self._bad >= 2 and issue != self.issue:
            self.issue = issue
            return issue, False
        if self.issue and self._fine >= 2:
            over, self.issue = self.issue, None
            return over, True
        return None


def issue_of(stats: ConnectionStats) -> Issue | None:
    """What is wrong, if anything is."""
    if _POOR.exceeded_by(stats):
        return "network"
    return None if stats.limited_by == "none" else stats.limited_by
