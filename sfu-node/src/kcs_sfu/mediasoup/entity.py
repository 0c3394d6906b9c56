"""What all objects of a worker share: an id, events, requests to themselves, and how they close.

Closing goes from parent to child, once per object: a close() tells the worker about the topmost
object only, because the worker drops its children by itself; the children here are marked closed,
deaf to notifications, and emit `Closed` with the reason.
"""

import asyncio
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from kcs_sfu.mediasoup.close_requests import CloseRequest, closing_if_abandoned, tell_closed
from kcs_sfu.mediasoup.emitter import Emitter
from kcs_sfu.mediasoup.encode import encode_request
from kcs_sfu.mediasoup.errors import ObjectClosed
from kcs_sfu.mediasoup.events import Closed, CloseReason
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.templates import TEMPLATES

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel

AppData = dict[str, Any]
"""Whatever the caller wants to keep with an object; the driver never looks at it."""

T = TypeVar("T")


class Entity(Emitter):
    """Base of Router, Transport, Producer, Consumer and the others."""

    __slots__ = ("_channel", "_closed", "_raw_id", "app_data")

    def __init__(self, channel: "Channel", object_id: str, app_data: AppData | None) -> None:
        super().__init__()
        self._channel = channel
        self._closed = False
        self._raw_id = object_id.encode()
        self.app_data: AppData = {} if app_data is None else app_data
        channel.handlers[self._raw_id] = self._on_notification

    @property
    def closed(self) -> bool:
        """Whether it is gone: closed by close(), along with its parent, or with its worker."""
        return self._closed

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        """Takes a notification from the worker; overridden by those that get some."""

    def _check_open(self) -> None:
        if self._closed:
            raise ObjectClosed(f"{type(self).__name__} {self._raw_id.decode()} is closed")

    def _ask(self, method: int) -> "asyncio.Future[Reply]":
        """Sends a request that has nothing but its method and this object's id."""
        self._check_open()
        request_id = self._channel.next_id()
        frame = TEMPLATES.render(
            (method, len(self._raw_id)),
            (request_id.to_bytes(4, "little"), self._raw_id),
            lambda v: encode_request(int.from_bytes(v[0], "little"), method, v[1].decode()),
        )
        return self._channel.send(request_id, method, frame)

    def _request(self, method: int, body_type: int, body: Any) -> "asyncio.Future[Reply]":
        """Sends a request with a body (an object of flatc's) by the naive encoder."""
        self._check_open()
        return self._channel.request(method, self._raw_id.decode(), body_type, body)

    def _tell_closed(self, kind: CloseRequest, child_id: str) -> None:
        """Tells the worker that a child of this object is closed."""
        tell_closed(self._channel, kind, self._raw_id, child_id.encode())

    def _creating(self, kind: CloseRequest, child_id: str) -> AbstractContextManager[None]:
        """Around the wait for a request that creates a child of this object."""
        return closing_if_abandoned(self._channel, kind, self._raw_id, child_id)

    def _end(self, reason: CloseReason) -> None:
        """Marks it closed and says so; the caller has checked that it was open."""
        self._closed = True
        self._channel.handlers.pop(self._raw_id, None)
        if self._listeners is not None:
            self._emit(Closed(reason))


class _Unpackable(Protocol):
    def InitFromBuf(self, buf: bytes, pos: int) -> Any: ...  # noqa: N802 (flatc's name)


def unpack(cls: type[T], reply: Reply) -> T:
    """The body of an answer as an object of flatc's: complete and slow, for what is rare."""
    unpacked: T = cast(_Unpackable, cls).InitFromBuf(reply.buf, reply.pos)
    return unpacked
