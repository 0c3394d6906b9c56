"""How busy the node is: CPU of its own process and its workers, over the cores that it may use.

And what a process takes of the machine, for the metrics.
"""

import time
from collections.abc import Iterable

import psutil

from kcs_sfu.agent.settings import usable_cores

_SMOOTHING = 0.5
"""Weight of the newest second: a burst shows within two renewals, a spike fades as fast."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 when it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def memory_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


class CpuLoad:
    """CPU use between samples, 0 to 1 of all cores."""

    def __init__(self) -> None:
        self._cores = usable_cores()
        self._at = time.monotonic()
        self._used: dict[int, float] = {}
        self._value = 0.0

    def sample(self, pids: Iterable[int]) -> float:
        """The smoothed load since the last sample; a process that is new counts from now on."""
        now, used = time.monotonic(), {pid: cpu_seconds(pid) for pid in pids}
        elapsed = now - self._at
        if elapsed < 0.1:
            return self._value
        busy = sum(max(0.0, s - self._used.get(pid, s)) for pid, s in used.items())
        newest = min(1.0, busy / (elapsed * self._cores))
        self._value += _SMOOTHING * (newest - self._value)
        self._at, self._used = now, used
        return self._value
