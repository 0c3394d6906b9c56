"""SFUPool: looks at a pool as a whole and takes the next steps, again and again.

Fetch (placement; the watches' cache), decide (`decisions`), act (`pool_steps`, `turn`), say
(`pool_telling`). Each step bears to be taken twice and to be the last before the operator dies.
What is only remembered here (growth, stabilisation, measured start times) makes an operator that
has just started slower to shrink, never wrong.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import ClientSession
from redis.exceptions import RedisError

from kcs_contracts.ids import NodeName
from kcs_contracts.labels import Role
from kcs_contracts.placement import Placement, PlacementError
from kcs_contracts.placement.models import Unmet
from kcs_contracts.resources.v1alpha1 import AnnouncedAddressFrom, SFUPool
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions import scaling
from kcs_operator.decisions.observed import History, ObservedPod, observe
from kcs_operator.decisions.pods import Goal, Plan, plan
from kcs_operator.decisions.pool_status import Seen
from kcs_operator.decisions.scaling import Demand, Wanted
from kcs_operator.decisions.strategies import strategy_of
from kcs_operator.handlers.pool_steps import PoolSteps, is_held
from kcs_operator.handlers.pool_telling import PoolTelling
from kcs_operator.handlers.turn import TurnOutcome, TurnSide
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.identity import sfu_hash
from kcs_operator.manifests.sfu_pod import media_ports, slots
from kcs_operator.metrics import POD_START_SECONDS, SCALE_EVENTS
from kcs_operator.settings import Settings

_log = structlog.get_logger(__name__)
_QUICK_END_S = 60.0
_LONGEST_HOLD_S = 120.0


@dataclass
class _Memory:
    """What is remembered of a pool between two looks."""

    stabiliser: scaling.Stabiliser
    growth: scaling.Growth = field(default_factory=scaling.Growth)
    history: History = field(default_factory=History)
    starts: list[float] = field(default_factory=list)
    starting: set[str] = field(default_factory=set)
    """Pods that were seen before they were ready: of these alone the time is measured."""
    desired: int | None = None
    problem: str = ""
    ended: set[str] = field(default_factory=set)
    quick_ends: int = 0
    hold_until: float = 0.0
    """No pod is made before that: the last ones ended as soon as they had begun."""


class Pools:
    """Reconciles pools; one of them at a time each, all of them side by side."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        cache: Cache,
        settings: Settings,
        session: ClientSession,
        scheduled: Callable[[str, float, int], int] = lambda pool, horizon_s, most: 0,
    ):
        self._placement, self._cache, self._settings = placement, cache, settings
        self._scheduled = scheduled
        self._steps = PoolSteps(cluster, placement, cache, settings)
        self._turn = TurnSide(cluster, placement, cache, settings, session)
        self._telling = PoolTelling(cluster, cache, settings)
        self._memories: dict[str, _Memory] = {}

    def forget(self, name: str) -> None:
        """The pool is gone: so is what was remembered of it, and its metrics."""
        self._memories.pop(name, None)
        self._turn.forget(name)
        self._telling.forget(name)

    def start_seconds(self, name: str) -> float:
        """How long the pool's pods take to start, as measured."""
        memory = self._memories.get(name)
        body = self._cache.pools.get(name, {})
        said = body.get("status", {}).get("startSeconds") or scaling.UNMEASURED_S
        return scaling.start_seconds(memory.starts if memory else (), said)

    async def reconcile(self, name: str) -> None:
        """The next steps of one pool.

        Raises:
            OperatorError: a step failed; the others were taken, and the status says it.
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
            fresh = await self._is_fresh()
            unmet = _unmet_of(name, pool, await self._placement.unmet())
            await self._placement.set_strategy(name, strategy_of(pool.spec))
        except (RedisError, PlacementError, OSError, TimeoutError):
            text = "Redis does not answer: pods are neither made nor deleted until it does."
            await self._telling.tell_problem(body, pool, text)
            raise
        wish = self._wanted(name, pool, pods, unmet, memory, now)
        steps = self._plan(pool, body, pods, wish, memory, fresh, now)
        turn, failure = await self._act(body, pool, steps, pods, fresh, now)
        memory.problem = f"A step failed: {failure}" if failure else turn.problem
        seen = self._seen(body, pool, pods, wish, steps, turn, memory)
        await self._telling.tell(body, pool, seen, now)
        if failure is not None:
            raise failure

    async def _act(
        self,
        body: Object,
        pool: SFUPool,
        steps: Plan,
        pods: Sequence[ObservedPod],
        fresh: bool,
        now: float,
    ) -> tuple[TurnOutcome, Exception | None]:
        """SFU pods, then coturn pods whatever became of the first; the first error, if any."""
        relays = self._turn.holds(body, pods, held=is_held(body))
        failure = await self._steps.take(body, pool, steps, pods, relays, fresh, now)
        turn = TurnOutcome(
            pods=tuple(pod for pod in pods if pod.role is Role.TURN),
            desired=pool.status.desired_turn_replicas,
        )
        try:
            turn = await self._turn.reconcile(body, pool, pods, now)
        except Exception as error:  # said in the status, then raised by the caller
            failure = failure or error
        return turn, failure or turn.failure

    async def _observe(
        self, name: str, pool: SFUPool, memory: _Memory, now: float
    ) -> list[ObservedPod]:
        bodies = self._cache.pods_of(name)
        names = [NodeName(body["metadata"]["name"]) for body in bodies]
        nodes = await self._placement.nodes()
        survey = await self._placement.survey(names) if names else {}
        by_pod_ip = pool.spec.exposure.announced_address_from is AnnouncedAddressFrom.POD_IP
        housed = {str(node): meetings for node, meetings in survey.items()}
        found = memory.history.noted(observe(bodies, nodes, housed, by_pod_ip=by_pod_ip), now)
        self._measure(name, found, memory)
        self._note_quick_ends(found, memory, now)
        return found

    async def _is_fresh(self) -> bool:
        """Whether Redis was empty a moment ago, and does not know yet who is where."""
        age_ms = await self._placement.age_ms()
        settle_s = self._settings.operator.redis_settle_seconds
        return settle_s > 0 and (age_ms is None or age_ms < settle_s * 1000)

    def _measure(self, name: str, pods: Sequence[ObservedPod], memory: _Memory) -> None:
        present = {pod.uid for pod in pods}
        for pod in pods:
            if pod.ready_at is None:
                memory.starting.add(pod.uid)
            elif pod.uid in memory.starting:
                memory.starting.discard(pod.uid)
                if pod.restarts:
                    continue  # its time tells of the trouble that it had, not of starting
                took = max(0.0, pod.ready_at - pod.created_at)
                POD_START_SECONDS.labels(pool=name, role=pod.role.value).observe(took)
                if pod.role is Role.SFU:
                    memory.starts = [*memory.starts[-9:], took]
        memory.starting &= present

    def _note_quick_ends(self, pods: Sequence[ObservedPod], memory: _Memory, now: float) -> None:
        """Pods that end as soon as they begin are made again with growing pauses."""
        for pod in pods:
            if pod.ended and pod.uid not in memory.ended:
                memory.ended.add(pod.uid)
                if now - pod.created_at < _QUICK_END_S:
                    memory.quick_ends += 1
                    pause = min(_LONGEST_HOLD_S, 2.0**memory.quick_ends)
                    memory.hold_until = now + pause
            elif pod.alive and now - pod.created_at > _QUICK_END_S:
                memory.quick_ends = 0
        memory.ended &= {pod.uid for pod in pods}

    def _wanted(
        self,
        name: str,
        pool: SFUPool,
        pods: Sequence[ObservedPod],
        unmet: int,
        memory: _Memory,
        now: float,
    ) -> Wanted:
        """How many SFU pods, with stabilisation."""
        serving = [p for p in pods if p.role is Role.SFU and p.alive]
        used = sum(p.load * p.capacity for p in serving)
        reserved = sum(min(p.reserved, 1.0) * p.capacity for p in serving)
        start_s = self.start_seconds(name)
        demand = Demand(
            used=used,
            reserved=reserved,
            unmet=unmet,
            scheduled=self._scheduled(name, start_s, scaling.pod_capacity(pool.spec)),
            growth_per_s=memory.growth.add(used + reserved, now),
            occupied=any(pod.occupied for pod in pods if pod.role is Role.SFU),
        )
        wish = scaling.wanted(pool.spec, demand, start_s, datetime.fromtimestamp(now, UTC))
        before = memory.desired
        if before is None:
            standing = [p for p in pods if p.role is Role.SFU and not p.draining]
            before = pool.status.desired_replicas or len(standing)
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
        fresh: bool,
        now: float,
    ) -> Plan:
        deleted = _is_deleted(body)
        if pool.spec.paused and not deleted:
            return Plan()
        goal = Goal(
            desired=wish.pods,
            template_hash=sfu_hash(pool.spec),
            slots=slots(pool.spec),
            ports_of=lambda slot: media_ports(pool.spec, slot),
            drain=pool.spec.drain,
            update=pool.spec.update,
            deleted=deleted,
        )
        steps = plan([pod for pod in pods if pod.role is Role.SFU], goal, now)
        if now < memory.hold_until:
            text = "the last pods ended as soon as they had begun"
            steps = replace(steps, create_slots=(), blocked=text)
        if fresh:
            return Plan(create_slots=steps.create_slots, blocked=steps.blocked)
        return steps

    def _seen(
        self,
        body: Object,
        pool: SFUPool,
        pods: Sequence[ObservedPod],
        wish: Wanted,
        steps: Plan,
        turn: TurnOutcome,
        memory: _Memory,
    ) -> Seen:
        name = body["metadata"]["name"]
        return Seen(
            name=name,
            generation=body["metadata"]["generation"],
            pods=[*(pod for pod in pods if pod.role is Role.SFU), *turn.pods],
            sfu_hash=sfu_hash(pool.spec),
            turn_hash=turn.template_hash,
            desired=wish.pods,
            wanted=wish,
            desired_turn=turn.desired,
            start_seconds=self.start_seconds(name) if memory.starts else pool.status.start_seconds,
            problem=memory.problem,
            blocked=steps.blocked or self._steps.waits(name),
            paused=pool.spec.paused,
            deleted=_is_deleted(body),
        )


def _unmet_of(name: str, pool: SFUPool, unmet: Sequence[Unmet]) -> int:
    """People in refused meetings that the pool could take: its own, and those of its region. More
    than one pod carries, no meeting can have."""
    region, most = pool.spec.region, scaling.pod_capacity(pool.spec)
    return sum(
        min(each.people, most)
        for each in unmet
        if each.pool == name or (not each.pool and (each.region in ("", region) or not region))
    )


def _is_deleted(body: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in body["metadata"]
