"""Which meetings there are, sorted by what has to be done for them.

A sweep looks at meetings that have begun, at those that wait for room, and at those whose SFU pod
is gone; the others cost nothing. All of it follows from the objects: it is not remembered.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kcs_contracts.ids import MeetingId
from kcs_contracts.resources.v1alpha1 import MeetingPhase, MeetingSpec
from kcs_operator.decisions.meetings import meeting_id_of, times_of

PEOPLE_AT_LEAST = 15
"""What placement reserves for a meeting at least."""
_RENEW_OPEN_S = 24 * 3600.0
_RENEW_RUNNING_S = 600.0
_LAST = "\uffff"
_SEEN = ("body", "starts_at", "ends_at", "expected", "pool", "region", "phase", "node")
"""What an entry has of its object; all else is remembered."""


@dataclass(slots=True)
class Entry:
    """A Meeting, as it was seen last."""

    name: str
    uid: str
    id: MeetingId
    body: Mapping[str, Any]
    starts_at: float
    """Unix s; without a schedule, when it was created."""
    ends_at: float | None
    expected: int
    pool: str
    region: str
    phase: str
    node: str
    written_at: float = float("-inf")
    """When its status was written last, by a clock that only goes on."""
    retry_at: float = 0.0
    """When room is looked for again."""
    held: bool = False
    """A node keeps room for it, which its status does not say yet."""
    lost_since: float | None = None
    """Since when its home is dead."""
    failures: int = 0
    """How often in a row signaling could not be asked."""
    again: bool = False
    """It is to be registered again, whatever its status says."""

    @property
    def status(self) -> Mapping[str, Any]:
        """As the API server has it."""
        found: Mapping[str, Any] = self.body.get("status") or {}
        return found

    def condition(self, kind: str) -> Mapping[str, Any]:
        """One of its conditions; empty when it has none of that type."""
        conditions = self.status.get("conditions") or ()
        return next((each for each in conditions if each["type"] == kind), {})

    @property
    def is_registered(self) -> bool:
        """Signaling knows it, in some generation."""
        mine = self.status.get("meetingId") == self.id
        return mine and self.condition("Registered").get("status") == "True"

    def is_settled(self, now: float) -> bool:
        """Its spec needs nothing: signaling has it so, or refuses it, or it is over."""
        if self.again:
            return False
        if self.phase == MeetingPhase.ENDED:
            return self.status.get("meetingId") in (None, self.id)
        if self.status.get("observedGeneration") != self.body["metadata"]["generation"]:
            return False
        if self.condition("Registered").get("reason") == "Refused":
            return True
        return self.is_registered and self.has_token(now)

    def has_token(self, now: float) -> bool:
        """Its Secret has a token that is good for long enough."""
        expires = self.status.get("tokenExpiresAt")
        if "tokenSecretRef" not in self.status or expires is None:
            return False
        left = datetime.fromisoformat(expires).timestamp() - now
        if self.ends_at is None:
            return left > _RENEW_OPEN_S
        return self.phase != MeetingPhase.ACTIVE or left > _RENEW_RUNNING_S

    @property
    def waits(self) -> bool:
        """It is to have room once its time comes."""
        return self.phase == MeetingPhase.SCHEDULED and self.is_registered


class Index:
    """All meetings of the namespace."""

    def __init__(self) -> None:
        self._by_name: dict[str, Entry] = {}
        self._by_id: dict[MeetingId, str] = {}
        self._active: set[str] = set()
        self._ready_on: defaultdict[str, set[str]] = defaultdict(set)
        self._waiting: list[tuple[float, str]] = []
        self.phases: Counter[str] = Counter()
        """How many meetings are in each phase."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Entry | None:
        """The entry of that name."""
        return self._by_name.get(name)

    def of_id(self, meeting_id: MeetingId) -> Entry | None:
        """The entry whose meeting has that id."""
        return self._by_name.get(self._by_id.get(meeting_id, ""))

    def put(self, body: Mapping[str, Any]) -> Entry:
        """Takes a Meeting as it is now; of the same object the entry stays the same one."""
        entry = _entry(body)
        before = self.remove(entry.name)
        if before is not None and before.uid == entry.uid:
            for name in _SEEN:
                setattr(before, name, getattr(entry, name))
            entry = before
        self._by_name[entry.name] = entry
        self._by_id[entry.id] = entry.name
        self.phases[entry.phase] += 1
        if entry.phase == MeetingPhase.ACTIVE:
            self._active.add(entry.name)
        elif entry.phase == MeetingPhase.READY and entry.node:
            self._ready_on[entry.node].add(entry.name)
        elif entry.waits:
            insort(self._waiting, (entry.starts_at, entry.name))
        return entry

    def remove(self, name: str) -> Entry | None:
        """The Meeting is gone."""
        entry = self._by_name.pop(name, None)
        if entry is None:
            return None
        del self._by_id[entry.id]
        self.phases[entry.phase] -= 1
        self._active.discard(name)
        if entry.node in self._ready_on:
            self._ready_on[entry.node].discard(name)
            if not self._ready_on[entry.node]:
                del self._ready_on[entry.node]
        place = bisect_left(self._waiting, (entry.starts_at, name))
        if self._waiting[place : place + 1] == [(entry.starts_at, name)]:
            del self._waiting[place]
        return entry

    def active(self) -> list[Entry]:
        """Those that have begun and are not over."""
        return [self._by_name[name] for name in self._active]

    def ready_beyond(self, nodes: set[str]) -> list[Entry]:
        """Those that nobody came to, whose room is on none of these nodes."""
        gone = [names for node, names in self._ready_on.items() if node not in nodes]
        return [self._by_name[name] for names in gone for name in names]

    def waiting(self, until: float) -> list[Entry]:
        """Those without room that start until then, the first first."""
        last = bisect_right(self._waiting, (until, _LAST))
        return [self._by_name[name] for _, name in self._waiting[:last]]


def pool_for(entry: Entry, pools: Mapping[str, str]) -> str | None:
    """The pool that is to have room for a meeting: its own, else one of its region, else any.

    Args:
        pools: each pool's region.
    """
    if entry.pool:
        return entry.pool if entry.pool in pools else None
    near = [name for name, region in pools.items() if region == entry.region]
    return min(near or pools, default=None)


def scheduled_participants(
    index: Index, pool: str, pools: Mapping[str, str], now: float, horizon_s: float, most: int
) -> int:
    """People who are expected in meetings of the pool that start within the horizon, or should have
    started, and that no node has room for yet. `most`: what one pod carries, and so what a meeting
    can have of the pool."""
    return sum(
        min(max(entry.expected, PEOPLE_AT_LEAST), most)
        for entry in index.waiting(now + horizon_s)
        if not entry.held
        and pool_for(entry, pools) == pool
        and (entry.ends_at is None or entry.ends_at > now)
    )


def _entry(body: Mapping[str, Any]) -> Entry:
    meta, status = body["metadata"], body.get("status") or {}
    spec = body["spec"]
    start, end = _times(spec)
    created = datetime.fromisoformat(meta["creationTimestamp"]).timestamp()
    return Entry(
        name=meta["name"],
        uid=meta["uid"],
        id=meeting_id_of(meta["uid"]),
        body=body,
        starts_at=created if start is None else start,
        ends_at=end,
        expected=int(spec.get("expectedParticipants", PEOPLE_AT_LEAST)),
        pool=(spec.get("poolRef") or {}).get("name", ""),
        region=spec.get("region", ""),
        phase=status.get("phase", ""),
        node=status.get("node", ""),
    )


def _times(spec: Mapping[str, Any]) -> tuple[float | None, float | None]:
    if spec.get("schedule") is None:
        return None, None
    try:
        return times_of(MeetingSpec.model_validate(spec))
    except ValueError:
        return None, None  # refused when it is registered
