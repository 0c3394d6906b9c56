"""How often something may be done, as the declaration of an event says it."""

from typing import Self

from pydantic import Field

from kcs_contracts.models import Contract

MAX_COUNT = 1_000_000
"""With it and a day, Redis counts in integers that a double holds (2^53)."""
DAY_S = 86_400.0


class Limit(Contract):
    """`count` times at once, and as many again within each `per_seconds`, evenly spread.

    So 10 per 60 s lets ten through, then one each 6 s. Whoever waits long never saves up more
    than `count`.
    """

    count: int = Field(ge=1, le=MAX_COUNT)
    per_seconds: float = Field(ge=0.001, le=DAY_S)

    @property
    def period_ms(self) -> int:
        """`per_seconds` as Redis counts."""
        return round(self.per_seconds * 1000)

    def times(self, factor: int) -> Self:
        """The limit of so many who share one, such as those behind one address."""
        return self.model_copy(update={"count": min(self.count * factor, MAX_COUNT)})
