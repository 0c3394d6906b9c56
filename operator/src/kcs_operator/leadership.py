"""One of the replicas leads: it holds a Lease and renews it; the other waits.

A leader acts for at most two thirds of the lease's duration from when its last renewal that
succeeded was begun, whatever hangs. Another takes over when it has seen the Lease unchanged for the
whole duration. So two never act at once, and no two clocks are compared. Each process leads once:
who lost the lease ends.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis

from kcs_operator.cluster import Cluster
from kcs_operator.errors import (
    AlreadyThere,
    Conflict,
    NotFound,
    NotLeading,
    OperatorError,
    Permanent,
)
from kcs_operator.metrics import LEADER
from kcs_operator.tracing import TracedPlacement

_log = structlog.get_logger(__name__)
T = TypeVar("T")
_RELEASE_S = 5.0
_GONE = "gone"
_RBAC = "rbac.authorization.k8s.io/v1"


class LeadersPlacement(TracedPlacement):
    """Placement for who leads: each call is begun only if `leads()`; else it raises NotLeading.

    A mark of a former leader, set or taken away, would undo what its successor has just done.
    """

    def __init__(self, redis: Redis, leads: Callable[[], bool]):
        super().__init__(redis)
        self._leads = leads

    async def _whole(self, call: Awaitable[T]) -> T:
        if self._leads():
            return await super()._whole(call)
        if inspect.iscoroutine(call):
            call.close()
        raise NotLeading("this replica does not lead any more")


class LeadershipLost(Exception):
    """The lease could not be renewed in time, or somebody else has it."""


class Leadership:
    """The Lease `name`, for `identity`.

    Args:
        role: the Role that the Lease belongs to, so that it goes with that; "": it stays.
        clock: seconds that only go on.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        identity: str,
        seconds: int,
        role: str = "",
        clock: Callable[[], float] = time.monotonic,
    ):
        self._cluster, self._name, self._identity = cluster, name, identity
        self._seconds, self._role, self._clock = seconds, role, clock
        self._every = seconds / 5
        self._seen: tuple[str, float] = ("", 0.0)
        self._until = float("-inf")
        self._resigned = False
        self.lost = asyncio.Event()
        """The lease was lost, against this replica's will."""

    def leads(self) -> bool:
        """Whether this replica may act now: to be asked before each write."""
        return not self._resigned and self._clock() < self._until

    async def acquire(self) -> None:
        """Returns when this replica leads."""
        while not await self._try():  # noqa: ASYNC110 - a Lease is asked for, no event tells
            await asyncio.sleep(self._every)
        LEADER.set(1)
        _log.info("leading", lease=self._name)

    async def hold(self) -> None:
        """Renews until cancelled; then, too, this replica leads no more.

        Raises:
            LeadershipLost: this replica must stop at once.
        """
        renewing = asyncio.create_task(self._renew_always())
        try:
            while not renewing.done() and (left := self._until - self._clock()) > 0:
                await asyncio.wait((renewing,), timeout=left)
        finally:
            self.resign()
            renewing.cancel()  # and not waited for: it may hang
        self.lost.set()
        if renewing.done():
            renewing.result()
        raise LeadershipLost

    def resign(self) -> None:
        """From now on this replica does not lead."""
        self._resigned = True
        LEADER.set(0)

    async def release(self) -> None:
        """Resigns, and lets the other replica lead at once. Best effort."""
        self.resign()
        try:
            async with asyncio.timeout(min(_RELEASE_S, self._seconds / 3)):
                lease = await self._cluster.get("leases", self._name)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._cluster.replace("leases", self._name, lease)
        except (OperatorError, TimeoutError) as error:
            _log.warning("lease_not_released", error=_words(error))

    async def _renew_always(self) -> None:
        """Returns when somebody else has the lease."""
        mine: bool | None = True
        while mine is not False:
            await asyncio.sleep(self._every if mine else self._every / 3)
            mine = await self._try()

    async def _try(self) -> bool | None:
        """Takes or renews the lease: whether it is ours; None when nobody knows."""
        begun = self._clock()
        try:
            async with asyncio.timeout(self._seconds / 3):
                mine = await self._renew()
        except (OperatorError, TimeoutError) as error:
            if not isinstance(error, Conflict | AlreadyThere):
                _log.warning("lease_not_renewed", error=_words(error))
            return None
        if mine:
            self._until = begun + self._seconds * 2 / 3
        return mine

    async def _renew(self) -> bool:
        try:
            lease = await self._cluster.get("leases", self._name)
        except NotFound:
            if self._seen[0] and not self.leads() and self._unchanged_s(_GONE) < self._seconds:
                return False  # who had it may not know yet that somebody has deleted it
            await self._cluster.create("leases", self._body(await self._owned(), 0))
            return True
        spec = lease.get("spec", {})
        if spec.get("holderIdentity") not in ("", None, self._identity) and self._is_live(lease):
            return False
        meta, changes = lease["metadata"], spec.get("leaseTransitions", 0)
        if spec.get("holderIdentity") != self._identity:
            meta, changes = meta | await self._owned(), changes + 1
        await self._cluster.replace("leases", self._name, self._body(meta, changes))
        return True

    def _is_live(self, lease: dict[str, Any]) -> bool:
        """By our own clock: a lease is over when it has not changed for its duration."""
        lasts = float(lease["spec"].get("leaseDurationSeconds", self._seconds))
        return self._unchanged_s(lease["metadata"]["resourceVersion"]) < lasts

    def _unchanged_s(self, version: str) -> float:
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        return self._clock() - self._seen[1]

    async def _owned(self) -> dict[str, Any]:
        """What of the Lease's metadata makes the garbage collector delete it with the Role."""
        if not self._role:
            return {}
        try:
            uid = (await self._cluster.get("roles", self._role))["metadata"]["uid"]
        except Permanent as error:  # then it stays, which holds up nobody
            _log.warning("lease_without_owner", error=_words(error))
            return {}
        owner = {"apiVersion": _RBAC, "kind": "Role", "name": self._role, "uid": uid}
        return {"ownerReferences": [owner]}

    def _body(self, metadata: dict[str, Any], changes: int) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._cluster.namespace, **metadata},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._seconds,
                "renewTime": now,
                "acquireTime": now,
                "leaseTransitions": changes,
            },
        }


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
