"""How often people may do things: `Limiter.check` stands before each that has a limit.

Each limit counts twice: for whoever does it, and, some times as generous, for the address that it
comes from. What counts is in Redis (`kcs_contracts.placement.limits`), so that neither a new
socket nor another replica begins anew.

A limit below 20 asks Redis each time, and is exact. With a more generous one, a replica takes up
to a tenth of it at once for whoever comes again within 1 s, and spends that itself, with a look at
Redis each second. So within any time people get at most that tenth per replica more than the
limit; what is left in such a purse is kept for them. Whoever Redis refused is refused here, for
as long as it would.

Without Redis nobody is held up for more than the look at it: each replica then counts by itself.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache

import structlog
from redis.exceptions import RedisError

from kcs_contracts.limits import Limit
from kcs_contracts.placement import Placement, Refusal, Take
from kcs_signaling.errors import RateLimited
from kcs_signaling.settings import LimitSettings

_log = structlog.get_logger()
_EXACT_BELOW = 20
_PARTS = 10
"""A purse holds one of so many parts of its limit."""
_FRESH_S = 1.0
"""How long a purse is spent without a look at Redis."""
_MAX_PURSES = 20_000
"""The least used ones are forgotten: it costs at most what was in them."""
_TIMEOUT_S = 0.5
_AWAY_S = 1.0
"""How long Redis is taken to be away after it did not answer; one check looks then."""
_LOG_EVERY_S = 10.0


class _Purse:
    """A bucket in Redis as this replica sees it, and the replica's own for when Redis is away."""

    __slots__ = (
        "_batch",
        "_fresh_until",
        "_owed_until",
        "_singly_until",
        "bucket",
        "filling",
        "left",
        "limit",
        "refused_until",
    )

    def __init__(self, bucket: str, limit: Limit, batch: int):
        self.bucket, self.limit, self._batch = bucket, limit, batch
        self.left = 0
        """Tokens that Redis has given and nobody has spent."""
        self.filling = False
        """Somebody asks for a batch now; others ask for what they need themselves."""
        self.refused_until = 0.0
        self._fresh_until = self._singly_until = self._owed_until = 0.0

    def spend(self, now: float) -> bool:
        """Spends a token that is here."""
        if not self.left or now >= max(self._fresh_until, self._singly_until):
            return False
        self.left -= 1
        return True

    def wanted(self, now: float) -> int:
        """How many to ask Redis for: one is for the one who asks."""
        is_often = now < self._fresh_until
        if not is_often or self.filling or now < self._singly_until:
            return 1
        return max(1, self._batch - self.left)

    def given(self, tokens: int, now: float) -> None:
        """Redis gave them; one is spent already."""
        self.left += tokens - 1
        self._fresh_until = now + _FRESH_S

    def refused(self, tokens: int, wait_s: float, now: float) -> None:
        """Redis did not: there may be fewer, or some here, or else it is refused for a while."""
        if tokens > 1 or self.left:
            self._singly_until = now + _FRESH_S
        else:
            self.refused_until = now + wait_s

    def wait_s(self, tokens: int, now: float) -> float:
        """How long the replica's own bucket would have them wait, by the same rule as Redis's."""
        owed_s = max(0.0, self._owed_until - now) + tokens * self._token_s
        return round(owed_s - self.limit.per_seconds, 6)  # sums of floats are off by less

    def owe(self, tokens: int, now: float) -> None:
        """Takes them from the replica's own bucket."""
        self._owed_until = max(self._owed_until, now) + tokens * self._token_s

    @property
    def _token_s(self) -> float:
        return self.limit.per_seconds / self.limit.count


class Limiter:
    """The limits of a replica."""

    def __init__(
        self,
        placement: Placement,
        settings: LimitSettings,
        now: Callable[[], float] = time.monotonic,
    ):
        self._placement, self._settings, self._now = placement, settings, now
        self._purses: OrderedDict[str, _Purse] = OrderedDict()
        self._away_until = 0.0
        """0: Redis answers."""
        self._log_after = 0.0

    async def check(
        self,
        event: str,
        limit: Limit,
        *,
        who: str,
        address: str,
        address_factor: int | None = None,
    ) -> None:
        """Counts one `event`, unless that is one too many.

        Args:
            event: what is done; its own buckets, so the same name goes with the same limit.
            limit: of one who does it.
            who: `meeting/participant` in a meeting, else a user id; a short text.
            address: as `adapters.addresses` has it.
            address_factor: how many times the limit an address has; None: as the settings say.

        Raises:
            RateLimited: too many; `retry_after_s` says when the next one would pass.
        """
        if not self._settings.enabled:
            return
        factor = self._settings.address_factor if address_factor is None else address_factor
        is_exact = limit.count < _EXACT_BELOW
        purses = (
            self._purse(f"{event}/by/{who}", limit, is_exact),
            self._purse(f"{event}/at/{address}", _times(limit, factor), is_exact),
        )
        wait_s = await self._spend(purses)
        if wait_s > 0:
            raise RateLimited(
                f"this was done too often: try again in {math.ceil(wait_s)} s",
                retry_after_s=math.ceil(wait_s * 1000) / 1000,
            )

    def _purse(self, bucket: str, limit: Limit, is_exact: bool) -> _Purse:
        purse = self._purses.get(bucket)
        if purse is None:
            batch = 1 if is_exact else limit.count // _PARTS
            purse = self._purses[bucket] = _Purse(bucket, limit, batch)
            if len(self._purses) > _MAX_PURSES:
                self._purses.popitem(last=False)
        else:
            self._purses.move_to_end(bucket)
        return purse

    async def _spend(self, purses: Sequence[_Purse]) -> float:
        """Spends a token of each or of none; how long to wait then, in s, else 0."""
        while True:
            now = self._now()
            wait_s = max(purse.refused_until for purse in purses) - now
            if wait_s > 0:
                return wait_s
            short = [purse for purse in purses if not purse.spend(now)]
            if not short or await self._fill(short):
                return 0
            for purse in purses:
                if purse not in short:
                    purse.left += 1

    async def _fill(self, purses: Sequence[_Purse]) -> bool:
        """Gets a token for each, and more for later; False: one of the purses was refused."""
        now = self._now()
        takes = [Take(each.bucket, each.limit, each.wanted(now)) for each in purses]
        fillers = [p for p, take in zip(purses, takes, strict=True) if take.tokens > 1]
        for purse in fillers:
            purse.filling = True
        try:
            refusal = await self._take(purses, takes)
        finally:
            for purse in fillers:
                purse.filling = False
        now = self._now()
        if refusal is not None:
            tokens = takes[refusal.which].tokens
            purses[refusal.which].refused(tokens, refusal.retry_after_s, now)
            return False
        for purse, take in zip(purses, takes, strict=True):
            purse.given(take.tokens, now)
        return True

    async def _take(self, purses: Sequence[_Purse], takes: Sequence[Take]) -> Refusal | None:
        """From Redis, or, while that is away, from the replica's own buckets."""
        now = self._now()
        if now < self._away_until:
            return _take_here(purses, takes, now)
        if self._away_until:
            self._away_until = now + _AWAY_S  # for the others: this one looks whether it is back
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                refusal = await self._placement.take(takes)
        except (RedisError, TimeoutError, OSError) as error:
            now = self._now()
            self._away_until = now + _AWAY_S
            self._complain(error, now)
            return _take_here(purses, takes, now)
        self._away_until = 0.0
        return refusal

    def _complain(self, error: Exception, now: float) -> None:
        if now >= self._log_after:
            self._log_after = now + _LOG_EVERY_S
            _log.warning("limits_without_redis", error=type(error).__name__)


def _take_here(purses: Sequence[_Purse], takes: Sequence[Take], now: float) -> Refusal | None:
    waits_s = [p.wait_s(take.tokens, now) for p, take in zip(purses, takes, strict=True)]
    longest_s = max(waits_s)
    if longest_s > 0:
        return Refusal(waits_s.index(longest_s), longest_s)
    for purse, take in zip(purses, takes, strict=True):
        purse.owe(take.tokens, now)
    return None


@lru_cache(maxsize=1024)
def _times(limit: Limit, factor: int) -> Limit:
    """Made once: a command must not wait for a model to be built."""
    return limit.times(factor)
