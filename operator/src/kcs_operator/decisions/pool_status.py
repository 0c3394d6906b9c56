"""What a pool's status says: counts, capacity, conditions. The same while nothing changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from kcs_contracts.labels import Role, pool_labels, selector_text
from kcs_contracts.resources.v1alpha1 import (
    Condition,
    PodState,
    PoolCapacity,
    PoolPod,
    SFUPool,
    SFUPoolStatus,
)
from kcs_contracts.resources.v1alpha1.sfupool_status import RoleCounts
from kcs_operator.decisions.observed import ObservedPod
from kcs_operator.decisions.scaling import Wanted

_PODS_SHOWN = 100
_LONG_START_S = 120.0
"""Pods that are not ready so long after their creation have met trouble."""
_NEVER_SERVED = ("Starting", "ScaledToZero")


@dataclass(frozen=True)
class Seen:
    """What the status is made from."""

    name: str
    generation: int
    pods: Sequence[ObservedPod]
    sfu_hash: str
    turn_hash: str
    desired: int
    wanted: Wanted
    desired_turn: int
    start_seconds: float
    problem: str = ""
    """Why the operator could not do all that it wanted; empty when it could."""
    blocked: str = ""
    paused: bool = False
    deleted: bool = False


def status(pool: SFUPool, seen: Seen, now: float, stamp: str) -> SFUPoolStatus:
    """The new status; times of former conditions and scalings are kept."""
    sfu = [pod for pod in seen.pods if pod.role is Role.SFU]
    turn = [pod for pod in seen.pods if pod.role is Role.TURN]
    counts = _counts(sfu, now)
    before = pool.status
    scaled = seen.desired != before.desired_replicas or before.last_scale_time is None
    return SFUPoolStatus(
        observed_generation=seen.generation,
        replicas=counts.starting + counts.ready,
        ready_replicas=counts.ready,
        desired_replicas=seen.desired,
        selector=selector_text(pool_labels(seen.name, Role.SFU)),
        sfu=counts,
        turn=_counts(turn, now),
        desired_turn_replicas=seen.desired_turn,
        capacity=capacity(sfu, now),
        participants=sum(pod.participants for pod in sfu),
        meetings=sum(len(pod.housed) for pod in sfu),
        start_seconds=round(seen.start_seconds),
        last_scale_reason=seen.wanted.sentence if scaled else before.last_scale_reason,
        last_scale_time=stamp if scaled else before.last_scale_time,
        pods=tuple(_shown(pod, seen, now) for pod in [*sfu, *turn][:_PODS_SHOWN]),
        conditions=_conditions(pool, seen, counts, now, stamp),
    )


def capacity(sfu: Sequence[ObservedPod], now: float) -> PoolCapacity:
    """Of the pods that are ready, in participants."""
    ready = [pod for pod in sfu if pod.state(now) is PodState.READY]
    total = sum(pod.capacity for pod in ready)
    used = round(sum(pod.load * pod.capacity for pod in ready))
    reserved = round(sum(pod.reserved * pod.capacity for pod in ready))
    return PoolCapacity(
        total=total, used=used, reserved=reserved, free=max(0, total - used - reserved)
    )


def _counts(pods: Sequence[ObservedPod], now: float) -> RoleCounts:
    states = [pod.state(now) for pod in pods]
    return RoleCounts(
        starting=states.count(PodState.STARTING),
        ready=states.count(PodState.READY),
        draining=states.count(PodState.DRAINING),
        failed=states.count(PodState.FAILED),
    )


def _shown(pod: ObservedPod, seen: Seen, now: float) -> PoolPod:
    current = seen.sfu_hash if pod.role is Role.SFU else seen.turn_hash
    return PoolPod(
        name=pod.name,
        role=pod.role.value,
        state=pod.state(now),
        address=pod.address,
        meetings=len(pod.housed),
        participants=pod.participants,
        load=f"{pod.load + pod.reserved:.1f}",
        current=pod.template_hash == current,
    )


def _conditions(
    pool: SFUPool, seen: Seen, counts: RoleCounts, now: float, stamp: str
) -> tuple[Condition, ...]:
    former = {each.type: each for each in pool.status.conditions}
    found = (
        _available(former.get("Available"), counts, seen, now),
        _progressing(seen, counts, now),
        _limited(pool, seen),
        _exhausted(pool, seen, counts, now),
        _degraded(seen, counts, now),
    )
    return tuple(
        each.model_copy(update={"observed_generation": seen.generation}).told_after(
            former.get(each.type), stamp
        )
        for each in found
    )


def _condition(type_: str, holds: bool, reason: str, message: str) -> Condition:
    return Condition(
        type=type_, status="True" if holds else "False", reason=reason, message=message
    )


def _available(before: Condition | None, counts: RoleCounts, seen: Seen, now: float) -> Condition:
    if counts.ready:
        return _condition("Available", True, "PodsReady", "The pool takes meetings.")
    if seen.desired == 0:
        return _condition("Available", False, "ScaledToZero", "There shall be no pod.")
    staying = [pod for pod in seen.pods if pod.role is Role.SFU and not pod.draining]
    late = any(now - pod.created_at > _LONG_START_S for pod in staying)
    if not late and (before is None or before.reason in _NEVER_SERVED):
        return _condition("Available", False, "Starting", "The first pods start.")
    return _condition("Available", False, "NoPodReady", "No pod is ready to take meetings.")


def _progressing(seen: Seen, counts: RoleCounts, now: float) -> Condition:
    old = any(
        pod.template_hash != (seen.sfu_hash if pod.role is Role.SFU else seen.turn_hash)
        for pod in seen.pods
        if pod.state(now) in (PodState.READY, PodState.STARTING)
    )
    if seen.deleted:
        return _condition("Progressing", True, "Deleting", "The pods drain before the pool goes.")
    if seen.paused:
        return _condition("Progressing", False, "Paused", "spec.paused: nothing is changed.")
    if old:
        return _condition("Progressing", True, "Updating", "Pods of an old template are replaced.")
    if counts.starting or counts.draining or counts.ready != seen.desired:
        return _condition("Progressing", True, "Scaling", "Pods come or go.")
    return _condition("Progressing", False, "Settled", "The pods are as they should be.")


def _limited(pool: SFUPool, seen: Seen) -> Condition:
    if seen.wanted.limited:
        most = pool.spec.replicas.max
        text = f"The load asks for more pods than replicas.max ({most})."
        return _condition("ScalingLimited", True, "TooManyNeeded", text)
    if seen.blocked:
        return _condition("ScalingLimited", True, "Blocked", f"No more pods: {seen.blocked}.")
    return _condition("ScalingLimited", False, "WithinLimits", "The pool may grow as it needs.")


def _exhausted(pool: SFUPool, seen: Seen, counts: RoleCounts, now: float) -> Condition:
    """Would a meeting of ordinary size find room?"""
    stuck = [pod for pod in seen.pods if pod.unschedulable and not pod.deleting]
    if stuck:
        text = "The cluster has no room for a pod: it cannot be scheduled."
        return _condition("CapacityExhausted", True, "Unschedulable", text)
    sfu = [pod for pod in seen.pods if pod.role is Role.SFU]
    if counts.ready and capacity(sfu, now).free < min(15, pool.spec.replicas.max * 15):
        text = "Less than a meeting of 15 people has room."
        return _condition("CapacityExhausted", True, "Full", text)
    return _condition("CapacityExhausted", False, "RoomLeft", "Meetings have room.")


def _degraded(seen: Seen, counts: RoleCounts, now: float) -> Condition:
    if seen.problem:
        return _condition("Degraded", True, "OperatorBlocked", seen.problem)
    if counts.failed:
        return _condition("Degraded", True, "PodsLost", "Pods were lost and are replaced.")
    late = [pod for pod in seen.pods if pod.served and pod.missing_since and not pod.draining]
    if late and any(now - (pod.missing_since or now) > 10 for pod in late):
        return _condition("Degraded", True, "PodsMissing", "Pods that served do not answer.")
    return _condition("Degraded", False, "AsExpected", "Nothing is wrong.")
