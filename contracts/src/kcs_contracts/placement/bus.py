"""The bus of a replica: one Redis connection that hears the meetings that it has sockets in."""

from collections.abc import Callable
from types import TracebackType

from redis.asyncio import Redis

from kcs_contracts.events import Published
from kcs_contracts.ids import MeetingId


class Bus:
    """Hears `Published` events of the subscribed meetings, in order, and reconnects by itself.

    Use it as `async with Bus(redis, on_gap) as bus:`, or `start()` and `close()`. `on_published`
    and `on_gap` are plain functions that return at once (put it into a queue); what they raise
    is logged.
    """

    def __init__(self, redis: Redis, on_gap: Callable[[MeetingId], None]):
        """`on_gap(meeting_id)`: events may be lost, read the snapshot again."""

    async def start(self) -> None:
        """Starts the one task that reads; does not wait for Redis."""

    async def close(self) -> None:
        """Stops the task and closes the connection. A `subscribe` that waits is cancelled."""

    async def __aenter__(self) -> "Bus":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def subscribe(
        self, meeting_id: MeetingId, on_published: Callable[[Published], None]
    ) -> None:
        """Returns when Redis has confirmed: a snapshot read from then on misses nothing.

        Waits as long as Redis is away. A second one for the same meeting replaces the first.
        """

    async def unsubscribe(self, meeting_id: MeetingId) -> None:
        """Nothing of that meeting is heard from now on."""
