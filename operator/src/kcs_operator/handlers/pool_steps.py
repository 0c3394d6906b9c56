"""The steps of a plan, taken: pods made, drained, emptied and deleted.

In this order for a pod that leaves: the mark in placement, then the annotation on the pod, from
which the deadlines count. An operator that dies in between marks it again.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from kcs_contracts.ids import MeetingId, NodeName
from kcs_contracts.labels import DRAIN_REQUESTED, FINALIZER, Role, selector
from kcs_contracts.placement import NoCapacity, Placement
from kcs_contracts.placement.errors import MeetingIsOver
from kcs_contracts.placement.models import Housed
from kcs_contracts.resources.v1alpha1 import ExposureMode, SFUPool
from kcs_contracts.rooms import Assignment
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions.observed import ObservedPod, seconds_of, timestamp_of
from kcs_operator.decisions.pods import Move, Plan
from kcs_operator.errors import NotFound, Permanent
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.identity import pod_name
from kcs_operator.manifests.names import DRAINING_SINCE
from kcs_operator.manifests.sfu_pod import (
    disruption_budget,
    external_address,
    needs_service,
    ports_of,
    sfu_pod,
    sfu_service,
    slot_of,
)
from kcs_operator.metrics import MOVED_MEETINGS
from kcs_operator.settings import Settings

_log = structlog.get_logger(__name__)
_NO_ROOM_S = 15.0
"""Pause after no pod had room for a meeting."""
_ORPHAN_S = 60.0
_IDLE_S = 120.0
"""The finalizer stays so long after the last one left: it is no write for each call."""
_MOVED_AT_ONCE = 5
"""Meetings of a pod that move at the same time."""


class PoolSteps:
    """Takes the steps of SFU pods."""

    def __init__(self, cluster: Cluster, placement: Placement, cache: Cache, settings: Settings):
        self._cluster, self._placement = cluster, placement
        self._cache, self._settings = cache, settings
        self._budgets: set[tuple[str, Role]] = set()
        self._no_room_until: dict[MeetingId, float] = {}
        self._occupied_at: dict[str, float] = {}
        self._unaddressed: dict[str, list[str]] = {}
        """By pool: Services whose load balancer has no address yet."""

    def waits(self, name: str) -> str:
        """Why pods of the pool that are due are not made yet; empty when all are."""
        services = self._unaddressed.get(name)
        return f"the load balancer of Service {services[0]} has no address yet" if services else ""

    async def take(
        self,
        body: Object,
        pool: SFUPool,
        steps: Plan,
        pods: Sequence[ObservedPod],
        relays: bool,
        fresh: bool,
        now: float,
    ) -> Exception | None:
        """All of them; a step that fails holds up no other. The first error, if any.

        What frees comes before what is made: a quota may be full of what is to go. `relays`: its
        coturn pods must not go yet.
        """
        name = body["metadata"]["name"]
        sfu = [pod for pod in pods if pod.role is Role.SFU]
        works: list[Callable[[], Awaitable[None]]] = [
            partial(self._keep_finalizer, body, sfu, relays, fresh, now)
        ]
        if "deletionTimestamp" not in body["metadata"]:
            works += [partial(self._keep_budget, body, role) for role in _roles(pool)]
        if not pool.spec.paused:
            works.append(partial(self._mark_again, sfu, now))
        works += [partial(self.delete, pod) for pod in steps.delete]
        works += [partial(self.move, name, pool, move) for move in steps.move]
        works += [partial(self.undrain, pod) for pod in steps.undrain]
        works += [partial(self.drain, pod, reason, now) for pod, reason in steps.drain]
        if needs_service(pool.spec):
            works.append(partial(self._create_exposed, body, pool, sfu, steps.create_slots, now))
        else:
            works += [partial(self.create, body, slot) for slot in steps.create_slots]
        failure: Exception | None = None
        for work in works:
            try:
                await work()
            except Exception as error:  # the caller says and raises it
                failure = failure or error
        return failure

    async def create(self, body: Object, slot: int) -> None:
        """Makes a pod."""
        await self._create_pod(body, pod_name(body["metadata"]["name"], Role.SFU), slot)

    async def _create_exposed(
        self,
        body: Object,
        pool: SFUPool,
        pods: Sequence[ObservedPod],
        slots: Sequence[int],
        now: float,
    ) -> None:
        """Pods with Services of their own: the Service first, the pod when it has its address.

        A Service without a pod is used for the next one, or goes if it fits no more.
        """
        waiting = await self._unused_services(body, pods, len(slots), now)
        unaddressed = []
        for service in waiting[: len(slots)]:
            name, address = service["metadata"]["name"], external_address(service)
            if address or pool.spec.exposure.mode is ExposureMode.NODE_PORT:
                await self._create_pod(body, name, slot_of(service), address)
            else:
                unaddressed.append(name)
        self._unaddressed[body["metadata"]["name"]] = unaddressed
        taken = {slot_of(each) for each in waiting}
        free = [slot for slot in slots if slot not in taken]
        for slot in free[: max(0, len(slots) - len(waiting))]:
            name = pod_name(body["metadata"]["name"], Role.SFU)
            made = sfu_service(body, name, slot, self._settings)
            await self._cluster.create("services", made)
            if pool.spec.exposure.mode is ExposureMode.NODE_PORT:
                await self._create_pod(body, name, slot)

    async def _unused_services(
        self, body: Object, pods: Sequence[ObservedPod], count: int, now: float
    ) -> list[Object]:
        """Services without a pod that fit; others go, and what is old beyond `count`."""
        have = {pod.name for pod in pods}
        found = await self._cluster.list("services", selector(body["metadata"]["name"], Role.SFU))
        waiting: list[Object] = []
        for service in (each for each in found if each["metadata"]["name"] not in have):
            wanted = sfu_service(
                body, service["metadata"]["name"], slot_of(service), self._settings
            )
            old = now - seconds_of(service["metadata"]["creationTimestamp"]) > _ORPHAN_S
            if ports_of(service) != ports_of(wanted) or (old and len(waiting) >= count):
                await self._cluster.delete("services", service["metadata"]["name"])
            else:
                waiting.append(service)
        return waiting

    async def _create_pod(
        self, body: Object, name: str, slot: int, address: str | None = None
    ) -> None:
        pod = sfu_pod(body, name, slot, self._settings, address)
        try:
            made = await self._cluster.create("pods", pod)
        except Permanent as error:
            # without the name, which is another one each time: the same again is no news
            raise type(error)(str(error).replace(f'pods "{name}"', "the pod")) from error
        self._cache.put("pods", name, made)
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

    async def move(self, name: str, pool: SFUPool, move: Move) -> None:
        """The pod's meetings go elsewhere: those with the fewest people first."""
        moving = {each.meeting_id for each in await self._placement.moves()}
        waiting = sorted(move.pod.housed, key=lambda each: each.people)
        if move.forced:
            for each in waiting:
                await self._force(name, pool, move, each)
            return
        free = _MOVED_AT_ONCE - sum(each.meeting_id in moving for each in waiting)
        now = time.monotonic()
        for each in waiting:
            if free <= 0:
                break
            if each.meeting_id in moving or self._no_room_until.get(each.meeting_id, 0) > now:
                continue
            free -= await self._migrate(name, pool, move, each)
        self._no_room_until = {k: at for k, at in self._no_room_until.items() if at > now}

    async def _migrate(self, name: str, pool: SFUPool, move: Move, meeting: Housed) -> bool:
        """Make before break: people build their media there before they leave here.

        False when no pod has room for it now: others may be smaller, or it finds room later.
        """
        with suppress(MeetingIsOver):
            try:
                moved = await self._placement.migrate(
                    meeting.meeting_id,
                    NodeName(move.pod.name),
                    meeting.epoch,
                    region=pool.spec.region,
                    anywhere=move.anywhere,
                )
            except NoCapacity:
                _log.warning("nowhere_to_move", pod=move.pod.name, people=meeting.people)
                self._no_room_until[meeting.meeting_id] = time.monotonic() + _NO_ROOM_S
                return False
            self._note(name, meeting, moved, "migrated")
        return True

    async def _force(self, name: str, pool: SFUPool, move: Move, meeting: Housed) -> None:
        """At the deadline: everybody begins anew elsewhere, as when a node is lost."""
        with suppress(MeetingIsOver):
            try:
                moved = await self._placement.evict(
                    meeting.meeting_id,
                    NodeName(move.pod.name),
                    meeting.epoch,
                    reason="moved",
                    region=pool.spec.region,
                    anywhere=move.anywhere,
                )
            except NoCapacity:
                _log.error("nowhere_to_move", pod=move.pod.name, people=meeting.people)
                return
            self._note(name, meeting, moved, "forced")

    def _note(self, pool: str, meeting: Housed, moved: Assignment | None, how: str) -> None:
        if moved is not None:
            MOVED_MEETINGS.labels(pool=pool, how=how).inc()
            _log.info("meeting_moves", meeting_id=meeting.meeting_id, to=moved.node, how=how)

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
            elif pod.stale_drain:
                await self._annotate(pod, {DRAINING_SINCE: None})
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

    async def _keep_finalizer(
        self, body: Object, pods: Sequence[ObservedPod], relays: bool, fresh: bool, now: float
    ) -> None:
        """The pool must not go before its calls have, nor before those whom it relays: held only
        while there is somebody."""
        meta, held = body["metadata"], is_held(body)
        occupied = relays or any(pod.occupied for pod in pods)
        deleted = "deletionTimestamp" in meta
        if occupied:
            self._occupied_at[meta["uid"]] = now
        elif held and not deleted:
            # an operator that has just started has not seen when the last one left
            occupied = now - self._occupied_at.setdefault(meta["uid"], now) < _IDLE_S
        if occupied == held or (deleted and not held) or (fresh and held):
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


def is_held(body: Object) -> bool:
    """The pool has the operator's finalizer."""
    return FINALIZER in body["metadata"].get("finalizers", ())


def _roles(pool: SFUPool) -> tuple[Role, ...]:
    return (Role.SFU,) if pool.spec.turn is None else (Role.SFU, Role.TURN)
