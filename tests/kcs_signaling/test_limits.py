"""The limiter: shared by replicas through Redis, and bounded by itself when that is away."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from kcs_contracts.limits import Limit
from kcs_contracts.placement import Placement, Refusal, Take, connect
from kcs_dev.processes import free_port
from kcs_signaling.errors import RateLimited
from kcs_signaling.service.limits import Limiter
from kcs_signaling.settings import LimitSettings

STRICT = Limit(count=5, per_seconds=3600)
GENEROUS = Limit(count=100, per_seconds=3600)
MakeLimiter = Callable[..., Limiter]


class Clock:
    """A limiter's time, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CountedPlacement(Placement):
    """Counts what it asks Redis."""

    asked = 0

    async def take(self, takes: Sequence[Take]) -> Refusal | None:
        self.asked += 1
        return await super().take(takes)


@pytest.fixture
async def limiter(redis_url: str, redis: Redis) -> AsyncIterator[MakeLimiter]:
    """Makes replicas' limiters: `limiter(url=..., clock=..., address_factor=...)`."""
    async with AsyncExitStack() as stack:

        def make(
            url: str = redis_url, clock: Callable[[], float] = time.monotonic, **settings: Any
        ) -> Limiter:
            client = connect(url)
            placement = Placement(client)
            stack.push_async_callback(client.aclose)
            stack.push_async_callback(placement.settle)
            return Limiter(placement, LimitSettings(**settings), clock)

        yield make


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is waited for: a replica that takes it to be away counts by itself."""
    monkeypatch.setattr("kcs_signaling.service.limits._TIMEOUT_S", 30.0)


@pytest.fixture
def nobody_there() -> str:
    """URL of a Redis that is away."""
    return f"redis://127.0.0.1:{free_port()}/0"


async def passed(check: Awaitable[None]) -> bool:
    try:
        await check
    except RateLimited:
        return False
    return True


async def do(
    limiter: Limiter,
    limit: Limit,
    *,
    event: str = "do",
    who: str = "k7f-x2mq-9tb/ann",
    address: str = "192.0.2.7",
) -> None:
    await limiter.check(event, limit, who=who, address=address)


async def how_many(limiter: Limiter, limit: Limit, tries: int, **more: str) -> int:
    """How many of so many tries, one after the other, pass."""
    return sum([await passed(do(limiter, limit, **more)) for _ in range(tries)])


async def test_a_refusal_says_when_the_next_one_would_pass(limiter: MakeLimiter) -> None:
    replica, limit = limiter(), Limit(count=2, per_seconds=4)
    assert await how_many(replica, limit, 2) == 2
    with pytest.raises(RateLimited) as refused:
        await do(replica, limit)
    assert refused.value.code == "RATE_LIMIT_EXCEEDED"
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s <= 2
    await asyncio.sleep(refused.value.retry_after_s)
    assert await how_many(replica, limit, 1) == 1


async def test_replicas_share_a_strict_limit_exactly(limiter: MakeLimiter) -> None:
    one, two = limiter(), limiter()
    checks = [passed(do(each, STRICT)) for _ in range(10) for each in (one, two)]
    assert sum(await asyncio.gather(*checks)) == STRICT.count
    assert await how_many(limiter(), STRICT, 1) == 0


async def test_people_meetings_and_events_have_limits_of_their_own(limiter: MakeLimiter) -> None:
    replica = limiter()
    assert await how_many(replica, STRICT, 9) == 5
    assert await how_many(replica, STRICT, 9, who="k7f-x2mq-9tb/bob") == 5
    assert await how_many(replica, STRICT, 9, who="another-meeting/ann") == 5
    assert await how_many(replica, STRICT, 9, event="do something else") == 5


async def test_all_people_behind_an_address_have_so_many_times_the_limit(
    limiter: MakeLimiter,
) -> None:
    replica = limiter(address_factor=3)
    people = [await how_many(replica, STRICT, 9, who=f"m/p{n}") for n in range(5)]
    assert people == [5, 5, 5, 0, 0]
    assert await how_many(replica, STRICT, 9, who="m/p4", address="2001:db8::/64") == 5


async def test_what_the_address_refuses_costs_the_person_nothing(limiter: MakeLimiter) -> None:
    replica = limiter(address_factor=1)
    assert await how_many(replica, STRICT, 5, who="m/ann") == 5
    assert await how_many(replica, STRICT, 5, who="m/bob") == 0
    assert await how_many(replica, STRICT, 9, who="m/bob", address="192.0.2.8") == 5


async def test_a_generous_limit_is_kept_by_one_replica_exactly(limiter: MakeLimiter) -> None:
    assert await how_many(limiter(), GENEROUS, 200) == 100


async def test_a_generous_limit_spares_redis_most_questions(redis: Redis) -> None:
    placement = CountedPlacement(redis)
    replica = Limiter(placement, LimitSettings())
    assert await how_many(replica, GENEROUS, 100) == 100
    assert placement.asked < 30
    placement.asked = 0
    assert await how_many(replica, GENEROUS, 1000) == 0
    assert placement.asked <= 1


async def test_whoever_comes_seldom_gets_the_whole_of_a_generous_limit(
    limiter: MakeLimiter,
) -> None:
    clock = Clock()
    replica, granted = limiter(clock=clock), 0
    for pause_s in itertools.islice(itertools.cycle((0.1, 0.1, 30, 2)), 300):
        clock.now += pause_s  # Redis's own time stands almost still
        granted += await how_many(replica, GENEROUS, 1)
    assert granted == 100


async def test_many_at_once_on_replicas_get_the_limit_and_no_more(
    limiter: MakeLimiter,
) -> None:
    replicas, granted = [limiter(), limiter(), limiter()], 0
    for _ in range(8):
        checks = [passed(do(r, GENEROUS)) for _ in range(5) for r in replicas]
        granted += sum(await asyncio.gather(*checks))
    granted += sum([await how_many(replica, GENEROUS, 30) for replica in replicas])
    assert granted == 100


async def test_full_purses_give_no_more_than_a_tenth_per_replica_beyond_the_limit(
    limiter: MakeLimiter,
) -> None:
    period_s = 1.0
    limit = Limit(count=100, per_seconds=period_s)
    replicas = [limiter(), limiter()]
    for replica in replicas:
        assert await how_many(replica, limit, 3) == 3  # there is something in each purse
    await asyncio.sleep(period_s)
    began = time.monotonic()
    granted = sum(await asyncio.gather(*(how_many(each, limit, 300) for each in replicas)))
    came_back = (time.monotonic() - began) * limit.count / period_s
    assert granted >= limit.count
    assert granted <= limit.count + came_back + len(replicas) * limit.count / 10


async def test_a_flood_without_redis_is_bounded_and_logged_once(
    limiter: MakeLimiter, nobody_there: str
) -> None:
    replica = limiter(nobody_there)
    with capture_logs() as logs:
        assert await how_many(replica, STRICT, 300) == 5
        assert await how_many(replica, GENEROUS, 300, who="m/bob") == 100
        flood = [passed(do(replica, STRICT, who="m/eve")) for _ in range(300)]
        assert sum(await asyncio.gather(*flood)) == 5
    assert [each["event"] for each in logs] == ["limits_without_redis"]
    assert "ann" not in str(logs)


async def test_a_stuck_redis_holds_a_check_up_for_half_a_second_and_the_next_not_at_all(
    limiter: MakeLimiter, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    replica = limiter()
    await do(replica, STRICT)
    await redis.client_pause(10_000, all=False)
    began = time.monotonic()
    await do(replica, STRICT)
    assert 0.4 < time.monotonic() - began < 1.4
    began = time.monotonic()
    await do(replica, STRICT)
    assert time.monotonic() - began < 0.4
    await redis.client_unpause()


async def test_once_redis_is_back_it_counts_again(
    limiter: MakeLimiter, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    replica, other = limiter(clock=clock), limiter()
    await redis.client_pause(10_000, all=False)
    with monkeypatch.context() as short:
        short.setattr("kcs_signaling.service.limits._TIMEOUT_S", 0.5)
        await do(replica, STRICT)
    await redis.client_unpause()
    clock.now += 1.1
    granted = await how_many(replica, STRICT, 9) + await how_many(other, STRICT, 9)
    assert STRICT.count - 1 <= granted <= STRICT.count


async def test_switched_off_it_asks_nobody(limiter: MakeLimiter, nobody_there: str) -> None:
    replica = limiter(nobody_there, enabled=False)
    with capture_logs() as logs:
        assert await how_many(replica, STRICT, 50) == 50
    assert logs == []
