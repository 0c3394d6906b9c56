"""One of the replicas leads: it holds a Lease and renews it; the other waits.

A leader that cannot renew stops before its lease is over, so that two never act at once.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import structlog

from kcs_operator.cluster import Cluster
from kcs_operator.errors import AlreadyThere, Conflict, NotFound, OperatorError
from kcs_operator.metrics import LEADER

_log = structlog.get_logger(__name__)


class LeadershipLost(Exception):
    """The lease could not be renewed in time, or somebody else has it."""


class Leadership:
    """The Lease `name`, for `identity`."""

    def __init__(self, cluster: Cluster, name: str, identity: str, seconds: int):
        self._cluster, self._name, self._identity = cluster, name, identity
        self._seconds = seconds
        self._every = seconds / 5
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed_at = float("-inf")

    async def acquire(self) -> None:
        """Returns when this replica leads."""
        while not await self._try():  # noqa: ASYNC110 - a Lease is asked for, no event tells
            await asyncio.sleep(self._every)
        LEADER.set(1)
        _log.info("leading", lease=self._name)

    async def hold(self) -> None:
        """Renews until cancelled.

        Raises:
            LeadershipLost: this replica must stop at once.
        """
        while True:
            await asyncio.sleep(self._every)
            if not await self._try():
                break
        LEADER.set(0)
        raise LeadershipLost

    async def release(self) -> None:
        """Lets the other replica lead at once. Best effort."""
        LEADER.set(0)
        try:
            lease = await self._cluster.get("leases", self._name)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._cluster.replace("leases", self._name, lease)
        except OperatorError as error:
            _log.warning("lease_not_released", error=str(error))

    async def _try(self) -> bool:
        """Whether this replica leads now. A leader bears failures for a while."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds / 3):
                held = await self._renew()
        except (OperatorError, TimeoutError) as error:
            if not isinstance(error, Conflict | AlreadyThere):
                _log.warning("lease_not_renewed", error=str(error) or type(error).__name__)
            return asked - self._renewed_at < self._seconds * 2 / 3
        if held:
            self._renewed_at = asked
        return held

    async def _renew(self) -> bool:
        try:
            lease = await self._cluster.get("leases", self._name)
        except NotFound:
            await self._cluster.create("leases", self._body({}, 0))
            return True
        spec = lease.get("spec", {})
        if spec.get("holderIdentity") not in ("", None, self._identity) and self._is_live(spec):
            return False
        changes = spec.get("leaseTransitions", 0)
        if spec.get("holderIdentity") != self._identity:
            changes += 1
        await self._cluster.replace("leases", self._name, self._body(lease["metadata"], changes))
        return True

    def _is_live(self, spec: dict[str, Any]) -> bool:
        """By our own clock: a lease is over when it has not changed for its duration."""
        version = f"{spec.get('holderIdentity')} {spec.get('renewTime')}"
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
        lasts = float(spec.get("leaseDurationSeconds", self._seconds))
        return time.monotonic() - self._seen[1] < lasts

    def _body(self, metadata: dict[str, Any], changes: int) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata or {"name": self._name, "namespace": self._cluster.namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._seconds,
                "renewTime": now,
                "acquireTime": now,
                "leaseTransitions": changes,
            },
        }
