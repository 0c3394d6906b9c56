"""Limits: buckets in Redis that any number of callers take from."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from kcs_contracts.limits import DAY_S, MAX_COUNT, Limit
from kcs_contracts.placement import Placement, Take, connect

SLOW = Limit(count=5, per_seconds=3600)
ROUNDING_MS = 1
"""Redis's clock as the function reads it, in whole ms."""


@pytest.fixture
async def other(redis_url: str, redis: Redis) -> AsyncIterator[Placement]:
    """A client of another replica's."""
    client = connect(redis_url)
    placement = Placement(client)
    await placement.load()
    yield placement
    await placement.settle()
    await client.aclose()


async def test_a_burst_passes_and_the_next_is_told_when_it_would(placement: Placement) -> None:
    limit = Limit(count=3, per_seconds=60)
    assert [await placement.take([Take("ann", limit)]) for _ in range(3)] == [None] * 3
    refusal = await placement.take([Take("ann", limit)])
    assert refusal is not None
    assert refusal.which == 0
    assert 15 < refusal.retry_after_s <= 20
    assert await placement.take([Take("bob", limit)]) is None


async def test_two_clients_that_take_at_once_get_exactly_the_count(
    placement: Placement, other: Placement
) -> None:
    asks = [each.take([Take("ann", SLOW)]) for _ in range(50) for each in (placement, other)]
    answers = await asyncio.gather(*asks)
    assert sum(answer is None for answer in answers) == SLOW.count


async def test_a_refused_caller_that_waits_as_long_as_it_was_told_is_let_through(
    placement: Placement,
) -> None:
    limit = Limit(count=4, per_seconds=0.2)
    assert await placement.take([Take("ann", limit, 4)]) is None
    for wanted in (1, 3, 4):
        refusal = await placement.take([Take("ann", limit, wanted)])
        assert refusal is not None
        await asyncio.sleep(refusal.retry_after_s)
        assert await placement.take([Take("ann", limit, wanted)]) is None


async def test_nobody_saves_up_more_than_the_count(placement: Placement) -> None:
    limit = Limit(count=2, per_seconds=0.02)
    assert await placement.take([Take("ann", limit, 2)]) is None
    await asyncio.sleep(0.2)
    slower = Limit(count=2, per_seconds=60)
    assert await placement.take([Take("ann", slower, 2)]) is None
    assert await placement.take([Take("ann", slower)]) is not None


async def test_all_buckets_give_or_none_does(placement: Placement) -> None:
    big = Limit(count=100, per_seconds=3600)
    for _ in range(SLOW.count):
        assert await placement.take([Take("ann", SLOW), Take("room", big, 2)]) is None
    for _ in range(3):
        refusal = await placement.take([Take("room", big, 2), Take("ann", SLOW)])
        assert refusal is not None
        assert refusal.which == 1
    assert await placement.take([Take("room", big, 90)]) is None
    assert await placement.take([Take("room", big)]) is not None


async def test_of_two_that_refuse_the_one_that_keeps_waiting_longest_is_named(
    placement: Placement,
) -> None:
    quick = Limit(count=1, per_seconds=60)
    assert await placement.take([Take("a", quick), Take("b", SLOW, 5)]) is None
    refusal = await placement.take([Take("a", quick), Take("b", SLOW)])
    assert refusal is not None
    assert refusal.which == 1
    assert 710 < refusal.retry_after_s <= 720


async def test_a_bucket_that_is_full_again_leaves_nothing_in_redis(
    placement: Placement, redis: Redis
) -> None:
    assert await placement.take([Take("ann", Limit(count=10, per_seconds=1), 5)]) is None
    assert await redis.keys("kcs:limit:*") == [b"kcs:limit:ann"]
    assert 0 < await redis.pttl("kcs:limit:ann") <= 500
    await asyncio.sleep(0.6)
    assert await redis.keys("kcs:limit:*") == []


async def test_the_largest_limit_is_counted_exactly(placement: Placement) -> None:
    limit = Limit(count=MAX_COUNT, per_seconds=DAY_S)
    assert await placement.take([Take("all", limit, MAX_COUNT - 1)]) is None
    assert await placement.take([Take("all", limit)]) is None
    refusal = await placement.take([Take("all", limit)])
    assert refusal is not None
    assert refusal.retry_after_s <= 0.087  # a token comes back each 86.4 ms


async def test_a_limit_that_was_made_smaller_holds_nobody_up_longer_than_itself(
    placement: Placement,
) -> None:
    assert await placement.take([Take("ann", Limit(count=100, per_seconds=3600), 100)]) is None
    refusal = await placement.take([Take("ann", Limit(count=2, per_seconds=60), 2)])
    assert refusal is not None
    assert refusal.retry_after_s <= 60


@pytest.mark.parametrize(
    "takes",
    [
        [Take("ann", SLOW), Take("ann", SLOW)],
        [Take("ann", SLOW, 6)],
        [Take("ann", SLOW, 0)],
        [Take("ann", SLOW, -1)],
    ],
)
async def test_a_take_that_could_never_be_right_is_an_error(
    placement: Placement, redis: Redis, takes: list[Take]
) -> None:
    with pytest.raises(ValueError, match=r"bucket|take"):
        await placement.take(takes)
    assert await redis.keys("kcs:limit:*") == []


class Given(NamedTuple):
    """Tokens that were given at some time between two readings of a clock, in ms."""

    before: float
    after: float
    tokens: int


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(1, 12),
    period_ms=st.integers(5, 60),
    steps=st.lists(st.tuples(st.integers(0, 15), st.integers(1, 12)), min_size=1, max_size=25),
)
def test_within_any_time_no_more_is_given_than_the_count_and_what_came_back(
    redis_url: str, count: int, period_ms: int, steps: list[tuple[int, int]]
) -> None:
    limit = Limit(count=count, per_seconds=period_ms / 1000)
    asks = [(pause_ms, min(tokens, count)) for pause_ms, tokens in steps]
    given = asyncio.run(_given(redis_url, limit, asks))
    for first, last in itertools.combinations_with_replacement(range(len(given)), 2):
        window = given[first : last + 1]
        elapsed_ms = window[-1].after - window[0].before + ROUNDING_MS
        assert sum(each.tokens for each in window) <= count + elapsed_ms * count / period_ms


async def _given(redis_url: str, limit: Limit, asks: list[tuple[int, int]]) -> list[Given]:
    client = connect(redis_url)
    placement = Placement(client)
    await placement.load()
    await client.flushall()
    given = []
    for pause_ms, tokens in asks:
        await asyncio.sleep(pause_ms / 1000)
        before = time.monotonic() * 1000
        if await placement.take([Take("ann", limit, tokens)]) is None:
            given.append(Given(before, time.monotonic() * 1000, tokens))
    await client.aclose()
    return given
