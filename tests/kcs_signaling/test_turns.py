"""So many take their turn at once; the others wait, and not for ever."""

import asyncio
import time

import pytest

from kcs_signaling.errors import Unavailable
from kcs_signaling.service.turns import Turns


async def test_those_who_wait_are_told_to_try_again_when_no_turn_comes() -> None:
    turns, opened, at_once = Turns(2, 0.2), asyncio.Event(), 0

    async def holds() -> None:
        nonlocal at_once
        async with turns.one():
            at_once += 1
            await opened.wait()

    holding = [asyncio.create_task(holds()) for _ in range(2)]
    await asyncio.sleep(0)
    began = time.monotonic()
    late = await asyncio.gather(*(holds() for _ in range(20)), return_exceptions=True)
    assert time.monotonic() - began < 3
    assert at_once == 2
    assert all(isinstance(each, Unavailable) and each.retry_after_s for each in late)

    opened.set()
    await asyncio.gather(*holding)
    await asyncio.gather(*(holds() for _ in range(20)))  # no turn was lost
    assert at_once == 22


async def test_whoever_is_cancelled_or_fails_gives_their_turn_back() -> None:
    turns = Turns(1, 0.2)
    with pytest.raises(ValueError, match="inside"):
        async with turns.one():
            raise ValueError("inside")
    async with turns.one():
        waits = asyncio.create_task(turns.one().__aenter__())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
    async with turns.one():
        pass
