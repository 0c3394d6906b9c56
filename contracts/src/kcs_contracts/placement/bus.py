"""The bus of a replica: one Redis connection that hears the meetings that it has sockets in.

It works on a plain connection rather than on redis-py's `PubSub`, which reconnects from whichever
task notices a failure: here only the one task that reads does. Redis answers in order, so the
echo of a `PING` says that the subscriptions sent before it are in force.

Every replica with people in a meeting hears each of its events, so what that costs counts as often
as there are replicas. Once redis-py has connected (and said who we are), what comes goes straight
from the transport to hiredis and to whoever subscribed: no task wakes up, no timer is set.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any

import hiredis
import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from kcs_contracts.events import PUBLISHED, Published, bus_channel
from kcs_contracts.ids import MeetingId

log = structlog.get_logger(__name__)

_QUIET_S = 3.0
"""Nothing heard in such a time: ask whether the other side is there; nor in the next: it is not."""
_BACKOFF_S = (0.05, 2.0)
_CANCEL_AGAIN_S = 0.05
_NO_MORE = object()
_ALIVE = "alive"
_RESUBSCRIBED = "resubscribed"


class Bus:
    """Hears `Published` events of the subscribed meetings, in order, and reconnects by itself.

    Use it as `async with Bus(redis, on_gap) as bus:`, or `start()` and `close()`. `on_published`
    and `on_gap` are plain functions that return at once (put it into a queue); what they raise
    is logged.
    """

    def __init__(self, redis: Redis, on_gap: Callable[[MeetingId], None]):
        """`on_gap(meeting_id)`: events may be lost, read the snapshot again."""
        self._redis, self._on_gap = redis, on_gap
        self._meetings: dict[str, tuple[MeetingId, Callable[[Published], None]]] = {}
        self._echoes: dict[str, Callable[[], None]] = {}
        self._numbers = count(1)
        self._ear: _Ear | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the one task that reads; does not wait for Redis."""
        self._task = asyncio.create_task(self._run(), name="kcs-bus")

    async def close(self) -> None:
        """Stops the task, which closes the connection. Nobody may wait in `subscribe` then."""
        if self._task is not None:
            # redis-py sends in `asyncio.wait_for`, which before Python 3.12 loses a cancellation
            # that comes as the sending ends: so again until it is done
            while not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task], timeout=_CANCEL_AGAIN_S)
            self._task = None

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

        Waits as long as Redis is away; a caller that gives up unsubscribes. A second one for the
        same meeting replaces the first.
        """
        channel, echo = bus_channel(meeting_id), str(next(self._numbers))
        confirmed = asyncio.Event()
        self._meetings[channel] = (meeting_id, on_published)
        self._echoes[echo] = confirmed.set
        try:
            self._send(("SUBSCRIBE", channel), ("PING", echo))
            await confirmed.wait()
        finally:
            self._echoes.pop(echo, None)

    def unsubscribe(self, meeting_id: MeetingId) -> None:
        """Nothing of that meeting is heard from now on."""
        channel = bus_channel(meeting_id)
        if self._meetings.pop(channel, None) is not None:
            self._send(("UNSUBSCRIBE", channel))

    async def _run(self) -> None:
        pause, upper = _BACKOFF_S
        reconnecting = False
        while True:
            pool = self._redis.connection_pool
            # redis-py leaves these two without types
            connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                pause = _BACKOFF_S[0]
                self._ear = _Ear(connection, self._hear)
                self._take_up(reconnecting)
                await self._listen(self._ear)
            except Exception as error:  # whatever it is, a replica without a bus is worse
                expected = isinstance(error, RedisError | OSError)
                log.warning("bus_disconnected", error=str(error), exc_info=not expected)
            finally:
                self._ear = None
                await connection.disconnect(nowait=True)
            reconnecting = True
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, upper)

    def _take_up(self, reconnecting: bool) -> None:
        """Subscribes again to all, then echoes for whoever waits, then tells of the gap."""
        if reconnecting:
            lost = [meeting_id for meeting_id, _ in self._meetings.values()]
            self._echoes[_RESUBSCRIBED] = partial(self._tell_gaps, lost)
        commands: list[tuple[str, ...]] = [("PING", echo) for echo in self._echoes]
        if self._meetings:
            commands.insert(0, ("SUBSCRIBE", *self._meetings))
        self._send(*commands)

    def _send(self, *commands: tuple[str, ...]) -> None:
        """Sends if connected; if not, `_take_up` makes good for it."""
        if self._ear is not None and commands:
            self._ear.send(commands)

    async def _listen(self, ear: "_Ear") -> None:
        """Until the connection breaks, or stays silent for so long that it must be broken."""
        asked = False
        while True:
            ear.heard = False
            with suppress(TimeoutError):
                async with asyncio.timeout(_QUIET_S):
                    await ear.lost.wait()
            if ear.lost.is_set():
                raise ear.error or ConnectionResetError("Redis hung up")
            if ear.heard:
                asked = False
            elif asked:
                raise ConnectionResetError("Redis does not answer")
            else:
                asked = True
                self._send(("PING", _ALIVE))

    def _hear(self, reply: Any) -> None:
        match reply:
            case [b"message", bytes(channel), bytes(data)]:
                self._hear_message(channel.decode(), data)
            # a PING's echo is a list in RESP2, plain text in RESP3
            case [b"pong", bytes(echo)] | bytes(echo):
                if confirmed := self._echoes.pop(echo.decode(), None):
                    confirmed()
            case hiredis.ReplyError():
                raise ResponseError(str(reply))

    def _hear_message(self, channel: str, data: bytes) -> None:
        if channel not in self._meetings:
            return
        meeting_id, on_published = self._meetings[channel]
        try:
            published = PUBLISHED.validate_json(data)
        except ValidationError as error:
            # a newer replica's event, perhaps: what it changed is in the snapshot
            where = sorted({str(each["loc"][-1]) for each in error.errors(include_input=False)})
            log.warning("bus_message_unknown", meeting_id=meeting_id, fields=where[:5])
            self._tell_gaps([meeting_id])
            return
        try:
            on_published(published)
        except Exception:
            log.exception("bus_handler_failed", meeting_id=meeting_id)

    def _tell_gaps(self, meeting_ids: list[MeetingId]) -> None:
        for meeting_id in meeting_ids:
            if bus_channel(meeting_id) not in self._meetings:
                continue
            try:
                self._on_gap(meeting_id)
            except Exception:
                log.exception("bus_gap_handler_failed", meeting_id=meeting_id)


class _Ear(asyncio.Protocol):
    """Takes over a connection that stands: redis-py opened it, and closes it."""

    def __init__(self, connection: AbstractConnection, hear: Callable[[Any], None]):
        self._hear, self._replies = hear, hiredis.Reader(notEnoughData=_NO_MORE)
        self.lost = asyncio.Event()
        self.error: Exception | None = None
        """Why, if that is known."""
        self.heard = False
        """Anything, since this was last set to False."""
        self._connection, writer = connection, connection._writer
        assert writer is not None
        self._transport = writer.transport
        self._transport.set_protocol(self)

    def send(self, commands: Sequence[tuple[str, ...]]) -> None:
        """Nothing happens on a connection that is closing."""
        if not self._transport.is_closing():
            self._transport.write(b"".join(self._connection.pack_commands(commands)))

    def data_received(self, data: bytes) -> None:
        self.heard = True
        self._replies.feed(data)
        try:
            while (reply := self._replies.gets()) is not _NO_MORE:
                self._hear(reply)
        except Exception as error:  # no Redis speaks so: the connection is of no more use
            self.error = error
            self.lost.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.error = self.error or error
        self.lost.set()
