"""The steps of coturn pods, taken: pods made, drained and deleted, and their configurations.

A configuration holds the shared secrets, so it is deleted with the last pod that has it, whoever
deleted that pod. This operator knows those that it has seen; it may not list Secrets, so one that
was left over while no operator ran stays until the pool goes, which owns it.
"""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from kcs_contracts.labels import DRAIN_REQUESTED, Role
from kcs_operator.cluster import Cluster, Object
from kcs_operator.decisions.observed import ObservedPod, timestamp_of
from kcs_operator.decisions.pods import Plan
from kcs_operator.decisions.turn import TurnPod
from kcs_operator.errors import AlreadyThere, NotFound
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.identity import pod_name
from kcs_operator.manifests.names import DRAINING_SINCE, PEERS
from kcs_operator.manifests.turn_pod import turn_config, turn_pod
from kcs_operator.settings import Settings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Aim:
    """What new coturn pods are made from."""

    template_hash: str = ""
    peers: str = ""
    secrets: tuple[str, ...] = ()


class TurnSteps:
    """Takes the steps of coturn pods."""

    def __init__(self, cluster: Cluster, cache: Cache, settings: Settings):
        self._cluster, self._cache, self._settings = cluster, cache, settings

    async def take(
        self,
        body: Object,
        steps: Plan,
        pods: Sequence[ObservedPod],
        aim: Aim,
        configs: set[str],
        now: float,
    ) -> Exception | None:
        """All of them; a step that fails holds up no other. The first error, if any.

        `configs`: the hashes of configurations that there may be; it is kept up to date.
        """
        works: list[Awaitable[None]] = [self._delete(pod) for pod in steps.delete]
        works += [self._keep_marks(pod, now) for pod in pods]
        undrained: dict[str, str | None] = {DRAIN_REQUESTED: None, DRAINING_SINCE: None}
        works += [self._annotate(pod, undrained) for pod in steps.undrain]
        for pod, reason in steps.drain:
            notes = {DRAIN_REQUESTED: reason, DRAINING_SINCE: timestamp_of(now)}
            works.append(self._annotate(pod, notes))
        if steps.create_slots:
            works.append(self._create(body, aim, configs, steps.create_slots))
        works.append(self._drop_configs(body, steps, pods, aim, configs))
        return await _all(works)

    async def tell_peers(self, pods: Sequence[TurnPod], peers: str) -> Exception | None:
        """Lets the pods relay to these addresses (`PEERS`) and to no others; the first failure."""
        behind = [pod for pod in pods if pod.peers != peers and not pod.deleting]
        return await _all([self._annotate(pod, {PEERS: peers}) for pod in behind])

    async def _create(
        self, body: Object, aim: Aim, configs: set[str], slots: Sequence[int]
    ) -> None:
        config = config_name(body, aim.template_hash)
        with suppress(AlreadyThere):
            wish = turn_config(body, config, aim.secrets, self._settings)
            await self._cluster.create("secrets", wish)
        configs.add(aim.template_hash)
        for slot in slots:
            name = pod_name(body["metadata"]["name"], Role.TURN)
            wish = turn_pod(body, name, slot, aim.template_hash, config, aim.peers, self._settings)
            self._cache.put("pods", name, await self._cluster.create("pods", wish))
            _log.info("turn_pod_created", pod=name)

    async def _delete(self, pod: ObservedPod) -> None:
        await self._cluster.delete("pods", pod.name, uid=pod.uid)
        _log.info("turn_pod_deleted", pod=pod.name)

    async def _drop_configs(
        self,
        body: Object,
        steps: Plan,
        pods: Sequence[ObservedPod],
        aim: Aim,
        configs: set[str],
    ) -> None:
        """A pod that goes has read its own already."""
        leaves = {pod.uid for pod in steps.delete}
        stay = [pod for pod in pods if not pod.deleting and pod.uid not in leaves]
        used = {pod.template_hash for pod in stay} | {aim.template_hash}
        for each in sorted(configs - used):
            await self._cluster.delete("secrets", config_name(body, each))
            configs.discard(each)

    async def _keep_marks(self, pod: ObservedPod, now: float) -> None:
        """Somebody else may have asked for a drain, or have taken one back."""
        if pod.deleting:
            return
        if pod.drain_reason is not None and pod.draining_since is None:
            await self._annotate(pod, {DRAINING_SINCE: timestamp_of(now)})
        elif pod.stale_drain:
            await self._annotate(pod, {DRAINING_SINCE: None})

    async def _annotate(self, pod: ObservedPod, notes: Mapping[str, str | None]) -> None:
        meta: dict[str, Any] = {"uid": pod.uid, "annotations": dict(notes)}
        with suppress(NotFound):
            body = await self._cluster.patch("pods", pod.name, {"metadata": meta})
            self._cache.put("pods", pod.name, body)


async def _all(works: Sequence[Awaitable[None]]) -> Exception | None:
    """One after the other, whatever becomes of it; answers the first failure."""
    failures: list[Exception] = []
    for work in works:
        try:
            await work
        except Exception as error:  # the caller's to raise
            failures.append(error)
    return failures[0] if failures else None


def config_name(body: Object, template_hash: str) -> str:
    """Of the Secret with that configuration."""
    return f"{body['metadata']['name']}-turn-{template_hash}"
