"""What happens to a pool's pods now: which are made, drained, taken back and deleted.

One pure function over what was seen, for SFU and for coturn pods alike. It is asked again all
the time and each answer stands alone: an operator that dies between two steps loses nothing.

A pod leaves in this order: drain mark (no new meetings), replacement where one is due, meetings
end or move, deletion when empty or at the deadline. An occupied pod is never deleted before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kcs_contracts.labels import Role
from kcs_contracts.resources.v1alpha1 import Drain, PodState, Update
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_operator.decisions.observed import ObservedPod

_CREATED_AT_ONCE = 10
"""Pods made in one step: the next step sees what became of them."""
_FORCED_S = 10.0
"""Time for the last meetings to move, at the deadline."""
TEMPLATE_CHANGED = "TemplateChanged"
SCALED_DOWN = "ScaledDown"
POOL_DELETED = "PoolDeleted"


@dataclass(frozen=True)
class Move:
    """A draining pod's meetings go elsewhere."""

    pod: ObservedPod
    forced: bool
    """At its deadline."""
    anywhere: bool = False
    """Its pool goes, and with it the only place of meetings that keep to it."""


@dataclass(frozen=True)
class Plan:
    """Steps to take, all at once; none waits for another."""

    create_slots: tuple[int, ...] = ()
    drain: tuple[tuple[ObservedPod, str], ...] = ()
    """Pods and why."""
    undrain: tuple[ObservedPod, ...] = ()
    move: tuple[Move, ...] = ()
    delete: tuple[ObservedPod, ...] = ()
    blocked: str = ""
    """Why fewer pods are made than there should be."""


@dataclass(frozen=True)
class Goal:
    """What the pods should become."""

    desired: int
    template_hash: str
    slots: int
    """Places in the pool's range of ports."""
    ports_of: Callable[[int], range] | None = None
    """The media ports of a place, where pods of another template may have the same ports."""
    drain: Drain = field(default_factory=Drain)
    update: Update = field(default_factory=Update)
    deleted: bool = False
    """The pool is deleted: everything drains."""
    settled_s: float = 3.0
    """Between the mark and the deletion of an empty pod: who was sent there has come by then."""


def plan(pods: Sequence[ObservedPod], goal: Goal, now: float) -> Plan:
    """The next steps."""
    states = {pod.uid: pod.state(now) for pod in pods}
    active = [
        pod
        for pod in pods
        if states[pod.uid] in (PodState.STARTING, PodState.READY) and not pod.in_limbo(now)
    ]
    draining = [p for p in pods if states[p.uid] is PodState.DRAINING]
    failed = _failed(pods, states, goal, now)
    if goal.deleted:
        leaving = [(pod, POOL_DELETED) for pod in active]
        return Plan(
            drain=tuple(leaving),
            move=_moves(draining, goal, now),
            delete=(*failed, *_deletable(draining, goal, now)),
        )
    outdated = [pod for pod in active if pod.template_hash != goal.template_hash]
    room = min(goal.update.max_surge, len(outdated))
    missing = goal.desired + room - len(active)
    back = _taken_back(draining, goal, missing)
    missing -= len(back)
    slots, blocked = _slots(pods, goal, max(0, missing))
    victims = _victims(active, outdated, draining, goal, states)
    return Plan(
        create_slots=slots,
        drain=victims,
        undrain=tuple(back),
        move=_moves([p for p in draining if p not in back], goal, now),
        delete=(*failed, *_deletable([p for p in draining if p not in back], goal, now)),
        blocked=blocked,
    )


def _taken_back(draining: Sequence[ObservedPod], goal: Goal, missing: int) -> list[ObservedPod]:
    """Pods that drain for a smaller pool stay when they are needed again: faster than new ones."""
    good = [
        pod
        for pod in draining
        if not pod.deleting
        and pod.drain_reason == SCALED_DOWN
        and pod.template_hash == goal.template_hash
    ]
    good.sort(key=lambda pod: (-pod.participants, pod.name))
    return good[: max(0, missing)]


def _failed(
    pods: Sequence[ObservedPod], states: dict[str, PodState], goal: Goal, now: float
) -> list[ObservedPod]:
    """Lost pods to delete. One that is only missing and has people may still carry their media: it
    has as long as one that drains."""
    failed = [pod for pod in pods if states[pod.uid] is PodState.FAILED and not pod.deleting]
    longest = _deadline_s(goal)
    return [
        pod
        for pod in failed
        if pod.ended or not pod.occupied or now - (pod.missing_since or now) >= longest
    ]


def _slots(pods: Sequence[ObservedPod], goal: Goal, missing: int) -> tuple[tuple[int, ...], str]:
    taken = {pod.slot for pod in pods}
    free = [slot for slot in range(goal.slots) if slot not in taken]
    if goal.ports_of is not None:
        used = frozenset[int]().union(*(pod.ports for pod in pods))
        free = [slot for slot in free if used.isdisjoint(goal.ports_of(slot))]
    count = min(missing, _CREATED_AT_ONCE)
    blocked = "" if len(free) >= count else "the port range is used up by pods that still drain"
    return tuple(free[:count]), blocked


def _victims(
    active: Sequence[ObservedPod],
    outdated: Sequence[ObservedPod],
    draining: Sequence[ObservedPod],
    goal: Goal,
    states: dict[str, PodState],
) -> tuple[tuple[ObservedPod, str], ...]:
    """Pods to drain: those too many, else those of an old template. The least busy first."""

    def worth(pod: ObservedPod) -> tuple[bool, bool, int, float, str]:
        current = pod.template_hash == goal.template_hash
        ready = states[pod.uid] is PodState.READY
        return (ready, current, pod.participants, pod.load + pod.reserved, pod.name)

    free = goal.drain.max_concurrent - sum(1 for pod in draining if pod.occupied)
    idle_first = sorted(active, key=worth)
    # during an update the surge may stay: nobody goes for it while old pods are there
    surplus = len(active) - goal.desired - min(goal.update.max_surge, len(outdated))
    chosen = [(pod, SCALED_DOWN) for pod in idle_first[: max(0, surplus)]]
    if not chosen and outdated:
        ready = sum(1 for pod in active if states[pod.uid] is PodState.READY)
        spare = max(0, ready - (goal.desired - goal.update.max_unavailable))
        starting = [pod for pod in outdated if not pod.ready and not pod.served]
        serving = sorted((pod for pod in outdated if pod not in starting), key=worth)
        chosen = [(pod, TEMPLATE_CHANGED) for pod in [*starting, *serving[:spare]]]
    # empty pods go at once and hold up nobody; occupied ones drain a few at a time
    empty = [each for each in chosen if not each[0].occupied]
    busy = [each for each in chosen if each[0].occupied]
    return (*empty, *busy[: max(0, free)])


def _moves(draining: Sequence[ObservedPod], goal: Goal, now: float) -> tuple[Move, ...]:
    """Meetings leave after `migrateAfter`; at once where the pod was deleted by somebody."""
    after = duration_of(goal.drain.migrate_after).total_seconds()
    deadline = duration_of(goal.drain.deadline).total_seconds()
    moves = []
    for pod in draining:
        if not pod.housed:
            continue
        age = now - pod.draining_since if pod.draining_since is not None else 0.0
        if pod.deleting or age >= after:
            moves.append(Move(pod, forced=age >= deadline, anywhere=goal.deleted))
    return tuple(moves)


def _deletable(draining: Sequence[ObservedPod], goal: Goal, now: float) -> tuple[ObservedPod, ...]:
    """Those that are marked in placement and empty, or past their deadline.

    The mark comes first: without it a meeting could come in between the look and the deletion.
    """
    deadline = _deadline_s(goal)
    gone = []
    for pod in draining:
        if pod.deleting or pod.draining_since is None:
            continue
        age = now - pod.draining_since
        if pod.role is Role.SFU:
            empty = pod.idle_since is not None and now - pod.idle_since >= goal.settled_s
        else:
            empty = not pod.occupied and (pod.marked or not pod.alive) and age >= goal.settled_s
        if empty or age >= deadline:
            gone.append(pod)
    return tuple(gone)


def _deadline_s(goal: Goal) -> float:
    """How long an occupied pod may stay."""
    return duration_of(goal.drain.deadline).total_seconds() + _FORCED_S
