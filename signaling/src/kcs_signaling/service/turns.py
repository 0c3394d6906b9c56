"""Turns: so many do something at once, and the others wait for theirs, for so long at most."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kcs_signaling.errors import Unavailable
from kcs_signaling.service.guard import RETRY_AFTER_S


class Turns:
    """`async with turns.one(): ...`."""

    def __init__(self, at_once: int, patience_s: float):
        self._turns, self._patience_s = asyncio.Semaphore(at_once), patience_s

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn for what is inside.

        Raises:
            Unavailable: it does not come; what is inside is not begun.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(
                "too many people want this at once; try again",
                retry_after_s=RETRY_AFTER_S,
            ) from None
        try:
            yield
        finally:
            self._turns.release()
