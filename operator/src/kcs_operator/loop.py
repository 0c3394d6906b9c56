"""The loop of the leader: whatever changed, or a second passed, pools and meetings are looked at.

One task per pool, so that one that fails or is slow holds up no other. Errors are counted, said
in the log once per kind of failure, and tried again with growing pauses; nothing ends the loop
but its cancellation.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from kcs_contracts.placement import PlacementError
from kcs_operator.errors import ApiAway, OperatorError, Permanent
from kcs_operator.metrics import RECONCILE_SECONDS, RECONCILES

_log = structlog.get_logger(__name__)
_LONGEST_PAUSE_S = 30.0
_KNOWN = (OperatorError, RedisError, PlacementError, OSError, TimeoutError)


@dataclass
class _Backoff:
    """Pauses between tries that fail: 1, 2, 4 s and so on, 30 s at most."""

    failures: int = 0
    said: str = ""

    def after(self, error: Exception) -> float:
        self.failures += 1
        pause = min(_LONGEST_PAUSE_S, 2.0 ** (self.failures - 1))
        if isinstance(error, ApiAway) and error.retry_after_s is not None:
            pause = max(pause, min(error.retry_after_s, _LONGEST_PAUSE_S))
        return pause


class Loop:
    """Runs `reconcile(key)` for one key again and again."""

    def __init__(
        self,
        kind: str,
        key: str,
        reconcile: Callable[[str], Awaitable[None]],
        tick_s: float,
    ):
        self._kind, self._key, self._reconcile = kind, key, reconcile
        self._tick_s = tick_s
        self._touched = asyncio.Event()
        self._backoff = _Backoff()

    def touch(self) -> None:
        """Something changed: the next look is now."""
        self._touched.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._touched.clear()
            started = time.monotonic()
            pause = await self._once()
            RECONCILE_SECONDS.labels(kind=self._kind).observe(time.monotonic() - started)
            if pause > 0:  # changes do not cut it short: the next try is not more likely for them
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout(self._tick_s):
                    await self._touched.wait()
            except TimeoutError:
                continue
            # changes come in bursts: a list of pods that start is one reason to look, not ten
            await asyncio.sleep(min(0.1, self._tick_s))

    async def _once(self) -> float:
        try:
            await self._reconcile(self._key)
        except Exception as error:
            pause = self._backoff.after(error)
            result = "permanent" if isinstance(error, Permanent) else "temporary"
            if not isinstance(error, _KNOWN):
                result = "bug"
            RECONCILES.labels(kind=self._kind, result=result).inc()
            said = f"{type(error).__name__}: {error}"
            if said != self._backoff.said:
                self._backoff.said = said
                trace = error if result == "bug" else None
                _log.warning("reconcile_failed", kind=self._kind, error=str(error), exc_info=trace)
            return pause
        RECONCILES.labels(kind=self._kind, result="ok").inc()
        self._backoff = _Backoff()
        return 0.0
