"""The loop of the leader: whatever changed, or a second passed, pools and meetings are looked at.

One task per pool, so that one that fails or is slow holds up no other. Errors are counted, said
in the log once per kind of failure, and tried again with growing pauses, at once where somebody
changed what is wanted; nothing ends the loop but its cancellation.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog
from redis.exceptions import RedisError

from kcs_contracts.placement import PlacementError
from kcs_operator.errors import ApiAway, OperatorError, Permanent
from kcs_operator.metrics import RECONCILE_SECONDS, RECONCILES
from kcs_operator.tracing import Trigger, reconciliation

_log = structlog.get_logger(__name__)
_LONGEST_PAUSE_S = 30.0
_KNOWN = (OperatorError, RedisError, PlacementError, OSError, TimeoutError)


def result_of(error: Exception) -> Literal["temporary", "permanent", "bug"]:
    """What kind of failure it is."""
    if isinstance(error, Permanent):
        return "permanent"
    return "temporary" if isinstance(error, _KNOWN) else "bug"


@contextmanager
def told(kind: str, name: str, trigger: Trigger) -> Iterator[None]:
    """A reconciliation, as metrics and traces tell it; its error goes on to the caller."""
    started = time.monotonic()

    with reconciliation(kind, name, trigger) as ends:

        def ended(result: str) -> None:
            ends(result)
            RECONCILES.labels(kind=kind, result=result).inc()
            RECONCILE_SECONDS.labels(kind=kind).observe(time.monotonic() - started)

        try:
            yield
        except Exception as error:
            ended(result_of(error))
            raise
        ended("ok")


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


def log_failure(kind: str, error: Exception) -> None:
    """With where it came from, if nobody expected it."""
    trace = error if result_of(error) == "bug" else None
    _log.warning("reconcile_failed", kind=kind, error=str(error), exc_info=trace)


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
        self._touched, self._wished = asyncio.Event(), asyncio.Event()
        self._generation = 0
        self._backoff = _Backoff()

    def touch(self, generation: int | None = None) -> None:
        """Something changed: the next look is now, or after the pause of a failure.

        Args:
            generation: of the object, if it was that; another one ends the pause, too.
        """
        self._touched.set()
        if generation not in (None, self._generation):
            self._generation = generation
            self._wished.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        trigger: Trigger = "start"
        while True:
            self._touched.clear()
            self._wished.clear()
            pause = await self._once(trigger)
            if pause > 0:
                # only a new wish cuts it short: all other changes make success no more likely
                wished = await _within(pause, self._wished)
                trigger = "change" if wished else "retry"
                if wished:
                    self._backoff = _Backoff()
            elif await _within(self._tick_s, self._touched):
                trigger = "change"
                # changes come in bursts: a list of pods that start is one reason to look, not ten
                await asyncio.sleep(min(0.1, self._tick_s))
            else:
                trigger = "tick"

    async def _once(self, trigger: Trigger) -> float:
        try:
            with told(self._kind, self._key, trigger):
                await self._reconcile(self._key)
        except Exception as error:
            pause = self._backoff.after(error)
            said = f"{type(error).__name__}: {error}"
            if said != self._backoff.said:
                self._backoff.said = said
                log_failure(self._kind, error)
            return pause
        self._backoff = _Backoff()
        return 0.0


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
