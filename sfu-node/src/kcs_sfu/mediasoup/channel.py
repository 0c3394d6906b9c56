"""The channel to one worker: requests out, answers and notifications in, over two Unix sockets.

Each message is a flatbuffer (`message.fbs`) behind its length in 4 bytes. Requests of one loop
iteration leave in one send. Answers and notifications take effect in the worker's order: a
notification may refer to what the answer before it created, so one that arrives with an answer, or
right after it, waits until the task that asked has run (mediasoup's issue 510), and whoever waits
for that task; an answer that comes behind such a notification waits with it.

Nothing is left hanging: every request ends in an answer, RequestTimeout, or the error that the
channel was closed with. A caller that is cancelled only stops waiting; the late answer is ignored.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.encode import Packable, encode_notification, encode_request
from kcs_sfu.mediasoup.errors import (
    ChannelClosed,
    MalformedFrame,
    MediasoupError,
    NotFoundError,
    RejectedTypeError,
    RequestRejected,
    RequestTimeout,
)
from kcs_sfu.mediasoup.fbs.Message.Body import Body as MessageBody
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.flat import Reply, slots, unpack_u32
from kcs_sfu.mediasoup.notifications import Notification, NotificationReader
from kcs_sfu.mediasoup.process import WorkerProcess

logger = logging.getLogger(__name__)
worker_logger = logging.getLogger("kcs_sfu.mediasoup.worker")

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""The worker's own limit (`MESSAGE_MAX_LEN` of Node's Channel)."""

HANDSHAKE_ID = "driver-handshake"
"""An id that no object has; the worker's complaint about it is expected and kept from the log."""

_TURNS = 4
"""Turns of the loop from an answer until code that waits for it through a gather() has run."""

_RESPONSE, _NOTIFICATION, _LOG = MessageBody.Response, MessageBody.Notification, MessageBody.Log
_METHOD_NAMES = {v: k for k, v in vars(Method).items() if isinstance(v, int)}
_REJECTIONS = {"TypeError": RejectedTypeError, "NotFoundError": NotFoundError}


Handler = Callable[[int, bytes, int], None]
"""Takes a notification: its event, and its body as buffer and position (0: none)."""

_Pending = tuple["asyncio.Future[Reply] | None", int, float]
"""Who waits (None: nobody cares), for which method, until when (loop time)."""


class _Answer(NamedTuple):
    asker: "asyncio.Future[Reply]"
    said: Reply | MediasoupError


class Channel:
    """Speaks with one worker. Objects of the worker register in `handlers` by id (bytes)."""

    def __init__(self, *, request_timeout: float, on_lost: Callable[[ChannelClosed | None], None]):
        """`on_lost` is called once when the other side hangs up (None) or talks nonsense (why)."""
        self.handlers: dict[bytes, Handler] = {}
        self._loop = asyncio.get_running_loop()
        self._timeout = request_timeout
        self._on_lost: Callable[[ChannelClosed | None], None] | None = on_lost
        self._error: ChannelClosed | None = None
        self._pending: dict[int, _Pending] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._next_id = 0
        self._transports: list[asyncio.BaseTransport] = []
        self._outbox: list[bytes] = []
        self._rest = b""
        self._notifications = NotificationReader()
        self._turns_left = 0
        self._late: deque[Notification | _Answer] = deque()

    async def open(self, process: WorkerProcess) -> None:
        """Takes over the process's two sockets."""
        self._pid = process.pid
        self._writer, _ = await self._loop.create_unix_connection(
            asyncio.Protocol, sock=process.to_worker
        )
        self._transports.append(self._writer)
        reader, _ = await self._loop.create_unix_connection(
            lambda: _Inbound(self), sock=process.from_worker
        )
        self._transports.append(reader)

    @property
    def closed(self) -> bool:
        """Whether requests are refused."""
        return self._error is not None

    # Out

    def next_id(self) -> int:
        """A fresh request id."""
        self._next_id = self._next_id % 0xFFFFFFFF + 1
        return self._next_id

    def request(
        self, method: int, handler_id: str = "", body_type: int = 0, body: Packable | None = None
    ) -> "asyncio.Future[Reply]":
        """Sends a request by the naive encoder; its future may fail with RequestRejected."""
        self.check()
        request_id = self.next_id()
        frame = encode_request(request_id, method, handler_id, body_type, body)
        return self.send(request_id, method, frame)

    def send(self, request_id: int, method: int, frame: bytes) -> "asyncio.Future[Reply]":
        """Sends a request that is encoded already, under its id."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._expect(request_id, method, frame, future)
        return future

    def send_and_forget(self, request_id: int, method: int, frame: bytes) -> None:
        """Sends a request whose outcome interests nobody: those that close something."""
        if self._error is None:
            self._expect(request_id, method, frame, None)

    def notify(
        self, event: int, handler_id: str = "", body_type: int = 0, body: Packable | None = None
    ) -> None:
        """Sends a notification; there is no answer."""
        self.check()
        self._write(encode_notification(event, handler_id, body_type, body))

    def check(self) -> None:
        """Raises if the channel is closed."""
        if self._error is not None:
            # A new one each time: raising a shared exception would grow its traceback for ever.
            raise _again(self._error)

    def _expect(
        self, request_id: int, method: int, frame: bytes, future: "asyncio.Future[Reply] | None"
    ) -> None:
        self.check()
        if len(frame) > MAX_MESSAGE_BYTES:
            raise ValueError(f"{_METHOD_NAMES[method]} is {len(frame)} bytes long, beyond 8 MiB")
        deadline = self._loop.time() + self._timeout
        self._pending[request_id] = (future, method, deadline)
        if self._sweep is None:
            self._sweep = self._loop.call_at(deadline, self._expire)
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(frame)

    def _flush(self) -> None:
        if self._outbox and not self._writer.is_closing():
            self._writer.write(b"".join(self._outbox))
        self._outbox.clear()

    def _expire(self) -> None:
        """Fails requests that are too old. All have the same time, so the oldest comes first."""
        self._sweep = None
        now = self._loop.time()
        while self._pending:
            request_id = next(iter(self._pending))
            future, method, deadline = self._pending[request_id]
            if deadline > now:
                self._sweep = self._loop.call_at(deadline, self._expire)
                return
            del self._pending[request_id]
            if future is not None and not future.done():
                name = _METHOD_NAMES[method]
                future.set_exception(
                    RequestTimeout(f"the worker (pid {self._pid}) left {name} unanswered")
                )

    # In

    def feed(self, data: bytes) -> None:
        """Takes bytes from the worker, in any pieces."""
        if self._rest:
            data = self._rest + data
        pos, end = 0, len(data)
        try:
            while end - pos >= 4:
                (size,) = unpack_u32(data, pos)
                if size > MAX_MESSAGE_BYTES:
                    raise ValueError(f"a message of {size} bytes is announced")
                if end - pos - 4 < size:
                    break
                notification = self._notifications.read_known(data, pos + 4, size)
                pos += 4 + size
                if notification is not None:
                    self._notification(notification)
                else:
                    self._message(data[pos - size : pos])
                if self._error is not None:
                    return
        except Exception as error:
            self._not_taken(error)
        self._rest = data[pos:]

    def _message(self, buf: bytes) -> None:
        (root,) = unpack_u32(buf, 0)
        fields = slots(buf, root)
        kind = buf[root + fields[0]]
        body = root + fields[1]
        body += unpack_u32(buf, body)[0]
        if kind == _NOTIFICATION:
            self._notification(self._notifications.read(buf, body))
        elif kind == _RESPONSE:
            self._response(buf, body)
        elif kind == _LOG:
            self._log(flat.text(buf, body + slots(buf, body)[0]))
        else:
            raise ValueError(f"message of unknown kind {kind}")

    def _response(self, buf: bytes, pos: int) -> None:
        fields = slots(buf, pos)
        future, method, _ = self._pending.pop(flat.u32(buf, pos + fields[0]), (None, -1, 0.0))
        if fields[1] and buf[pos + fields[1]]:
            if future is not None:
                body = fields[3]
                reply = Reply(buf, flat.follow(buf, pos + body) if body else 0)
                self._take(_Answer(future, reply))
            return
        error = flat.text(buf, pos + fields[4])
        reason = flat.text(buf, pos + fields[5])
        if future is not None and not future.done():
            self._take(_Answer(future, _REJECTIONS.get(error, RequestRejected)(reason)))
        else:
            logger.debug("%s refused: %s", _METHOD_NAMES.get(method, "late request"), reason)

    def _take(self, answer: _Answer) -> None:
        if self._late:
            self._late.append(answer)
        else:
            self._settle(answer)

    def _notification(self, notification: Notification) -> None:
        if self._turns_left:
            # The object that it is for may be made by the task that waits for the answer.
            self._late.append(notification)
        else:
            self._deliver(notification)

    def _settle(self, answer: _Answer) -> None:
        asker, said = answer
        if asker.done():
            return
        if isinstance(said, Reply):
            asker.set_result(said)
        else:
            asker.set_exception(said)
        if not self._turns_left:
            self._loop.call_soon(self._turn)
        self._turns_left = _TURNS

    def _deliver(self, notification: Notification) -> None:
        handler_id, event, buf, body = notification
        handler = self.handlers.get(handler_id)
        if handler is not None:
            handler(event, buf, body)

    def _turn(self) -> None:
        self._turns_left -= 1
        if self._turns_left:
            self._loop.call_soon(self._turn)
            return
        try:
            while self._late and (not self._turns_left or isinstance(self._late[0], _Answer)):
                first = self._late.popleft()
                if isinstance(first, _Answer):
                    self._settle(first)
                else:
                    self._deliver(first)
        except Exception as error:  # whatever it is: what waits behind would wait for ever
            self._not_taken(error)

    def _log(self, line: str) -> None:
        if HANDSHAKE_ID in line:
            return
        level = {"D": logging.DEBUG, "W": logging.WARNING, "E": logging.ERROR}.get(line[:1])
        worker_logger.log(level or logging.INFO, "[pid:%d] %s", self._pid, line[1:])

    # End

    def _not_taken(self, error: Exception) -> None:
        """A message is malformed, or we are mistaken: either way nobody knows what it has done."""
        text = f"a message of the worker (pid {self._pid}) could not be taken: {error!r}"
        logger.error(text, exc_info=error)
        self.lost(MalformedFrame(text))

    def lost(self, error: ChannelClosed | None) -> None:
        """The worker hung up or went mad: tells the owner, once, who closes the channel then."""
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost(error)

    def close(self, error: ChannelClosed) -> None:
        """Fails what is pending and whatever comes with `error`; sends what is written already."""
        if self._error is not None:
            return
        self._flush()
        self._error = error
        self._on_lost = None
        if self._sweep is not None:
            self._sweep.cancel()
        waiting = [future for future, _, _ in self._pending.values() if future is not None]
        waiting += [late.asker for late in self._late if isinstance(late, _Answer)]
        for future in waiting:
            if not future.done():
                future.set_exception(_again(error))
        self._pending.clear()
        self._late.clear()
        self.handlers.clear()
        for transport in self._transports:
            transport.close()


class _Inbound(asyncio.Protocol):
    def __init__(self, channel: Channel) -> None:
        self.data_received = channel.feed  # type: ignore[method-assign] # saves a call per chunk
        self._channel = channel

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel.lost(None)


def _again(error: MediasoupError) -> MediasoupError:
    """A fresh copy of an error, for one more place to raise it."""
    copy = error.__class__.__new__(error.__class__)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy
