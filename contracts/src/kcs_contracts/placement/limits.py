"""Limits: how often something was done, counted in Redis for all replicas together."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from kcs_contracts.limits import Limit
from kcs_contracts.placement.functions import Functions


class Take(NamedTuple):
    """Tokens that are wanted from a bucket."""

    bucket: str
    """Its name; a short one, as it stands in Redis for as long as it is not full again."""
    limit: Limit
    tokens: int = 1
    """No more than `limit.count`, or they are never there."""


class Refusal(NamedTuple):
    """A bucket had too few."""

    which: int
    """The index of its take; of several, of the one that has to wait longest."""
    retry_after_s: float
    """When it will have as many, if nobody takes any meanwhile."""


class Limits(Functions):
    """The part of `Placement` about limits. A bucket that nobody has taken from is full."""

    async def take(self, takes: Sequence[Take]) -> Refusal | None:
        """Takes from all of these buckets, or from none: then it answers which one refused.

        Exact for any number of callers: within any time, no more leaves a bucket than its
        limit's count and what came back in that time. To a caller whose connection breaks they
        may be lost.

        Raises:
            ValueError: a bucket is named twice, or more is wanted of it than it holds.
        """
        if len({take.bucket for take in takes}) < len(takes):
            raise ValueError("each bucket may be named once")
        if any(not 0 < take.tokens <= take.limit.count for take in takes):
            raise ValueError("a take wants at least one token and at most the limit's count")
        answer = await self._call("kcs_take", *chain.from_iterable(map(_row, takes)))
        if not answer:
            return None
        _, which, wait_ms = answer
        return Refusal(which - 1, wait_ms / 1000)


def _row(take: Take) -> tuple[str | int, ...]:
    return take.bucket, take.limit.count, take.limit.period_ms, take.tokens
