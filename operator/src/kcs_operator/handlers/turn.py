"""The coturn pods of a pool: the same plan as for SFU pods, by allocations and by what they send.

A coturn pod that goes leaves the list that signaling hands out first (that is its mark); it is
deleted when nobody is connected and the credentials that were given out with it are over.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import Any

import structlog
from aiohttp import ClientSession

from kcs_contracts.labels import DRAIN_REQUESTED, Role
from kcs_contracts.placement import Placement
from kcs_contracts.resources.v1alpha1 import PodState, SFUPool, Turn
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions import scaling
from kcs_operator.decisions.observed import ObservedPod, timestamp_of
from kcs_operator.decisions.pods import Goal, Plan, plan
from kcs_operator.decisions.turn import SETTLED_S, Egress, TurnLoad, wanted_turn
from kcs_operator.decisions.turn_secrets import for_hash
from kcs_operator.errors import AlreadyThere, NotFound
from kcs_operator.handlers.turn_secrets import SecretStore
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.identity import pod_name
from kcs_operator.manifests.names import DRAINING_SINCE, EXPORTER_PORT
from kcs_operator.manifests.turn_pod import (
    turn_config,
    turn_networks,
    turn_pod,
    turn_server,
    turn_template_hash,
)
from kcs_operator.metrics import SCALE_EVENTS
from kcs_operator.settings import Settings
from kcs_operator.turn_metrics import TurnMetrics

_log = structlog.get_logger(__name__)
_ASK_EVERY_S = 5.0


@dataclass
class _Memory:
    """What is remembered of a pool's coturn pods."""

    stabiliser: scaling.Stabiliser
    egress: Egress = field(default_factory=Egress)
    loads: dict[str, TurnLoad] = field(default_factory=dict)
    asked_at: float = float("-inf")
    mbps: float = 0.0
    desired: int | None = None


@dataclass(frozen=True)
class TurnOutcome:
    """What the pool's status says of them."""

    pods: tuple[ObservedPod, ...] = ()
    desired: int = 0
    template_hash: str = ""
    problem: str = ""


class TurnSide:
    """Reconciles the coturn pods of pools."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        cache: Cache,
        settings: Settings,
        session: ClientSession,
    ):
        self._cluster, self._placement = cluster, placement
        self._cache, self._settings = cache, settings
        self._metrics = TurnMetrics(session)
        self._secrets = SecretStore(cluster, settings.pods)
        self._memories: dict[str, _Memory] = {}

    def forget(self, name: str) -> None:
        """The pool is gone."""
        self._memories.pop(name, None)

    async def reconcile(
        self, body: Object, pool: SFUPool, pods: Sequence[ObservedPod], now: float
    ) -> TurnOutcome:
        """The next steps; `pods` are all of the pool's."""
        name = body["metadata"]["name"]
        turn_pods = [pod for pod in pods if pod.role is Role.TURN]
        spec, deleted = pool.spec.turn, "deletionTimestamp" in body["metadata"]
        if spec is None and not turn_pods:
            if pool.status.turn.ready or pool.status.turn.draining:
                await self._placement.issue_turn_servers(name, ())
            return TurnOutcome()
        memory = self._memories.setdefault(name, _Memory(scaling.Stabiliser(now)))
        issued = {each.host for each in await self._placement.issued_turn_servers(name)}
        await self._ask(turn_pods, memory, now)
        observed = tuple(_with_load(pod, memory.loads, issued) for pod in turn_pods)
        wanted, template_hash, problem = 0, "", ""
        if spec is not None and not deleted:
            wanted = self._wanted(name, pool, spec, observed, memory, now)
            secrets = for_hash((await self._secrets.read()).secrets)
            networks = turn_networks(_announced(pods))
            template_hash = turn_template_hash(pool.spec, networks, secrets)
            if not networks:
                # nowhere to relay to: what runs stays, and nothing new is made yet
                problem = "No SFU pod has an IPv4 address yet, so coturn pods must wait."
                template_hash = observed[0].template_hash if observed else template_hash
                wanted = min(wanted, len(observed))
        goal = Goal(
            desired=wanted,
            template_hash=template_hash,
            slots=spec.replicas.max + pool.spec.update.max_surge if spec else 0,
            drain=pool.spec.drain,
            update=pool.spec.update,
            deleted=deleted,
            settled_s=SETTLED_S,
        )
        steps = plan(observed, goal, now)
        if not pool.spec.paused or deleted:
            await self._take(
                body, steps, observed, template_hash, turn_networks(_announced(pods)), now
            )
        await self._issue(name, pool, observed, steps, issued, now)
        if spec is not None and not deleted and not problem:
            # those that drain are no longer given out with new credentials
            issuable = [pod for pod in observed if not pod.draining]
            settled = bool(issuable) and all(
                pod.template_hash == template_hash and pod.state(now) is PodState.READY
                for pod in issuable
            )
            await self._secrets.rotate(pods_take_both=settled, now=now)
        return TurnOutcome(observed, wanted, template_hash, problem)

    async def _ask(self, pods: Sequence[ObservedPod], memory: _Memory, now: float) -> None:
        if now - memory.asked_at < _ASK_EVERY_S:
            return
        memory.asked_at = now
        urls = {pod.uid: f"http://{pod.ip}:{EXPORTER_PORT}/metrics" for pod in pods if pod.ip}
        found = await self._metrics.read(urls)
        # a pod that does not answer keeps what it said: it is not taken for empty
        present = {pod.uid for pod in pods}
        kept = {uid: load for uid, load in memory.loads.items() if uid in present}
        memory.loads = {**kept, **found}
        memory.mbps = memory.egress.add(list(memory.loads.items()), now)

    def _wanted(
        self,
        name: str,
        pool: SFUPool,
        spec: Turn,
        pods: Sequence[ObservedPod],
        memory: _Memory,
        now: float,
    ) -> int:
        wish = wanted_turn(spec, sum(pod.allocations for pod in pods), memory.mbps)
        before = memory.desired
        if before is None:
            before = pool.status.desired_turn_replicas
        window = duration_of(pool.spec.autoscaling.scale_down_stabilization).total_seconds()
        settled = memory.stabiliser.settle(wish, before, window, now)
        settled = max(spec.replicas.min, min(spec.replicas.max, settled))
        if settled != before:
            way = "up" if settled > before else "down"
            SCALE_EVENTS.labels(pool=name, role="turn", direction=way, reason="Load").inc()
        memory.desired = settled
        return settled

    async def _take(
        self,
        body: Object,
        steps: Plan,
        pods: Sequence[ObservedPod],
        template_hash: str,
        networks: Sequence[IPv4Network],
        now: float,
    ) -> None:
        for slot in steps.create_slots:
            await self._create(body, pods, template_hash, networks, slot)
        for pod, reason in steps.drain:
            notes = {DRAIN_REQUESTED: reason, DRAINING_SINCE: timestamp_of(now)}
            await self._annotate(pod, notes)
        for pod in pods:
            if pod.drain_reason is not None and pod.draining_since is None and not pod.deleting:
                await self._annotate(pod, {DRAINING_SINCE: timestamp_of(now)})
        for pod in steps.undrain:
            await self._annotate(pod, {DRAIN_REQUESTED: None, DRAINING_SINCE: None})
        for pod in steps.delete:
            await self._cluster.delete("pods", pod.name, uid=pod.uid)
            others = {each.template_hash for each in pods if each.uid != pod.uid}
            if pod.template_hash not in {*others, template_hash}:
                await self._cluster.delete("secrets", _config_name(body, pod.template_hash))
            _log.info("turn_pod_deleted", pod=pod.name)

    async def _create(
        self,
        body: Object,
        pods: Sequence[ObservedPod],
        template_hash: str,
        networks: Sequence[IPv4Network],
        slot: int,
    ) -> None:
        config = _config_name(body, template_hash)
        if template_hash not in {pod.template_hash for pod in pods}:
            secrets = for_hash((await self._secrets.read()).secrets)
            with suppress(AlreadyThere):
                wish = turn_config(body, config, networks, secrets, self._settings)
                await self._cluster.create("secrets", wish)
        name = pod_name(body["metadata"]["name"], Role.TURN)
        wish = turn_pod(body, name, slot, template_hash, config, self._settings)
        self._cache.put("pods", name, await self._cluster.create("pods", wish))
        _log.info("turn_pod_created", pod=name)

    async def _issue(
        self,
        name: str,
        pool: SFUPool,
        pods: Sequence[ObservedPod],
        steps: Plan,
        issued: set[str],
        now: float,
    ) -> None:
        leaving = {pod.uid for pod, _ in steps.drain}
        good = [
            pod.address
            for pod in pods
            if pod.state(now) is PodState.READY and pod.uid not in leaving and pod.address
        ]
        if pool.spec.turn is None:
            good = []
        if set(good) != issued:
            servers = [turn_server(pool.spec, address) for address in sorted(set(good))]
            await self._placement.issue_turn_servers(name, servers)
            _log.info("turn_servers_issued", pool=name, count=len(servers))

    async def _annotate(self, pod: ObservedPod, notes: Mapping[str, str | None]) -> None:
        meta: dict[str, Any] = {"uid": pod.uid, "annotations": dict(notes)}
        with suppress(NotFound):
            body = await self._cluster.patch("pods", pod.name, {"metadata": meta})
            self._cache.put("pods", pod.name, body)


def _config_name(body: Object, template_hash: str) -> str:
    return f"{body['metadata']['name'][:40]}-turn-{template_hash}"


def _with_load(pod: ObservedPod, loads: Mapping[str, TurnLoad], issued: set[str]) -> ObservedPod:
    load = loads.get(pod.uid)
    return replace(
        pod,
        allocations=load.allocations if load else 0,
        alive=pod.ready,
        marked=pod.address not in issued,
    )


def _announced(pods: Sequence[ObservedPod]) -> list[str]:
    return [pod.address for pod in pods if pod.role is Role.SFU and pod.address]
