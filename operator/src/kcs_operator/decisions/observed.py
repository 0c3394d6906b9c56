"""What is there: pods as the Kubernetes API has them, joined with what placement knows of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from kcs_contracts.labels import DRAIN_REQUESTED, ROLE, TEMPLATE_HASH, Role
from kcs_contracts.placement import NodeView
from kcs_contracts.placement.models import Housed
from kcs_contracts.resources.v1alpha1 import PodState
from kcs_operator.manifests.names import ADDRESS, ANNOUNCED, DRAINING_SINCE, SLOT

CONSUMERS_EACH = 10
"""Consumers that placement counts for one participant."""
_LIMBO_AFTER_S = 10.0
_LOST_AFTER_S = 40.0
"""A pod that served and is missing for so long is lost, whatever its Kubernetes node says."""
_NEVER_READY_S = 600.0
"""A pod that is not ready so long after its creation is made anew."""


@dataclass(frozen=True)
class ObservedPod:
    """A pod of a pool."""

    name: str
    uid: str
    role: Role
    template_hash: str
    slot: int
    """Its place in the pool's range of ports when it was made."""
    created_at: float
    ready: bool
    """The kubelet says so: for an SFU pod, its lease was held."""
    ready_at: float | None = None
    """Since when, if it is."""
    missing_since: float | None = None
    """Since when it does not serve: an SFU pod has no live lease, a coturn pod is not ready."""
    served: bool = False
    """It did at some time."""
    idle_since: float | None = None
    """Since when an SFU pod that drains has its mark in placement, and nobody, without a break."""
    restarts: int = 0
    address: str = ""
    deleting: bool = False
    ended: bool = False
    """Its containers have ended, or its Kubernetes node took it away."""
    unschedulable: bool = False
    drain_reason: str | None = None
    draining_since: float | None = None
    """Counts only while there is a reason."""
    stale_drain: bool = False
    """It has the time of a drain that was taken back."""
    alive: bool = False
    """Placement has a live lease of it."""
    known: bool = False
    """Placement had one within the last hour."""
    marked: bool = False
    """Placement has a drain mark of it."""
    load: float = 0.0
    reserved: float = 0.0
    capacity: int = 0
    """Participants that it carries."""
    housed: tuple[Housed, ...] = field(default=())
    allocations: int = 0
    """Relayed connections of a coturn pod."""
    ip: str = ""
    """In the cluster's network."""
    ports: frozenset[int] = frozenset()
    """Of its media."""

    @property
    def participants(self) -> int:
        """People in its meetings; of a coturn pod, connections that it relays."""
        return self.allocations + sum(each.people for each in self.housed)

    @property
    def occupied(self) -> bool:
        """Somebody would notice if it went."""
        return self.participants > 0

    @property
    def draining(self) -> bool:
        """It is to go."""
        return self.deleting or self.drain_reason is not None

    def state(self, now: float) -> PodState:
        """Where it is in its life."""
        if self.ended or self._is_lost(now):
            return PodState.FAILED
        if self.draining:
            return PodState.DRAINING
        serving = self.ready and (self.role is Role.TURN or self.alive)
        return PodState.READY if serving else PodState.STARTING

    def in_limbo(self, now: float) -> bool:
        """It served and is missing for so long that another takes its place; it may come back."""
        if self.deleting or self.missing_since is None or not self.served:
            return False
        return now - self.missing_since > _LIMBO_AFTER_S

    def _is_lost(self, now: float) -> bool:
        # the kubelet asks the pod itself; when it is away too, the node controller says not ready
        if self.deleting or self.unschedulable or self.ready or self.missing_since is None:
            return False
        patience = _LOST_AFTER_S if self.served else _NEVER_READY_S
        return now - self.missing_since > patience


def observe(
    pods: Sequence[Mapping[str, Any]],
    nodes: Sequence[NodeView] = (),
    survey: Mapping[str, Sequence[Housed]] | None = None,
    *,
    by_pod_ip: bool = False,
) -> list[ObservedPod]:
    """The pods, by name, each with its lease and its meetings.

    `by_pod_ip`: browsers are told the pod's own address.
    """
    leases = {str(node.node): node for node in nodes}
    housed = survey or {}
    found = [_pod(pod, leases, housed, by_pod_ip) for pod in pods]
    return sorted(found, key=lambda pod: pod.name)


class History:
    """What one look at the pods cannot tell. It starts anew with the operator."""

    def __init__(self) -> None:
        self._missing: dict[str, float] = {}
        self._idle: dict[str, float] = {}
        self._served: set[str] = set()

    def noted(self, pods: Sequence[ObservedPod], now: float) -> list[ObservedPod]:
        """The pods with `missing_since`, `served`, `idle_since`; to be asked at each look.

        Placement must have answered at this look, or everything would seem missing.
        """
        self._served &= {pod.uid for pod in pods}
        self._served |= {pod.uid for pod in pods if pod.ready or pod.known}
        missing = [pod.uid for pod in pods if not _serves(pod)]
        idle = [pod.uid for pod in pods if _is_idle(pod)]
        self._missing = {uid: self._missing.get(uid, now) for uid in missing}
        self._idle = {uid: self._idle.get(uid, now) for uid in idle}
        return [
            replace(
                pod,
                missing_since=self._missing.get(pod.uid),
                idle_since=self._idle.get(pod.uid),
                served=pod.uid in self._served,
            )
            for pod in pods
        ]


def _serves(pod: ObservedPod) -> bool:
    return pod.alive if pod.role is Role.SFU else pod.ready


def _is_idle(pod: ObservedPod) -> bool:
    """Nobody is in it, and nobody can come: it is marked, or it is dead by both accounts."""
    closed = pod.marked if pod.alive else not pod.ready
    return pod.draining and closed and not pod.occupied


def _pod(
    pod: Mapping[str, Any],
    leases: Mapping[str, NodeView],
    housed: Mapping[str, Sequence[Housed]],
    by_pod_ip: bool,
) -> ObservedPod:
    meta, status = pod["metadata"], pod.get("status", {})
    labels, notes = meta.get("labels", {}), meta.get("annotations", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    ready = conditions.get("Ready", {})
    is_ready = ready.get("status") == "True"
    scheduled = conditions.get("PodScheduled", {})
    lease = leases.get(meta["name"])
    since, reason = notes.get(DRAINING_SINCE), notes.get(DRAIN_REQUESTED)
    ready_at = ready.get("lastTransitionTime") if is_ready else None
    return ObservedPod(
        name=meta["name"],
        uid=meta["uid"],
        role=Role(labels.get(ROLE, Role.SFU)),
        template_hash=labels.get(TEMPLATE_HASH, ""),
        slot=_number(notes.get(SLOT)),
        created_at=seconds_of(meta["creationTimestamp"]),
        ready=is_ready,
        ready_at=seconds_of(ready_at) if ready_at else None,
        address=address_of(pod, by_pod_ip=by_pod_ip),
        ip=status.get("podIP", ""),
        deleting="deletionTimestamp" in meta,
        ended=status.get("phase") in ("Failed", "Succeeded"),
        unschedulable=scheduled.get("reason") == "Unschedulable",
        drain_reason=reason,
        draining_since=_written(since) if reason is not None else None,
        stale_drain=since is not None and reason is None,
        restarts=_restarts(status),
        ports=_media_ports(pod),
        known=lease is not None,
        alive=lease is not None and lease.alive,
        marked=lease is not None and lease.draining,
        load=lease.load if lease else 0.0,
        reserved=lease.reserved if lease else 0.0,
        capacity=lease.consumer_capacity // CONSUMERS_EACH if lease else 0,
        housed=tuple(housed.get(meta["name"], ())),
    )


def address_of(pod: Mapping[str, Any], *, by_pod_ip: bool = False) -> str:
    """What browsers are told; empty while it is not known.

    An SFU pod says itself which address it announces, as its pool may say another thing by now;
    `by_pod_ip` counts for coturn pods.
    """
    notes, status = pod["metadata"].get("annotations", {}), pod.get("status", {})
    fields = [
        variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
        for container in pod.get("spec", {}).get("containers", ())
        for variable in container.get("env", ())
        if variable["name"] == ANNOUNCED
    ]
    field = fields[0] if fields else f"status.{'podIP' if by_pod_ip else 'hostIP'}"
    found: str = notes.get(ADDRESS) or status.get(str(field).removeprefix("status."), "")
    return found


def _restarts(status: Mapping[str, Any]) -> int:
    return sum(each.get("restartCount", 0) for each in status.get("containerStatuses", ()))


def _media_ports(pod: Mapping[str, Any]) -> frozenset[int]:
    containers = pod.get("spec", {}).get("containers", ())
    return frozenset(
        port["containerPort"]
        for container in containers
        for port in container.get("ports", ())
        if port.get("name", "").startswith("media-")
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else -1


def _written(timestamp: str | None) -> float | None:
    """An annotation's moment; people write annotations too, and not always a time."""
    try:
        return seconds_of(timestamp or "")
    except (ValueError, OverflowError):
        return None


def seconds_of(timestamp: str) -> float:
    """A Kubernetes timestamp as seconds since 1970."""
    return datetime.fromisoformat(timestamp).timestamp()


def timestamp_of(seconds: float) -> str:
    """Seconds since 1970 as a Kubernetes timestamp."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
