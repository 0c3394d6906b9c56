"""How services connect to Redis: one bounded pool per process, each wait with an end."""

from redis import DriverInfo
from redis.asyncio import BlockingConnectionPool, Redis

MAX_CONNECTIONS = 32
"""Functions run one at a time in Redis: more connections only wait there instead of here."""
_TIMEOUT_S = 5.0


def connect(url: str) -> Redis:
    """A client with a pool of its own; the caller closes it with `aclose()`.

    A call beyond `MAX_CONNECTIONS` waits for its turn, at most 5 s; so does a reply.

    Raises:
        redis.exceptions.ConnectionError, TimeoutError: from its calls, when Redis is away.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=_TIMEOUT_S,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=2.0,
        driver_info=DriverInfo(),  # else each connection reads redis-py's version from disk
    )
    return Redis.from_pool(pool)
