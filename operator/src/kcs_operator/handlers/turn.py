"""The coturn pods of a pool: the same plan as for SFU pods, by allocations and by what they send.

A coturn pod that goes leaves the list that signaling hands out first (that is its mark); it is
deleted when nobody is connected and the credentials that were given out with it are over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog
from aiohttp import ClientSession

from kcs_contracts.labels import POOL, ROLE, Role
from kcs_contracts.placement import Placement
from kcs_contracts.resources.v1alpha1 import PodState, SFUPool, Turn
from kcs_contracts.resources.v1alpha1.common import duration_of
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions import scaling
from kcs_operator.decisions.observed import ObservedPod, address_of
from kcs_operator.decisions.pods import Goal, Plan, plan
from kcs_operator.decisions.turn import (
    Egress,
    Loads,
    TurnPod,
    observe_turn,
    servers_to_issue,
    settled_s,
    update_of,
    wanted_turn,
)
from kcs_operator.errors import OperatorError
from kcs_operator.handlers.turn_secrets import SecretStore
from kcs_operator.handlers.turn_steps import Aim, TurnSteps
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.names import EXPORTER_PORT
from kcs_operator.manifests.turn_pod import turn_peers, turn_template_hash
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
    loads: Loads = field(default_factory=Loads)
    asked_at: float = float("-inf")
    mbps: float = 0.0
    desired: int | None = None
    configs: set[str] = field(default_factory=set)
    """Hashes of the configurations that there may be."""
    seen: tuple[TurnPod, ...] = ()
    """The pods at the last look."""


@dataclass(frozen=True)
class TurnOutcome:
    """What the pool's status says of them."""

    pods: tuple[ObservedPod, ...] = ()
    desired: int = 0
    template_hash: str = ""
    problem: str = ""
    failure: Exception | None = None
    """A step failed; the others were taken."""


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
        self._placement, self._cache = placement, cache
        self._settled_s = settled_s(settings.pods.turn_credential_seconds)
        self._metrics = TurnMetrics(session)
        self._secrets = SecretStore(cluster, settings.pods)
        self._steps = TurnSteps(cluster, cache, settings)
        self._memories: dict[str, _Memory] = {}

    def forget(self, name: str) -> None:
        """The pool is gone; `sweep` takes it off the list."""
        self._memories.pop(name, None)
        self._secrets.forget(name)

    def holds(self, body: Object, pods: Sequence[ObservedPod], *, held: bool) -> bool:
        """Whether the pool must not go, for people who are relayed. Of those who may be, as their
        pod was not heard from yet, that is so if it was before (`held`)."""
        turn_pods = [pod for pod in pods if pod.role is Role.TURN and not pod.deleting]
        memory = self._memories.get(body["metadata"]["name"])
        seen = {pod.uid: pod for pod in memory.seen} if memory else {}
        known = [seen[pod.uid] for pod in turn_pods if pod.uid in seen and seen[pod.uid].load_known]
        return any(pod.occupied for pod in known) or (held and len(known) < len(turn_pods))

    async def reconcile(
        self, body: Object, pool: SFUPool, pods: Sequence[ObservedPod], now: float
    ) -> TurnOutcome:
        """The next steps; `pods` are all of the pool's."""
        name, spec = body["metadata"]["name"], pool.spec.turn
        turn_pods = [pod for pod in pods if pod.role is Role.TURN]
        if spec is None and not turn_pods and name not in self._memories:
            return TurnOutcome()
        memory = self._memories.setdefault(name, _Memory(scaling.Stabiliser(now)))
        memory.configs |= {pod.template_hash for pod in turn_pods if pod.template_hash}
        await self._ask(turn_pods, memory, now)
        issued = await self._placement.issued_turn_servers(name)
        observed = self._observe(turn_pods, pool, memory, issued, now)
        memory.seen = observed
        peers = turn_peers(_sfu_addresses(self._cache))
        failure = await self._steps.tell_peers(observed, peers)
        wanted, aim = 0, Aim()
        stays = spec is not None and not _is_deleted(body)
        if spec is not None and stays:
            wanted = self._wanted(name, pool, spec, observed, memory, now)
            try:
                secrets = await self._secrets.read()
                aim = Aim(turn_template_hash(pool.spec, secrets), peers, secrets)
            except OperatorError as error:  # what runs goes on, and nothing new is made
                failure = failure or error
        steps = self._plan(body, pool, observed, wanted, aim, now)
        if not pool.spec.paused or _is_deleted(body):
            took = await self._steps.take(body, steps, observed, aim, memory.configs, now)
            failure = failure or took
        await self._issue(name, spec, observed, steps, issued, now)
        if spec is None and not observed and not memory.configs:
            self.forget(name)
        if stays and aim.secrets:
            self._secrets.report(name, _taken(observed, aim, now), now)
            await self._secrets.rotate(self._pools_with_coturn(), now)
        nowhere = stays and not peers and any(_serves(pod, now) for pod in pods)
        problem = "No SFU pod has an IPv4 address, so coturn relays to none." if nowhere else ""
        return TurnOutcome(observed, wanted, _hash_of(aim, observed), problem, failure)

    def _observe(
        self,
        pods: Sequence[ObservedPod],
        pool: SFUPool,
        memory: _Memory,
        issued: Sequence[TurnServer],
        now: float,
    ) -> tuple[TurnPod, ...]:
        bodies = self._cache.pods
        return tuple(
            observe_turn(pod, bodies[pod.name], memory.loads, issued, pool.spec, now)
            for pod in pods
            if pod.name in bodies
        )

    def _plan(
        self,
        body: Object,
        pool: SFUPool,
        pods: Sequence[TurnPod],
        wanted: int,
        aim: Aim,
        now: float,
    ) -> Plan:
        spec, template_hash = pool.spec.turn, _hash_of(aim, pods)
        if pool.spec.paused and not _is_deleted(body):
            return Plan()
        goal = Goal(
            desired=wanted,
            template_hash=template_hash,
            slots=spec.replicas.max + pool.spec.update.max_surge if spec else 0,
            drain=pool.spec.drain,
            update=update_of(pool.spec.update, pods, template_hash, wanted, now),
            deleted=_is_deleted(body),
            settled_s=self._settled_s,
        )
        steps = plan(pods, goal, now)
        return steps if aim.secrets else replace(steps, create_slots=())

    async def _ask(self, pods: Sequence[ObservedPod], memory: _Memory, now: float) -> None:
        if now - memory.asked_at < _ASK_EVERY_S:
            return
        memory.asked_at = now
        urls = {pod.uid: f"http://{pod.ip}:{EXPORTER_PORT}/metrics" for pod in pods if pod.ip}
        found = await self._metrics.read(urls)
        memory.loads.add(found, pods, now)
        memory.mbps = memory.egress.add(found, pods, now)

    def _wanted(
        self,
        name: str,
        pool: SFUPool,
        spec: Turn,
        pods: Sequence[TurnPod],
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

    async def _issue(
        self,
        name: str,
        spec: Turn | None,
        pods: Sequence[TurnPod],
        steps: Plan,
        issued: Sequence[TurnServer],
        now: float,
    ) -> None:
        leaving = [pod for pod, _ in steps.drain]
        servers = servers_to_issue(pods, leaving, now) if spec is not None else ()
        if servers != tuple(issued):
            await self._placement.issue_turn_servers(name, servers)
            _log.info("turn_servers_issued", pool=name, count=len(servers))

    def _pools_with_coturn(self) -> list[str]:
        return [name for name, body in self._cache.pools.items() if _has_coturn(body)]


async def sweep(placement: Placement, cache: Cache) -> None:
    """Takes pools that are gone, or have no coturn any more, off the list of TURN servers.

    To be asked again and again: a pool may go while this operator or Redis is away.
    """
    for name in await placement.turn_pools():
        body = cache.pools.get(name)
        if body is None or body["spec"].get("turn") is None:
            await placement.issue_turn_servers(name, ())
            _log.info("turn_servers_swept", pool=name)


def _sfu_addresses(cache: Cache) -> list[str]:
    """Of all pools: people get relays of their region, and their meeting may live in any pool."""
    found = []
    for pod in cache.pods.values():
        labels = pod["metadata"]["labels"]
        if labels[POOL] in cache.pools and labels.get(ROLE) == Role.SFU:
            found.append(address_of(pod))
    return found


def _taken(pods: Sequence[TurnPod], aim: Aim, now: float) -> tuple[str, ...] | None:
    """The secrets that all pods take; those that drain are given out with none any more."""
    staying = [pod for pod in pods if not pod.draining]
    all_do = all(
        pod.template_hash == aim.template_hash and pod.state(now) is PodState.READY
        for pod in staying
    )
    return aim.secrets if all_do else None


def _hash_of(aim: Aim, pods: Sequence[ObservedPod]) -> str:
    """What pods should have; of those that are all to go, what they have."""
    return aim.template_hash or (pods[0].template_hash if pods else "")


def _serves(pod: ObservedPod, now: float) -> bool:
    return pod.role is Role.SFU and pod.state(now) is PodState.READY


def _has_coturn(body: Object) -> bool:
    return body["spec"].get("turn") is not None and not _is_deleted(body)


def _is_deleted(body: Object) -> bool:
    return "deletionTimestamp" in body["metadata"]
