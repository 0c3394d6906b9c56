"""The steps of a plan, taken: pods made, drained, emptied and deleted.

In this order for a pod that leaves: the mark in placement, then the annotation on the pod, from
which the deadlines count. An operator that dies in between marks it again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from kcs_contracts.ids import NodeName
from kcs_contracts.labels import DRAIN_REQUESTED, FINALIZER, Role, selector
from kcs_contracts.placement import NoCapacity, Placement
from kcs_contracts.placement.errors import MeetingIsOver
from kcs_contracts.placement.models import Housed
from kcs_contracts.resources.v1alpha1 import ExposureMode, SFUPool
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions.observed import ObservedPod, timestamp_of
from kcs_operator.decisions.pods import Move, Plan
from kcs_operator.errors import NotFound
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.identity import pod_name
from kcs_operator.manifests.names import DRAINING_SINCE
from kcs_operator.manifests.sfu_pod import (
    disruption_budget,
    external_address,
    needs_service,
    sfu_pod,
    sfu_service,
    slot_of,
)
from kcs_operator.metrics import MOVED_MEETINGS
from kcs_operator.settings import Settings

_log = structlog.get_logger(__name__)
_MOVED_AT_ONCE = 5
"""Meetings that begin to move in one step: the next step takes the others."""


class PoolSteps:
    """Takes the steps of SFU pods."""

    def __init__(self, cluster: Cluster, placement: Placement, cache: Cache, settings: Settings):
        self._cluster, self._placement = cluster, placement
        self._cache, self._settings = cache, settings
        self._budgets: set[tuple[str, Role]] = set()

    async def take(
        self, body: Object, pool: SFUPool, steps: Plan, pods: Sequence[ObservedPod], now: float
    ) -> None:
        """All of them; a step that fails leaves the others to the next time."""
        await self._keep_finalizer(body, pods)
        if "deletionTimestamp" not in body["metadata"]:
            await self._keep_budget(body, Role.SFU)
            if pool.spec.turn is not None:
                await self._keep_budget(body, Role.TURN)
        await self._mark_again(pods, now)
        if pool.spec.exposure.mode is ExposureMode.LOAD_BALANCER:
            await self._create_balanced(body, pods, steps.create_slots)
        else:
            for slot in steps.create_slots:
                await self.create(body, pool, slot)
        for pod, reason in steps.drain:
            await self.drain(pod, reason, now)
        for pod in steps.undrain:
            await self.undrain(pod)
        for move in steps.move:
            await self.move(body["metadata"]["name"], move)
        for pod in steps.delete:
            await self.delete(pod)

    async def create(self, body: Object, pool: SFUPool, slot: int) -> None:
        """Makes a pod, and its Service first where it has one."""
        name = pod_name(body["metadata"]["name"], Role.SFU)
        if needs_service(pool.spec):
            service = sfu_service(body, name, slot, self._settings)
            await self._cluster.create("services", service)
        await self._create_pod(body, name, slot)

    async def _create_balanced(
        self, body: Object, pods: Sequence[ObservedPod], slots: Sequence[int]
    ) -> None:
        """The Service first; its pod when the load balancer has an address to announce."""
        have = {pod.name for pod in pods}
        chosen = selector(body["metadata"]["name"], Role.SFU)
        found = await self._cluster.list("services", chosen)
        waiting = [each for each in found if each["metadata"]["name"] not in have]
        taken = {slot_of(each) for each in waiting}
        for service in waiting[: len(slots)]:
            if address := external_address(service):
                name = service["metadata"]["name"]
                await self._create_pod(body, name, slot_of(service), address)
        free = [slot for slot in slots if slot not in taken]
        for slot in free[: max(0, len(slots) - len(waiting))]:
            name = pod_name(body["metadata"]["name"], Role.SFU)
            service = sfu_service(body, name, slot, self._settings)
            await self._cluster.create("services", service)

    async def _create_pod(
        self, body: Object, name: str, slot: int, address: str | None = None
    ) -> None:
        pod = sfu_pod(body, name, slot, self._settings, address)
        self._cache.put("pods", name, await self._cluster.create("pods", pod))
        _log.info("pod_created", pod=name, slot=slot)

    async def drain(self, pod: ObservedPod, reason: str, now: float) -> None:
        """Marks the pod: no new meetings. The time of the first mark stays."""
        if pod.alive or pod.occupied:
            await self._placement.drain(NodeName(pod.name))
        notes = {DRAIN_REQUESTED: reason, DRAINING_SINCE: timestamp_of(now)}
        await self._annotate(pod, notes)
        _log.info("pod_drains", pod=pod.name, reason=reason, participants=pod.participants)

    async def undrain(self, pod: ObservedPod) -> None:
        """The pod stays: the annotation goes first, as it is what asks for the drain."""
        await self._annotate(pod, {DRAIN_REQUESTED: None, DRAINING_SINCE: None})
        await self._placement.undrain(NodeName(pod.name))
        _log.info("pod_stays", pod=pod.name)

    async def move(self, pool: str, move: Move) -> None:
        """The pod's meetings go elsewhere: those with the fewest people first."""
        waiting = sorted(move.pod.housed, key=lambda each: each.people)
        for each in waiting if move.forced else waiting[:_MOVED_AT_ONCE]:
            await self._move_one(pool, move, each)

    async def _move_one(self, pool: str, move: Move, meeting: Housed) -> None:
        node = NodeName(move.pod.name)
        try:
            moved = await self._placement.evict(
                meeting.meeting_id, node, meeting.epoch, reason="moved"
            )
        except NoCapacity:
            _log.warning("nowhere_to_move", pod=move.pod.name, people=meeting.people)
            return
        except MeetingIsOver:
            return
        if moved is not None:
            MOVED_MEETINGS.labels(pool=pool, how="forced" if move.forced else "reset").inc()
            _log.info("meeting_moved", meeting_id=meeting.meeting_id, to=moved.node)

    async def delete(self, pod: ObservedPod) -> None:
        """Deletes that very pod, its Service, and its mark."""
        await self._cluster.delete("pods", pod.name, uid=pod.uid)
        if pod.role is Role.SFU:
            await self._cluster.delete("services", pod.name)
        _log.info("pod_deleted", pod=pod.name)

    async def _mark_again(self, pods: Sequence[ObservedPod], now: float) -> None:
        """Marks that a flushed Redis lost, or that the annotation asks for, and those to lift."""
        for pod in pods:
            if pod.drain_reason is not None and pod.draining_since is None and not pod.deleting:
                await self._annotate(pod, {DRAINING_SINCE: timestamp_of(now)})
            if pod.role is not Role.SFU or not pod.alive:
                continue
            if pod.draining and not pod.marked:
                await self._placement.drain(NodeName(pod.name))
            elif pod.marked and not pod.draining:
                await self._placement.undrain(NodeName(pod.name))

    async def _annotate(self, pod: ObservedPod, notes: Mapping[str, str | None]) -> None:
        meta: dict[str, Any] = {"uid": pod.uid, "annotations": dict(notes)}
        with suppress(NotFound):
            body = await self._cluster.patch("pods", pod.name, {"metadata": meta})
            self._cache.put("pods", pod.name, body)

    async def _keep_finalizer(self, body: Object, pods: Sequence[ObservedPod]) -> None:
        """The pool must not go before its calls have: held only while somebody is in one."""
        meta = body["metadata"]
        held = FINALIZER in meta.get("finalizers", ())
        occupied = any(pod.occupied for pod in pods)
        deleted = "deletionTimestamp" in meta
        if occupied == held or (deleted and not held):
            return
        others = [each for each in meta.get("finalizers", ()) if each != FINALIZER]
        wanted = [*others, FINALIZER] if occupied else others
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": wanted}}
        with suppress(NotFound):
            new = await self._cluster.patch("sfupools", meta["name"], patch)
            if not (deleted and not wanted):
                self._cache.put("pools", meta["name"], new)

    async def _keep_budget(self, body: Object, role: Role) -> None:
        key = (body["metadata"]["uid"], role)
        if key in self._budgets:
            return
        budget = disruption_budget(body, role, self._settings)
        try:
            await self._cluster.get("poddisruptionbudgets", budget["metadata"]["name"])
        except NotFound:
            await self._cluster.create("poddisruptionbudgets", budget)
        self._budgets.add(key)
