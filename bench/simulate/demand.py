"""Who meets when: an office day, and lectures that begin at once. Seeded: always the same."""

from dataclasses import dataclass
from random import Random
from typing import TypeVar

_T = TypeVar("_T")
HOUR_S = 3600.0
_SHAPE = (0, 0, 0, 0, 0, 0.02, 0.05, 0.15, 0.4, 0.8, 1, 0.95, 0.45, 0.65, 0.95, 0.9, 0.65, 0.35)
"""The share of the peak that is in meetings at each hour from midnight on; 0 after 18:00."""
_SIZES = ((0.35, 2, 4), (0.4, 5, 10), (0.2, 11, 25), (0.05, 26, 60))
"""Share of the meetings, and of how many people they are."""
_LENGTHS = ((0.6, 0.5), (0.35, 1.0), (0.05, 1.5))
"""Share of the meetings, and how many hours they last."""
_SLOT_S = 1800.0


@dataclass(frozen=True)
class Gathering:
    """A meeting that is going to be."""

    id: str
    starts_at: float
    """Seconds since midnight."""
    ends_at: float
    people: tuple[tuple[float, float], ...]
    """When each comes and goes."""
    expected: int = 0
    """As whoever made it said; 0: nobody said anything."""
    declared: bool = False
    """By a Meeting object: room is kept before it starts."""


def office_day(peak: int, seed: int) -> list[Gathering]:
    """Meetings of one working day, with so many people in them at ten o'clock."""
    random = Random(seed)
    found: list[Gathering] = []
    running: list[Gathering] = []
    for slot in range(48):
        now = slot * _SLOT_S
        hour, half = divmod(slot, 2)
        now_share, next_share = _share(hour), _share(hour + 1)
        wanted = peak * (next_share + now_share) / 2 if half else peak * now_share
        running = [each for each in running if each.ends_at > now]
        there = sum(len(each.people) for each in running)
        while there < wanted:
            each = _meeting(f"office-{len(found)}", now, random)
            found.append(each)
            running.append(each)
            there += len(each.people)
    return found


def lectures(
    count: int, people: int, seed: int, *, at: float = 9 * HOUR_S, expected: int, declared: bool
) -> list[Gathering]:
    """Lectures of 90 minutes that begin at once."""
    random = Random(seed)
    return [
        _gathering(f"lecture-{number}", at, at + 1.5 * HOUR_S, people, random, expected, declared)
        for number in range(count)
    ]


def _share(hour: int) -> float:
    return _SHAPE[hour] if hour < len(_SHAPE) else 0.0


def _meeting(name: str, slot: float, random: Random) -> Gathering:
    sharp = random.random() < 0.7  # most begin on the hour or half past
    start = slot + (random.uniform(-60, 60) if sharp else random.uniform(0, _SLOT_S))
    low, high = _pick(tuple((share, (low, high)) for share, low, high in _SIZES), random)
    length = _pick(_LENGTHS, random) * HOUR_S
    start = max(0.0, start)
    return _gathering(name, start, start + length, random.randint(low, high), random, 0, False)


def _gathering(
    name: str,
    start: float,
    end: float,
    people: int,
    random: Random,
    expected: int,
    declared: bool,
) -> Gathering:
    stays = []
    for _ in range(people):
        # from three minutes before to seven after, most about half a minute late
        comes = max(0.0, start + random.triangular(-180, 420, 30))
        stays.append((comes, max(comes + 60, end + random.triangular(-300, 120, 0))))
    return Gathering(name, start, end, tuple(sorted(stays)), expected, declared)


def _pick(shares: tuple[tuple[float, _T], ...], random: Random) -> _T:
    at = random.random()
    for share, value in shares:
        at -= share
        if at < 0:
            return value
    return shares[-1][1]
