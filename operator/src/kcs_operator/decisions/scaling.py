"""How many SFU pods there should be (design, section 5).

`desired = clamp(ceil((used + max(reserved + max(scheduled within T, refused), growth x T)) /
(capacity of a pod x target)) + buffer)`, T being the measured time from a pod's creation to its
being ready. All in participants. The design adds growth to what is reserved; but those for whom
room is reserved are the growth, and would count twice. It does not name the refused: without them,
a meeting that fits no pod, or finds none, would never make the pool grow. Less than half a person,
or a hundredth of a pod, is what idle pods use, and counts for nobody while nobody is in a call. Up
at once; down only to the highest number that was wanted within the stabilisation time.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kcs_contracts.resources.v1alpha1 import SFUPoolSpec
from kcs_contracts.resources.v1alpha1.sfupool import PoolSchedule

_GROWTH_WINDOW_S = 60.0
_LONGEST_START_S = 300.0
"""A pod that took longer met trouble: what is foreseen beyond that is guesswork."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Demand:
    """What is asked of a pool, in participants."""

    used: float
    reserved: float
    unmet: float = 0.0
    """In meetings that no pod had room for; those of declared meetings are in `scheduled` too."""
    scheduled: float = 0.0
    """Expected in declared meetings that start within the time that a pod takes to start."""
    growth_per_s: float = 0.0
    occupied: bool = False
    """Somebody is in a meeting, however little load that is."""


@dataclass(frozen=True)
class Wanted:
    """How many pods, and why: `reason` is one word for metrics, `sentence` is for people."""

    pods: int
    reason: str
    sentence: str
    limited: bool = False
    """The load asks for more than `replicas.max`."""


def wanted(spec: SFUPoolSpec, demand: Demand, start_s: float, now: datetime) -> Wanted:
    """The number for this moment, before stabilisation."""
    low, high = spec.replicas.min, spec.replicas.max
    if spec.replicas.desired is not None:
        return _clamped(
            spec.replicas.desired, low, high, "Requested", "as spec.replicas.desired says"
        )
    waiting = max(demand.scheduled, demand.unmet)
    to_come = max(demand.reserved + waiting, demand.growth_per_s * start_s)
    people = demand.used + to_come
    capacity = pod_capacity(spec)
    idle = not demand.occupied and people < max(0.5, capacity / 100)
    # load is measured: without the margin, exactly full pods would ask for one more by rounding
    filled = math.ceil(people / (capacity * spec.autoscaling.target_utilization) - 1e-6)
    pods = (0 if idle else max(1, filled)) + spec.autoscaling.buffer
    why = ("Idle", "participants: none") if idle else _why(demand, start_s)
    by_load = _clamped(pods, low, high, why[0], why[1] + _kept(spec.autoscaling.buffer))
    on_schedule = [each for each in spec.autoscaling.schedules if is_on(each, now)]
    most = max(on_schedule, key=lambda schedule: schedule.replicas, default=None)
    if most is not None and most.replicas > by_load.pods:
        return _clamped(most.replicas, low, high, "Schedule", f"schedule {most.name}")
    return by_load


def pod_capacity(spec: SFUPoolSpec) -> int:
    """Participants that one pod carries when full."""
    return max(1, spec.capacity.workers * spec.capacity.consumers_per_worker // 10)


def _why(demand: Demand, start_s: float) -> tuple[str, str]:
    parts = {
        "Load": (demand.used, "in use"),
        "Reserved": (demand.reserved, "reserved"),
        "Scheduled": (demand.scheduled, "scheduled"),
        "Refused": (demand.unmet, "refused for want of room"),
        "Growth": (demand.growth_per_s * start_s, "expected while a pod starts"),
    }
    said = ", ".join(f"{value:.0f} {words}" for value, words in parts.values() if value >= 0.5)
    reason = max(parts, key=lambda name: parts[name][0])
    return reason, f"participants: {said or 'a few, with hardly any load'}"


def _kept(buffer: int) -> str:
    return f", {buffer} pod{'s' if buffer > 1 else ''} kept ready" if buffer else ""


def _clamped(pods: int, low: int, high: int, reason: str, sentence: str) -> Wanted:
    if pods > high:
        return Wanted(high, reason, f"{sentence}; replicas.max is {high}", limited=True)
    if pods < low:
        return Wanted(low, "Minimum", f"{sentence}; replicas.min is {low}")
    return Wanted(pods, reason, sentence)


def is_on(schedule: PoolSchedule, now: datetime) -> bool:
    """Whether the schedule runs at that time. An unknown time zone counts as UTC."""
    try:
        zone: tzinfo = ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = UTC
    local = now.astimezone(zone)
    clock = local.strftime("%H:%M")
    today, yesterday = (_DAYS[(local - timedelta(days=back)).weekday()] for back in (0, 1))
    if schedule.start < schedule.end:
        return today in schedule.days and schedule.start <= clock < schedule.end
    return (today in schedule.days and clock >= schedule.start) or (
        yesterday in schedule.days and clock < schedule.end
    )


class Stabiliser:
    """Remembers what was wanted: fewer pods only when fewer were enough all the time.

    It starts anew with the operator: then nothing goes for one stabilisation time.
    """

    def __init__(self, now: float):
        self._since = now
        self._seen: deque[tuple[float, int]] = deque()

    def settle(self, pods: int, current: int, window_s: float, now: float) -> int:
        """The number after stabilisation; `current` is what there should be until now."""
        while self._seen and self._seen[0][0] <= now - window_s:
            self._seen.popleft()
        while self._seen and self._seen[-1][1] <= pods:
            self._seen.pop()
        self._seen.append((now, pods))
        if pods >= current:
            return pods
        if now - self._since < window_s:
            return current
        return min(current, self._seen[0][1])


class Growth:
    """How fast the load grows: participants per second over the last minute, never below 0."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, people: float, now: float) -> float:
        """Takes a sample and answers the growth."""
        self._samples.append((now, people))
        while self._samples[0][0] < now - _GROWTH_WINDOW_S:
            self._samples.popleft()
        _, before = self._samples[0]
        return max(0.0, (people - before) / _GROWTH_WINDOW_S)


UNMEASURED_S = 30.0
"""What a pod's start is taken for before one was measured."""


def start_seconds(measured: Sequence[float], otherwise: float = UNMEASURED_S) -> float:
    """The time that a pod takes to start: the longest of the last ten that were measured."""
    return min(max(measured[-10:], default=otherwise), _LONGEST_START_S)
