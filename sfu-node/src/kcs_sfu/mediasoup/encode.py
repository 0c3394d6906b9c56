"""Messages to the worker by way of flatc's Python objects: complete, plain, slow (0.1 to 0.5 ms).

Requests that are rare go out like this as they are. Frequent ones are made like this twice, and
from then on by patching the bytes (see `templates`).
"""

from typing import Any, Protocol, TypeVar, cast

from flatbuffers.builder import Builder

from kcs_sfu.mediasoup.fbs.Message.Body import Body as MessageBody
from kcs_sfu.mediasoup.fbs.Message.Message import MessageT
from kcs_sfu.mediasoup.fbs.Notification.Notification import NotificationT
from kcs_sfu.mediasoup.fbs.Request.Request import RequestT

T = TypeVar("T")

_builder: Any = Builder  # flatbuffers has no types


class Packable(Protocol):
    """An object of flatc's object API (`...T`)."""

    def Pack(self, builder: Any) -> int: ...  # noqa: N802 (flatc's name)


def build(cls: type[T], **fields: Any) -> T:
    """An object of flatc's class with these fields set; an unknown name is an error."""
    obj = cls()
    for name, value in fields.items():
        if not hasattr(obj, name):
            raise AttributeError(f"{cls.__name__} has no field {name}")
        setattr(obj, name, value)
    return obj


def encode_request(
    request_id: int, method: int, handler_id: str, body_type: int = 0, body: Packable | None = None
) -> bytes:
    """One request as it goes over the wire, with its length in front."""
    request = build(
        RequestT,
        id=request_id,
        method=method,
        handlerId=handler_id,
        bodyType=body_type,
        body=body,
    )
    return _encode(MessageBody.Request, request)


def encode_notification(
    event: int, handler_id: str, body_type: int = 0, body: Packable | None = None
) -> bytes:
    """One notification as it goes over the wire, with its length in front."""
    notification = build(
        NotificationT, event=event, handlerId=handler_id, bodyType=body_type, body=body
    )
    return _encode(MessageBody.Notification, notification)


def _encode(data_type: int, data: object) -> bytes:
    builder: Any = _builder(1024)
    message = cast(Packable, build(MessageT, dataType=data_type, data=data))
    builder.FinishSizePrefixed(message.Pack(builder))
    return bytes(builder.Output())
