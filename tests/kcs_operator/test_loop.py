"""A loop looks again: after a change, in growing pauses after failures, else at each tick."""

import asyncio
from collections.abc import Callable

import pytest
from tests.support.virtual_time import virtually

from kcs_operator.errors import ApiAway, OperatorError, Refused
from kcs_operator.loop import Loop

REVIEW_S = 300.0


def looks(
    fails: Callable[[int], Exception | None], seconds: float, touched: tuple[float, ...] = ()
) -> list[float]:
    """When it looked, in so many seconds."""
    times: list[float] = []

    async def world() -> None:
        clock = asyncio.get_running_loop().time

        async def look(_: str) -> None:
            times.append(round(clock(), 1))
            if error := fails(len(times)):
                raise error

        loop = Loop("Test", "key", look, REVIEW_S)
        for at in touched:
            asyncio.get_running_loop().call_at(at, loop.touch)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await loop.run()

    virtually(world())
    return times


def test_what_failed_is_tried_again_in_growing_pauses_however_long_the_tick_is() -> None:
    failing = looks(lambda number: OperatorError("away") if number <= 7 else None, 400)
    assert failing == [0, 1, 3, 7, 15, 31, 61, 91, 391]


def test_after_a_success_pauses_begin_anew() -> None:
    fails = {1, 2, 4}
    found = looks(lambda number: OperatorError("away") if number in fails else None, 310)
    assert found == [0, 1, 3, 303, 304]


def test_as_long_as_the_server_asks_for_but_not_for_ever() -> None:
    asked = [ApiAway("429", 10), ApiAway("429", 10_000), None]
    assert looks(lambda number: asked[number - 1], 60) == [0, 10, 40]


def test_a_change_is_looked_at_at_once_and_many_as_one() -> None:
    assert looks(lambda number: None, 299, (50, 50.01, 50.05, 100)) == [0, 50.1, 100.1]


def test_changes_do_not_cut_a_pause_short_and_are_seen_after_it() -> None:
    found = looks(lambda number: Refused("no") if number < 4 else None, 200, (0.5, 1.5, 3.5, 8))
    assert found == [0, 1, 3, 7, 8.1]


def test_a_bug_is_tried_again_too() -> None:
    assert looks(lambda number: KeyError("bug") if number == 1 else None, 10) == [0, 1]
