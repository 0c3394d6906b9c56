"""Calls to Redis and to SFU nodes as the room makes them: bounded, with errors for people."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError

from kcs_contracts.placement import (
    MayNotSend,
    MeetingFull,
    MeetingIsLocked,
    MeetingIsOver,
    NoCapacity,
    NotInMeeting,
    ScreensTaken,
    StaleEpoch,
    WasRemoved,
)
from kcs_signaling import errors
from kcs_signaling.metrics import NO_CAPACITY

_log = structlog.get_logger()
_TIMEOUT_S = 2.0
RETRY_AFTER_S = 1.0


@asynccontextmanager
async def redis_calls(timeout_s: float = _TIMEOUT_S) -> AsyncIterator[None]:
    """Bounds what is inside in time, and turns what placement and Redis raise into our errors.

    Raises:
        Unavailable: Redis is away or late; a change may have been made all the same.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except NoCapacity as error:
        NO_CAPACITY.inc()
        raise errors.NoCapacity(
            "all media servers are full; try again soon", retry_after_s=error.retry_after_s
        ) from error
    except MeetingIsOver as error:
        raise errors.MeetingEnded("the meeting has ended") from error
    except MeetingFull as error:
        raise errors.MeetingFull("the meeting is full") from error
    except MeetingIsLocked as error:
        raise errors.MeetingLocked("the meeting is locked; ask a host to open it") from error
    except WasRemoved as error:
        raise errors.AccessDenied("a host removed you from this meeting") from error
    except ScreensTaken as error:
        raise errors.ScreenShareTaken(
            "somebody else shares a screen already; ask them to stop first"
        ) from error
    except MayNotSend as error:
        raise errors.AccessDenied("your role does not let you send that any more") from error
    except NotInMeeting as error:
        raise errors.NotJoined("join the meeting first") from error
    except StaleEpoch as error:
        raise errors.Unavailable(
            "the meeting's media has just been reset; negotiate again", retry_after_s=0.5
        ) from error
    except (RedisError, TimeoutError, OSError) as error:
        _log.warning("redis_unavailable", error=type(error).__name__)
        raise errors.Unavailable(
            "the service cannot reach its data; try again", retry_after_s=RETRY_AFTER_S
        ) from error
