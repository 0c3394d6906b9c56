"""The node's lease in placement: renewed every second, and what follows when it is not.

While renewals fail the node admits nobody new (`Lease.held`), since placement may have given its
meetings to another; media that runs goes on. Redis being away, at the start or later, is tried
again each second for ever.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from redis.exceptions import RedisError

from kcs_contracts.ids import BootId, NodeName
from kcs_contracts.placement import Hosted, NodeLease, Placement, PlacementError, Renewal
from kcs_sfu.agent.codecs import rtp_capabilities

_log = structlog.get_logger(__name__)
_EVERY_S = 1.0
_CALL_S = 0.9
_HELD_S = 2.0
"""A node that could not renew for so long admits nobody new; the lease itself lives for 3 s."""
_RELEASE_S = 1.0
_ANNOUNCE_S = 30.0
"""How often the RTP capabilities are told again, should Redis have lost them."""


class Superseded(Exception):
    """Another process has this node's name: this one must end."""


class Lease:
    """Renews, in `run`; `state` gives what to say, `on_renewed` is told the answer."""

    def __init__(
        self,
        placement: Placement,
        node: NodeName,
        boot: BootId,
        state: Callable[[], tuple[NodeLease, Sequence[Hosted]]],
        on_renewed: Callable[[Renewal], None],
    ):
        self._placement, self._node, self._boot = placement, node, boot
        self._state, self._on_renewed = state, on_renewed
        self._renewed_at = self._announced_at = float("-inf")
        self._failing = False
        self._marked = False
        self.draining = False
        """Placement has a drain mark for this node: it gets no new meetings."""
        self.acquired = asyncio.Event()
        """It was renewed once."""

    @property
    def age_s(self) -> float:
        """Time since the last renewal that succeeded; infinite before the first."""
        return time.monotonic() - self._renewed_at

    @property
    def held(self) -> bool:
        """Whether the node may admit people."""
        return self.age_s <= _HELD_S

    async def run(self) -> None:
        """Renews every second until cancelled.

        Raises:
            Superseded: a newer process took the node's name.
        """
        while True:
            started = time.monotonic()
            await self._renew(started)
            await asyncio.sleep(max(0.0, started + _EVERY_S - time.monotonic()))

    async def drain(self) -> None:
        """The node is leaving: placement gives it no more meetings. Best effort."""
        self._marked = not self.draining
        self.draining = True
        with suppress(PlacementError, RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_CALL_S):
                await self._placement.drain(self._node)

    async def release(self) -> None:
        """Ends the lease at once, and takes away a mark of `drain`. Call it after `run` ended."""
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._placement.release(self._node, self._boot)
                if self._marked:
                    await self._placement.undrain(self._node)
        except (PlacementError, RedisError, OSError, TimeoutError) as error:
            _log.warning("lease_not_released", error=str(error))

    async def _renew(self, started: float) -> None:
        lease, hosted = self._state()
        try:
            async with asyncio.timeout(_CALL_S):
                await self._announce(started)
                renewal = await self._placement.renew(lease, hosted)
        except (PlacementError, RedisError, OSError, TimeoutError) as error:
            if not self._failing:
                _log.warning("lease_not_renewed", error=str(error) or type(error).__name__)
            self._failing = True
            return
        if self._failing:
            _log.info("lease_renewed_again")
        self._failing = False
        self._follow(renewal, started)

    async def _announce(self, started: float) -> None:
        if started - self._announced_at >= _ANNOUNCE_S:
            await self._placement.publish_capabilities(rtp_capabilities())
            self._announced_at = started

    def _follow(self, renewal: Renewal, started: float) -> None:
        if renewal.superseded:
            raise Superseded
        self._renewed_at = started
        if renewal.draining and not self.draining:
            _log.warning("drain_mark", hint="this node gets no new meetings until it is undrained")
        self.draining = renewal.draining or self._marked
        self.acquired.set()
        self._on_renewed(renewal)
