"""Calls of the Redis functions in `library/`: loading the library, and cancellation kept out.

Redis must be a single server (with replicas if wanted), not a cluster: the functions compute
their keys. The time is Redis's own, so that no clock of a caller decides about a lease.
"""

import asyncio
import re
from collections.abc import Awaitable
from importlib.resources import files
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from kcs_contracts.placement.errors import (
    MayNotSend,
    MeetingFull,
    MeetingIsLocked,
    MeetingIsOver,
    NotInMeeting,
    ScreensTaken,
    StaleEpoch,
    WasRemoved,
)

T = TypeVar("T")

_PARTS = (
    "base",
    "choice",
    "homes",
    "live",
    "gone",
    "people",
    "meetings",
    "moving",
    "nodes",
    "survey",
    "whereabouts",
    "waiting",
    "presence",
    "streams",
    "controls",
    "breakouts",
    "limits",
)
_FOLDER = files(__package__) / "library"
SOURCE = "\n".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in _PARTS)


def _version(source: str) -> int:
    found = re.search(r"^local VERSION = (\d+)$", source, re.MULTILINE)
    if found is None:
        raise ValueError("base.lua has no VERSION line")
    return int(found[1])


VERSION = _version(SOURCE)
"""Of the library in this package. Whoever changes the library adds one."""

_REFUSALS = {
    "ended": MeetingIsOver,
    "full": MeetingFull,
    "locked": MeetingIsLocked,
    "removed": WasRemoved,
    "absent": NotInMeeting,
    "role": MayNotSend,
    "screens": ScreensTaken,
    "stale": StaleEpoch,
}


class Functions:
    """Calls the library; loads it when Redis does not have it, as after a flush or failover."""

    def __init__(self, redis: Redis):
        self._redis = redis
        self._running: set[asyncio.Task[Any]] = set()

    async def load(self) -> None:
        """Puts the library into Redis unless one of this version or a newer one is there."""
        await self._whole(self._load())

    async def settle(self) -> None:
        """Waits for the calls whose callers were cancelled. Call it before closing the client."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _load(self) -> None:
        try:
            there = int(await self._redis.fcall("kcs_version", 0))
        except ResponseError as error:
            if not _is_missing(error):
                raise
            there = 0
        if there < VERSION:
            await self._redis.function_load(SOURCE, replace=True)

    async def _call(self, function: str, *args: str | int | float) -> list[Any]:
        """The function's answer after its first word, text decoded.

        Raises:
            PlacementError: the first word is a refusal.
        """
        status, *rest = _decoded(await self._whole(self._fcall(function, args)))
        if status in _REFUSALS:
            raise _REFUSALS[status]()
        return [status, *rest] if status != "ok" else rest

    async def _fcall(self, function: str, args: tuple[str | int | float, ...]) -> list[Any]:
        try:
            return cast("list[Any]", await self._redis.fcall(function, 0, *args))
        except ResponseError as error:
            if not _is_missing(error):
                raise
        await self._load()
        return cast("list[Any]", await self._redis.fcall(function, 0, *args))

    async def _whole(self, call: Awaitable[T]) -> T:
        """Lets the call end even when its caller is cancelled.

        A cancelled redis-py call closes its connection at best; cancelled while it waits for the
        pool, it can lose a connection or another waiter's turn for good.
        """
        task = asyncio.ensure_future(call)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone: nobody else would look


def pairs(flat: list[str]) -> dict[str, str]:
    """A hash as Redis answers it: field, value, field, value."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _is_missing(error: ResponseError) -> bool:
    return "function not found" in str(error).lower()


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value
