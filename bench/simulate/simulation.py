"""A day of a pool, event by event: people come and go, and the operator looks every few seconds.

What it decides with is the operator's own: `decisions.scaling` and `decisions.pods`. Placement's
choice is `placing`'s. The rest is what the operator's handlers, the pods and the clients do.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random

from bench.simulate.demand import Gathering
from bench.simulate.placing import PEOPLE_AT_LEAST, RETRY_S, Node, Placing, Room

from kcs_contracts.ids import Epoch, MeetingId
from kcs_contracts.labels import Role
from kcs_contracts.placement.models import Housed
from kcs_contracts.placement.survey import UNMET_MS
from kcs_contracts.resources.v1alpha1 import PodState, SFUPoolSpec
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_operator.decisions import scaling
from kcs_operator.decisions.observed import CONSUMERS_EACH, ObservedPod
from kcs_operator.decisions.pods import Goal, Move, Plan, plan
from kcs_operator.handlers.meeting_steps import AHEAD_S
from kcs_operator.manifests.sfu_pod import slots

MIDNIGHT = datetime(2027, 3, 1, tzinfo=UTC).timestamp()
"""A Monday begins."""
_MOVED_AT_ONCE = 5
"""As `handlers.pool_steps`: meetings that begin to move in one step."""
_PATIENCE_S = 120.0
"""Who is refused for so long gives up."""
_HASH = "now"


@dataclass(frozen=True)
class Conditions:
    """What is the same all day."""

    spec: SFUPoolSpec
    start_s: float
    """From a pod's creation to Ready, a third more or less."""
    tick_s: float = 5.0
    """How often the operator looks; a real one each second."""
    ahead_s: float = AHEAD_S
    """So long before its start, and a pod's start time before that, a declared meeting has room."""
    seed: int = 1


@dataclass(frozen=True)
class Sample:
    """One moment."""

    at: float
    people: int
    ready: int
    pods: int
    """All that there are: those that start or drain, too."""
    desired: int
    refused: int
    """People who were refused since the last one, each once."""
    fullest: float
    """Load of the fullest pod."""
    capacity: int
    """People whom all pods that are ready carry."""


@dataclass
class Outcome:
    """What came of it."""

    samples: list[Sample] = field(default_factory=list)
    joined: int = 0
    refused: int = 0
    """People who were told NO_CAPACITY at least once."""
    gave_up: int = 0
    longest_wait_s: float = 0.0
    waited_s: float = 0.0
    """Of all who were refused and came in later."""
    moved: int = 0
    """People whose meeting moved under them."""
    cut: int = 0
    """People who were on a pod when it was deleted."""
    pods_made: int = 0
    most_pods: int = 0
    pod_s: float = 0.0
    overloaded_pod_s: float = 0.0
    """Time that pods had more people than they carry."""
    left_in: int = 0
    """People who are still in when it ends."""


@dataclass(eq=False)
class _Pod:
    node: Node
    slot: int
    created_at: float
    ready_at: float
    ready: bool = False
    drain_reason: str | None = None
    draining_since: float | None = None


class Simulation:
    """One run; `run` it once."""

    def __init__(self, gatherings: Sequence[Gathering], conditions: Conditions):
        self._all, self._when = gatherings, conditions
        self._random = Random(conditions.seed)
        self._placing = Placing("packed" if conditions.spec.placement == "Packed" else "spread")
        self._rooms = {each.id: Room(each.id, each.expected) for each in gatherings}
        self._pods: dict[str, _Pod] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self._most = scaling.pod_capacity(conditions.spec)
        self._stabiliser = scaling.Stabiliser(0.0)
        self._growth = scaling.Growth()
        self._starts: list[float] = []
        self._desired = conditions.spec.replicas.min
        self._inside = 0
        self._refused_lately = 0
        self._unmet: dict[str, tuple[float, int]] = {}
        self._waiting: set[str] = set()
        self.outcome = Outcome()

    def run(self, begin: float, end: float, sample_s: float = 60.0) -> Outcome:
        """From one time of the day to another, in s since midnight."""
        self._now, self._stabiliser = begin, scaling.Stabiliser(begin)
        for _ in range(self._when.spec.replicas.min):
            self._create(self._free_slot()).ready_at = begin
        for each in self._all:
            self._announce(each, begin)
        self._at(begin, self._tick)
        self._at(begin, lambda: self._sample(sample_s))
        while self._events and self._events[0][0] <= end:
            self._now, _, event = heapq.heappop(self._events)
            event()
        self.outcome.left_in = self._inside
        return self.outcome

    def _at(self, time: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), event))

    # -- people

    def _announce(self, gathering: Gathering, begin: float) -> None:
        if gathering.ends_at <= begin:
            return
        room = self._rooms[gathering.id]
        for comes, goes in gathering.people:
            if comes >= begin:
                self._at(comes, partial(self._come, room, comes, goes))
        last = max(goes for _, goes in gathering.people)
        self._at(last + 1, lambda: self._placing.end(room))
        if gathering.declared:
            self._waiting.add(gathering.id)
            ahead = scaling.start_seconds(self._starts, self._when.start_s) + self._when.ahead_s
            at = max(begin, gathering.starts_at - ahead)
            self._at(at, lambda: self._keep_room(gathering))

    def _come(self, room: Room, since: float, goes: float) -> None:
        """Somebody wants in, for the first time or again."""
        if self._placing.assign(room, self._now):
            self._waiting.discard(room.id)
            self._unmet.pop(room.id, None)
            room.people += 1
            self._inside += 1
            self.outcome.joined += 1
            waited = self._now - since
            self.outcome.waited_s += waited
            self.outcome.longest_wait_s = max(self.outcome.longest_wait_s, waited)
            self._at(max(goes, self._now), lambda: self._go(room))
            return
        self._unmet[room.id] = (self._now, max(room.expected, PEOPLE_AT_LEAST))
        if self._now == since:
            self.outcome.refused += 1
            self._refused_lately += 1
        if self._now - since >= _PATIENCE_S:
            self.outcome.gave_up += 1
        else:
            self._at(self._now + RETRY_S, lambda: self._come(room, since, goes))

    def _go(self, room: Room) -> None:
        room.people -= 1
        self._inside -= 1

    def _keep_room(self, gathering: Gathering) -> None:
        """The operator's look for room for a declared meeting."""
        if gathering.id not in self._waiting or self._now > gathering.ends_at:
            return
        if self._placing.assign(self._rooms[gathering.id], self._now):
            self._waiting.discard(gathering.id)
        else:
            self._at(self._now + RETRY_S, lambda: self._keep_room(gathering))

    # -- the operator

    def _tick(self) -> None:
        for pod in self._pods.values():
            if not pod.ready and self._now >= pod.ready_at:
                pod.ready = pod.node.alive = True
                self._starts.append(pod.ready_at - pod.created_at)
        pods = sorted(self._observe(), key=lambda pod: pod.name)
        self._desired = self._wanted(pods)
        goal = Goal(
            desired=self._desired,
            template_hash=_HASH,
            slots=slots(self._when.spec),
            drain=self._when.spec.drain,
            update=self._when.spec.update,
        )
        self._take(plan(pods, goal, self._now))
        self._account(pods)
        self._at(self._now + self._when.tick_s, self._tick)

    def _observe(self) -> Iterator[ObservedPod]:
        for pod in self._pods.values():
            node = pod.node
            housed = tuple(
                Housed(MeetingId(room.id), Epoch(1), room.people) for room in node.rooms.values()
            )
            yield ObservedPod(
                name=node.name,
                uid=node.name,
                role=Role.SFU,
                template_hash=_HASH,
                slot=pod.slot,
                created_at=pod.created_at,
                ready=pod.ready,
                alive=node.alive,
                drain_reason=pod.drain_reason,
                draining_since=pod.draining_since,
                marked=node.draining,
                load=node.load,
                reserved=node.reserved_load(self._now),
                capacity=node.capacity // CONSUMERS_EACH,
                housed=housed,
            )

    def _wanted(self, pods: Sequence[ObservedPod]) -> int:
        """As `handlers.pools.Pools._wanted`."""
        spec, now = self._when.spec, self._now
        serving = [pod for pod in pods if pod.alive]
        used = sum(pod.load * pod.capacity for pod in serving)
        reserved = sum(pod.reserved * pod.capacity for pod in serving)
        start_s = scaling.start_seconds(self._starts)
        demand = scaling.Demand(
            used=used,
            reserved=reserved,
            unmet=self._refused_now(),
            scheduled=self._scheduled(start_s + self._when.ahead_s),
            growth_per_s=self._growth.add(used + reserved, now),
        )
        clock = datetime.fromtimestamp(MIDNIGHT + now, UTC)
        wish = scaling.wanted(spec, demand, start_s, clock)
        window = duration_of(spec.autoscaling.scale_down_stabilization).total_seconds()
        settled = self._stabiliser.settle(wish.pods, self._desired, window, now)
        return max(spec.replicas.min, min(spec.replicas.max, settled))

    def _refused_now(self) -> int:
        """As `Placement.unmet`."""
        since = self._now - UNMET_MS / 1000
        self._unmet = {room: row for room, row in self._unmet.items() if row[0] >= since}
        return sum(min(people, self._most) for _, people in self._unmet.values())

    def _scheduled(self, horizon_s: float) -> int:
        """As `decisions.meeting_index.scheduled_participants`."""
        return sum(
            min(max(each.expected, PEOPLE_AT_LEAST), self._most)
            for each in self._all
            if each.id in self._waiting
            and each.starts_at <= self._now + horizon_s
            and each.ends_at > self._now
        )

    def _take(self, steps: Plan) -> None:
        """As `handlers.pool_steps.PoolSteps.take`."""
        for slot in steps.create_slots:
            self._create(slot)
        for observed, reason in steps.drain:
            pod = self._pods[observed.name]
            pod.node.draining = True
            pod.drain_reason, pod.draining_since = reason, self._now
        for observed in steps.undrain:
            pod = self._pods[observed.name]
            pod.drain_reason = pod.draining_since = None
            pod.node.draining = False
        for move in steps.move:
            self._move(move)
        for observed in steps.delete:
            pod = self._pods.pop(observed.name)
            self.outcome.cut += pod.node.people
            self._placing.gone(pod.node)

    def _move(self, move: Move) -> None:
        node = self._pods[move.pod.name].node
        rooms = sorted(node.rooms.values(), key=lambda room: room.people)
        for room in rooms if move.forced else rooms[:_MOVED_AT_ONCE]:
            if self._placing.evict(room, self._now):
                self.outcome.moved += room.people

    def _create(self, slot: int) -> _Pod:
        number = self.outcome.pods_made = self.outcome.pods_made + 1
        each = self._when.spec.capacity
        node = Node(f"pod-{number:05}", each.workers * each.consumers_per_worker, alive=False)
        took = self._when.start_s * self._random.uniform(2 / 3, 4 / 3)
        pod = _Pod(node, slot, self._now, self._now + took)
        self._pods[node.name] = pod
        self._placing.nodes[node.name] = node
        return pod

    def _free_slot(self) -> int:
        taken = {pod.slot for pod in self._pods.values()}
        return next(slot for slot in itertools.count() if slot not in taken)

    # -- what is told

    def _account(self, pods: Sequence[ObservedPod]) -> None:
        out, tick_s = self.outcome, self._when.tick_s
        out.most_pods = max(out.most_pods, len(self._pods))
        out.pod_s += len(self._pods) * tick_s
        out.overloaded_pod_s += sum(1 for pod in pods if pod.load > 1) * tick_s

    def _sample(self, every_s: float) -> None:
        pods = list(self._observe())
        ready = [pod for pod in pods if pod.state(self._now) is PodState.READY]
        sample = Sample(
            at=self._now,
            people=self._inside,
            ready=len(ready),
            pods=len(pods),
            desired=self._desired,
            refused=self._refused_lately,
            fullest=max((pod.load for pod in pods), default=0.0),
            capacity=sum(pod.capacity for pod in ready),
        )
        self._refused_lately = 0
        self.outcome.samples.append(sample)
        self._at(self._now + every_s, lambda: self._sample(every_s))
