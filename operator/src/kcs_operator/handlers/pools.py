"""SFUPool: looks at a pool as a whole and takes the next steps, again and again.

Fetch (placement; the watches' cache), decide (`decisions`), act (the Kubernetes API, placement),
say (status, events). Each step bears to be taken twice and to be the last before the operator
dies. What is only remembered here (growth, stabilisation, measured start times) makes an operator
that has just started slower to shrink, never wrong.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from aiohttp import ClientSession
from redis.exceptions import RedisError

from kcs_contracts.ids import NodeName
from kcs_contracts.labels import Role
from kcs_contracts.placement import Placement, PlacementError
from kcs_contracts.resources.v1alpha1 import AnnouncedAddressFrom, PodState, SFUPool
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions import scaling
from kcs_operator.decisions.observed import (
    Missing,
    ObservedPod,
    observe,
    seconds_of,
    timestamp_of,
)
from kcs_operator.decisions.pods import Goal, Plan, plan
from kcs_operator.decisions.pool_status import Seen, status
from kcs_operator.decisions.scaling import Demand, Wanted
from kcs_operator.events import Events
from kcs_operator.handlers.pool_steps import PoolSteps
from kcs_operator.handlers.turn import TurnOutcome, TurnSide
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.identity import sfu_hash
from kcs_operator.manifests.sfu_pod import slots
from kcs_operator.metrics import CAPACITY, DESIRED_PODS, POD_START_SECONDS, PODS, SCALE_EVENTS
from kcs_operator.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass
class _Memory:
    """What is remembered of a pool between two looks."""

    stabiliser: scaling.Stabiliser
    growth: scaling.Growth = field(default_factory=scaling.Growth)
    missing: Missing = field(default_factory=Missing)
    starts: list[float] = field(default_factory=list)
    measured: set[str] = field(default_factory=set)
    desired: int | None = None
    problem: str = ""
    status_at: float = float("-inf")
    stepped: dict[str, Object] = field(default_factory=dict)


class Pools:
    """Reconciles pools; one of them at a time each, all of them side by side."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        cache: Cache,
        settings: Settings,
        session: ClientSession,
        scheduled: Callable[[str, float], int] = lambda pool, horizon_s: 0,
    ):
        self._cluster, self._placement = cluster, placement
        self._cache, self._settings = cache, settings
        self._scheduled = scheduled
        self._events = Events(cluster, settings.operator.identity)
        self._steps = PoolSteps(cluster, placement, cache, settings)
        self._turn = TurnSide(cluster, placement, cache, settings, session)
        self._memories: dict[str, _Memory] = {}

    def forget(self, name: str) -> None:
        """The pool is gone: so is what was remembered of it, and its metrics."""
        self._memories.pop(name, None)
        self._turn.forget(name)
        for metric in (PODS, DESIRED_PODS, CAPACITY):
            metric.remove_by_labels({"pool": name})

    def start_seconds(self, name: str) -> float:
        """How long the pool's pods take to start, as measured."""
        memory = self._memories.get(name)
        return scaling.start_seconds(memory.starts if memory else ())

    async def reconcile(self, name: str) -> None:
        """The next steps of one pool.

        Raises:
            OperatorError: a step failed; the status is written all the same.
            RedisError, PlacementError: placement does not answer: nothing is changed meanwhile.
        """
        body = self._cache.pools.get(name)
        if body is None:
            self.forget(name)
            return
        now = time.time()
        pool = SFUPool.model_validate(body)
        memory = self._memories.setdefault(name, _Memory(scaling.Stabiliser(now)))
        try:
            pods = await self._observe(name, pool, memory, now)
        except (RedisError, PlacementError, OSError, TimeoutError):
            text = "Redis does not answer: pods are neither made nor deleted until it does."
            await self._say_problem(body, pool, text)
            raise
        wish = self._wanted(name, pool, pods, memory, now)
        steps = self._plan(pool, body, pods, wish, memory, now)
        turn = TurnOutcome(desired=pool.status.desired_turn_replicas)
        try:
            if not pool.spec.paused or self._deleted(body):
                await self._steps.take(body, pool, steps, pods, now)
            turn = await self._turn.reconcile(body, pool, pods, now)
            memory.problem = turn.problem
        except Exception as error:
            memory.problem = f"A step failed: {error}"
            raise
        finally:
            await self._say(
                body,
                pool,
                [*(p for p in pods if p.role is Role.SFU), *turn.pods],
                wish,
                steps,
                turn,
                memory,
                now,
            )

    async def _observe(
        self, name: str, pool: SFUPool, memory: _Memory, now: float
    ) -> list[ObservedPod]:
        bodies = self._cache.pods_of(name)
        names = [NodeName(body["metadata"]["name"]) for body in bodies]
        nodes = await self._placement.nodes()
        survey = await self._placement.survey(names) if names else {}
        by_pod_ip = pool.spec.exposure.announced_address_from is AnnouncedAddressFrom.POD_IP
        housed = {str(node): meetings for node, meetings in survey.items()}
        found = memory.missing.noted(observe(bodies, nodes, housed, by_pod_ip=by_pod_ip), now)
        self._measure(name, found, memory)
        return found

    def _measure(self, name: str, pods: Sequence[ObservedPod], memory: _Memory) -> None:
        for pod in pods:
            if pod.ready_at is None or pod.uid in memory.measured:
                continue
            memory.measured.add(pod.uid)
            took = max(0.0, pod.ready_at - pod.created_at)
            POD_START_SECONDS.labels(pool=name, role=pod.role.value).observe(took)
            if pod.role is Role.SFU:
                memory.starts.append(took)
        memory.measured &= {pod.uid for pod in pods}

    def _wanted(
        self, name: str, pool: SFUPool, pods: Sequence[ObservedPod], memory: _Memory, now: float
    ) -> Wanted:
        """How many SFU pods, with stabilisation."""
        serving = [p for p in pods if p.role is Role.SFU and p.alive]
        used = sum(p.load * p.capacity for p in serving)
        reserved = sum(p.reserved * p.capacity for p in serving)
        start_s = scaling.start_seconds(memory.starts)
        demand = Demand(
            used=used,
            reserved=reserved,
            scheduled=self._scheduled(name, start_s),
            growth_per_s=memory.growth.add(used + reserved, now),
        )
        wish = scaling.wanted(pool.spec, demand, start_s, datetime.fromtimestamp(now, UTC))
        before = memory.desired
        if before is None:
            before = pool.status.desired_replicas or len(
                [p for p in pods if p.role is Role.SFU and not p.draining]
            )
        window = duration_of(pool.spec.autoscaling.scale_down_stabilization).total_seconds()
        asked = pool.spec.replicas.desired is not None
        settled = memory.stabiliser.settle(wish.pods, before, 0 if asked else window, now)
        settled = max(pool.spec.replicas.min, min(pool.spec.replicas.max, settled))
        if settled != before:
            way = "up" if settled > before else "down"
            SCALE_EVENTS.labels(pool=name, role="sfu", direction=way, reason=wish.reason).inc()
        memory.desired = settled
        return replace(wish, pods=settled)

    def _plan(
        self,
        pool: SFUPool,
        body: Object,
        pods: Sequence[ObservedPod],
        wish: Wanted,
        memory: _Memory,
        now: float,
    ) -> Plan:
        goal = Goal(
            desired=wish.pods,
            template_hash=sfu_hash(pool.spec),
            slots=slots(pool.spec),
            drain=pool.spec.drain,
            update=pool.spec.update,
            deleted=self._deleted(body),
        )
        return plan([pod for pod in pods if pod.role is Role.SFU], goal, now)

    @staticmethod
    def _deleted(body: Mapping[str, Any]) -> bool:
        return "deletionTimestamp" in body["metadata"]

    async def _say(
        self,
        body: Object,
        pool: SFUPool,
        pods: Sequence[ObservedPod],
        wish: Wanted,
        steps: Plan,
        turn: TurnOutcome,
        memory: _Memory,
        now: float,
    ) -> None:
        """Status, events and metrics, where something changed."""
        name = body["metadata"]["name"]
        seen = Seen(
            name=name,
            generation=body["metadata"]["generation"],
            pods=pods,
            sfu_hash=sfu_hash(pool.spec),
            turn_hash=turn.template_hash,
            desired=wish.pods,
            wanted=wish,
            desired_turn=turn.desired,
            start_seconds=scaling.start_seconds(memory.starts, pool.status.start_seconds),
            problem=memory.problem,
            blocked=steps.blocked,
            paused=pool.spec.paused,
            deleted=self._deleted(body),
        )
        new = status(pool, seen, now, timestamp_of(now))
        self._count(name, new.to_json(), wish)
        if new.to_json() == pool.status.to_json():
            return
        urgent = new.desired_replicas != pool.status.desired_replicas
        if now - memory.status_at < self._settings.operator.status_seconds and not urgent:
            return
        memory.status_at = now
        written = await self._cluster.patch_status("sfupools", name, new.to_json())
        self._cache.put("pools", name, written)
        await self._tell_changes(body, pool, new.to_json())

    async def _tell_changes(self, body: Object, pool: SFUPool, new: Mapping[str, Any]) -> None:
        before = pool.status
        if new["desiredReplicas"] != before.desired_replicas:
            way = "Up" if new["desiredReplicas"] > before.desired_replicas else "Down"
            text = (
                f"{before.desired_replicas} to {new['desiredReplicas']} SFU pods: "
                f"{new['lastScaleReason']}"
            )
            await self._events.tell(body, "SFUPool", f"Scaled{way}", text, action="Scale")
        former = {each.type: each.status for each in before.conditions}
        for each in new["conditions"]:
            bad = (each["type"] == "Available") == (each["status"] == "False")
            if each["type"] == "Progressing" or former.get(each["type"]) == each["status"]:
                continue
            if bad or each["type"] in former:
                kind: Literal["Normal", "Warning"] = "Warning" if bad else "Normal"
                await self._events.tell(
                    body, "SFUPool", each["reason"], each["message"], type_=kind
                )

    def _count(self, name: str, new: Mapping[str, Any], wish: Wanted) -> None:
        for role in Role:
            counts = new[role.value]
            for state in PodState:
                gauge = PODS.labels(pool=name, role=role.value, state=state.value.lower())
                gauge.set(counts[state.value.lower()])
        DESIRED_PODS.labels(pool=name, role="sfu").set(wish.pods)
        DESIRED_PODS.labels(pool=name, role="turn").set(new["desiredTurnReplicas"])
        for state, value in new["capacity"].items():
            CAPACITY.labels(pool=name, state=state).set(value)

    async def _say_problem(self, body: Object, pool: SFUPool, text: str) -> None:
        """Only the one condition, when it is news: nothing else is known."""
        former = {each.type: each for each in pool.status.conditions}
        old = former.get("Degraded")
        if old is not None and old.message == text:
            return
        new = [each.to_json() for each in pool.status.conditions if each.type != "Degraded"]
        new.append(
            {
                "type": "Degraded",
                "status": "True",
                "reason": "PlacementAway",
                "message": text,
                "lastTransitionTime": timestamp_of(time.time()),
                "observedGeneration": body["metadata"]["generation"],
            }
        )
        written = await self._cluster.patch_status(
            "sfupools", body["metadata"]["name"], {"conditions": new}
        )
        self._cache.put("pools", body["metadata"]["name"], written)
        await self._events.tell(body, "SFUPool", "PlacementAway", text, type_="Warning")


def age_of(body: Mapping[str, Any], now: float) -> float:
    """Seconds since the object was made."""
    return now - seconds_of(body["metadata"]["creationTimestamp"])
