"""Where SSRCs come from; a parameter of the functions that need one, so that they stay pure."""

import secrets
from collections.abc import Callable

RandomSsrc = Callable[[], int]


def random_ssrc() -> int:
    """A 9-digit number as mediasoup's: room above it for the SSRCs that are counted up from it."""
    return 100_000_000 + secrets.randbelow(899_999_999)
