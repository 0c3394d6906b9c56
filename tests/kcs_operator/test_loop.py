"""A loop looks again: after a change, in growing pauses after failures, else at each tick."""

import asyncio
from collections.abc import Callable

import pytest
from tests.support.virtual_time import virtually

from kcs_operator.errors import ApiAway, OperatorError, Refused
from kcs_operator.loop import Loop

REVIEW_S = 300.0


def looks(
    fails: Callable[[int], Exception | None],
    seconds: float,
    touched: tuple[float, ...] = (),
    wished: tuple[tuple[float, int], ...] = (),
) -> list[float]:
    """When it looked, in so many seconds.

    Args:
        wished: when the object was told of, with its generation; before that it was 1.
    """
    times: list[float] = []

    async def world() -> None:
        clock = asyncio.get_running_loop().time

        async def look(_: str) -> None:
            times.append(round(clock(), 1))
            if error := fails(len(times)):
                raise error

        loop = Loop("Test", "key", look, REVIEW_S)
        loop.touch(1)
        for at in touched:
            asyncio.get_running_loop().call_at(at, loop.touch)
        for at, generation in wished:
            asyncio.get_running_loop().call_at(at, loop.touch, generation)
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


def test_a_new_wish_ends_the_pause_and_begins_the_pauses_anew() -> None:
    wished = ((20, 1), (21, 2), (22.5, 2), (22.6, 2))
    found = looks(lambda number: Refused("no"), 40, (18,), wished)
    assert found == [0, 1, 3, 7, 15, 21, 22, 24, 28, 36]


def test_a_wish_that_comes_during_a_look_that_fails_is_looked_at_next() -> None:
    times: list[float] = []

    async def world() -> None:
        clock = asyncio.get_running_loop().time

        async def look(_: str) -> None:
            times.append(clock())
            await asyncio.sleep(5)
            raise Refused("no")

        loop = Loop("Test", "key", look, REVIEW_S)
        asyncio.get_running_loop().call_at(2, loop.touch, 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await loop.run()

    virtually(world())
    assert times == [0, 5]


def test_a_bug_is_tried_again_too() -> None:
    assert looks(lambda number: KeyError("bug") if number == 1 else None, 10) == [0, 1]
