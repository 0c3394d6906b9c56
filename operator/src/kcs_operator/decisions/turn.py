"""What is decided of coturn pods alone: how many there should be, and which are empty for sure.

What holds for coturn and SFU pods alike is in `pods`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kcs_contracts.resources.v1alpha1 import PodState, SFUPoolSpec, Turn, Update
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.decisions.observed import ObservedPod
from kcs_operator.manifests.names import PEERS
from kcs_operator.manifests.turn_pod import turn_server

_NOTICED_S = 30.0
"""What signaling, which reads the list every 5 s, has to notice that a pod left it."""
_STALE_S = 30.0
"""What a pod said of itself counts for so long."""
_IN_THE_WAY = ("free ports", "anti-affinity", "Too many pods")
"""In kube-scheduler's reasons: another pod on the Kubernetes node is what hinders."""


@dataclass(frozen=True)
class TurnLoad:
    """What one coturn pod does."""

    allocations: int
    egress_bytes: int
    """Sent in all, since it started."""


@dataclass(frozen=True)
class TurnPod(ObservedPod):
    """A coturn pod."""

    load_known: bool = False
    """It was heard from a moment ago, or does not run."""
    crowded_out: bool = False
    """It has no Kubernetes node because other pods are in its way."""
    server: TurnServer | None = None
    """What browsers are told of it."""
    peers: str | None = None
    """The addresses that it may relay to, as it was told them last (`PEERS`)."""

    @property
    def occupied(self) -> bool:
        """Somebody would notice if it went; who does not say is not taken for empty."""
        return self.participants > 0 or not self.load_known


class Loads:
    """What the pods said last, by UID."""

    def __init__(self) -> None:
        self.last: dict[str, TurnLoad] = {}
        self._heard_at: dict[str, float] = {}

    def add(
        self, found: Mapping[str, TurnLoad], present: Sequence[ObservedPod], now: float
    ) -> None:
        """Takes what was heard now; who was silent keeps what it said."""
        uids = {pod.uid for pod in present}
        self.last = {uid: load for uid, load in self.last.items() if uid in uids} | dict(found)
        self._heard_at = {uid: at for uid, at in self._heard_at.items() if uid in uids}
        self._heard_at |= dict.fromkeys(found, now)

    def of(self, uid: str, now: float) -> tuple[int, bool]:
        """The allocations as they were said last, and whether that was a moment ago."""
        load, heard_at = self.last.get(uid), self._heard_at.get(uid)
        return (
            load.allocations if load else 0,
            heard_at is not None and now - heard_at <= _STALE_S,
        )


def observe_turn(
    pod: ObservedPod,
    body: Mapping[str, Any],
    loads: Loads,
    issued: Sequence[TurnServer],
    spec: SFUPoolSpec,
    now: float,
) -> TurnPod:
    """The pod with what it says of itself. `issued` are the pool's servers; being off that list is
    its mark."""
    allocations, heard = loads.of(pod.uid, now)
    server = turn_server(body, pod.address, spec)
    status = body.get("status", {})
    scheduled = [each for each in status.get("conditions", ()) if each["type"] == "PodScheduled"]
    reasons = " ".join(each.get("message", "") for each in scheduled)
    known = vars(pod) | {
        "allocations": allocations,
        "alive": pod.ready,
        "marked": server not in issued,
        # nobody is connected to what does not run, or answers neither STUN nor its probes for long
        "load_known": heard or not _runs(status) or pod.state(now) is PodState.FAILED,
        "crowded_out": pod.unschedulable and any(each in reasons for each in _IN_THE_WAY),
        "server": server,
        "peers": body["metadata"].get("annotations", {}).get(PEERS),
    }
    return TurnPod(**known)


def _runs(status: Mapping[str, Any]) -> bool:
    """As far as the kubelet says: its container does, and is in no pause between two starts."""
    if status.get("phase") == "Pending":
        return False
    said = status.get("containerStatuses")
    return said is None or any("running" in each.get("state", {}) for each in said)


def settled_s(credential_seconds: int) -> float:
    """A coturn pod that left the list is not deleted for so long: credentials that were given out
    with it are good until then."""
    return credential_seconds + _NOTICED_S


def servers_to_issue(
    pods: Sequence[TurnPod], leaving: Sequence[ObservedPod], now: float
) -> tuple[TurnServer, ...]:
    """The list for browsers: pods that are ready and stay, in an order that does not change."""
    gone = {pod.uid for pod in leaving}
    good = {
        pod.server
        for pod in pods
        if pod.server is not None and pod.uid not in gone and pod.state(now) is PodState.READY
    }
    return tuple(sorted(good, key=lambda each: each.model_dump_json()))


def update_of(
    update: Update, pods: Sequence[TurnPod], template_hash: str, desired: int, now: float
) -> Update:
    """How outdated pods are replaced: a new one first, as the pool says, and where it finds no
    Kubernetes node because each has an old one, an old one first. Only one at a time."""
    staying = [pod for pod in pods if not pod.draining]
    waits = any(pod.crowded_out and pod.template_hash == template_hash for pod in staying)
    outdated = any(pod.template_hash != template_hash for pod in staying)
    makes_room = any(pod.draining and not pod.unschedulable for pod in pods)
    if not (waits and outdated) or makes_room:
        return update
    ready = sum(pod.state(now) is PodState.READY for pod in pods)
    needed = max(update.max_unavailable, desired - ready + 1)
    return update.model_copy(update={"max_unavailable": needed})


def wanted_turn(turn: Turn, allocations: int, egress_mbps: float) -> int:
    """The number for this moment, before stabilisation."""
    by_allocations = allocations / turn.target_allocations
    by_egress = egress_mbps / turn.target_egress_mbps
    pods = math.ceil(max(by_allocations, by_egress) - 1e-6)
    return max(turn.replicas.min, min(turn.replicas.max, pods))


class Egress:
    """Turns counters of bytes into Mbit/s, over all pods; a counter that fell began anew."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    def add(
        self, found: Mapping[str, TurnLoad], present: Sequence[ObservedPod], now: float
    ) -> float:
        """Takes what was heard now, by UID; who was silent keeps its rate. Answers the sum."""
        for uid, load in found.items():
            at, before = self._last.get(uid, (now, load.egress_bytes))
            if now > at and load.egress_bytes >= before:
                self._rates[uid] = (load.egress_bytes - before) * 8 / 1e6 / (now - at)
            self._last[uid] = (now, load.egress_bytes)
        uids = {pod.uid for pod in present}
        self._last = {uid: value for uid, value in self._last.items() if uid in uids}
        self._rates = {uid: rate for uid, rate in self._rates.items() if uid in uids}
        return sum(self._rates.values())
