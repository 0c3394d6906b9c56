"""What a pool says of itself: its status, events about what changed, metrics."""

import time
from collections.abc import Mapping
from typing import Any

from kcs_contracts.labels import Role
from kcs_contracts.resources.v1alpha1 import PodState, SFUPool
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions.observed import timestamp_of
from kcs_operator.decisions.pool_news import news
from kcs_operator.decisions.pool_status import Seen, status
from kcs_operator.events import Events
from kcs_operator.handlers.watching import Cache
from kcs_operator.metrics import (
    CAPACITY,
    DESIRED_PODS,
    MOVED_MEETINGS,
    POD_START_SECONDS,
    PODS,
    SCALE_EVENTS,
)
from kcs_operator.settings import Settings

_OF_A_POOL = (PODS, DESIRED_PODS, CAPACITY, SCALE_EVENTS, POD_START_SECONDS, MOVED_MEETINGS)


class PoolTelling:
    """Writes a pool's status where it differs, at most every few seconds."""

    def __init__(self, cluster: Cluster, cache: Cache, settings: Settings):
        self._cluster, self._cache = cluster, cache
        self._least_s = settings.operator.status_seconds
        self._events = Events(cluster, settings.operator.identity)
        self._written_at: dict[str, float] = {}

    def forget(self, name: str) -> None:
        """The pool is gone, and so are its metrics."""
        self._written_at.pop(name, None)
        for metric in _OF_A_POOL:
            metric.remove_by_labels({"pool": name})

    async def tell(self, body: Object, pool: SFUPool, seen: Seen, now: float) -> None:
        """Status, events and metrics."""
        after = status(pool, seen, now, timestamp_of(now))
        new = after.to_json()
        _count(seen, new)
        if new == pool.status.to_json():
            return
        urgent = new["desiredReplicas"] != pool.status.desired_replicas
        since = now - self._written_at.get(seen.name, float("-inf"))
        if since < self._least_s and not urgent:
            return
        self._written_at[seen.name] = now
        uid = body["metadata"]["uid"]
        written = await self._cluster.patch_status("sfupools", seen.name, new, uid=uid)
        self._cache.put("pools", seen.name, written)
        for each in news(pool.status, after):
            told = (body, "SFUPool", each.reason, each.note)
            await self._events.tell(*told, action=each.action, type_=each.type)

    async def tell_problem(self, body: Object, pool: SFUPool, text: str) -> None:
        """Only the one condition, when it is news: nothing else is known."""
        old = {each.type: each for each in pool.status.conditions}.get("Degraded")
        if old is not None and old.message == text:
            return
        name = body["metadata"]["name"]
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
        uid = body["metadata"]["uid"]
        written = await self._cluster.patch_status("sfupools", name, {"conditions": new}, uid=uid)
        self._cache.put("pools", name, written)
        await self._events.tell(body, "SFUPool", "PlacementAway", text, type_="Warning")


def _count(seen: Seen, new: Mapping[str, Any]) -> None:
    for role in Role:
        counts = new[role.value]
        for state in PodState:
            gauge = PODS.labels(pool=seen.name, role=role.value, state=state.value.lower())
            gauge.set(counts[state.value.lower()])
    DESIRED_PODS.labels(pool=seen.name, role="sfu").set(seen.desired)
    DESIRED_PODS.labels(pool=seen.name, role="turn").set(seen.desired_turn)
    for state, value in new["capacity"].items():
        CAPACITY.labels(pool=seen.name, state=state).set(value)
