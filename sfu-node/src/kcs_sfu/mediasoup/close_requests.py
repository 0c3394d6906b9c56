"""The requests that close something: `parent`, forget `child`. Nobody waits for their answers.

They are sent by close(), and when the caller of a request that creates is cancelled or gives up:
the worker may have created it all the same, and handles requests in order.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kcs_sfu.mediasoup.encode import build, encode_request
from kcs_sfu.mediasoup.errors import RequestTimeout
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Router.CloseRtpObserverRequest import CloseRtpObserverRequestT
from kcs_sfu.mediasoup.fbs.Router.CloseTransportRequest import CloseTransportRequestT
from kcs_sfu.mediasoup.fbs.Transport.CloseConsumerRequest import CloseConsumerRequestT
from kcs_sfu.mediasoup.fbs.Transport.CloseDataConsumerRequest import CloseDataConsumerRequestT
from kcs_sfu.mediasoup.fbs.Transport.CloseDataProducerRequest import CloseDataProducerRequestT
from kcs_sfu.mediasoup.fbs.Transport.CloseProducerRequest import CloseProducerRequestT
from kcs_sfu.mediasoup.fbs.Worker.CloseRouterRequest import CloseRouterRequestT
from kcs_sfu.mediasoup.fbs.Worker.CloseWebRtcServerRequest import CloseWebRtcServerRequestT
from kcs_sfu.mediasoup.templates import TEMPLATES, Values

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel


class CloseRequest(NamedTuple):
    """One kind of them: how it is called, and where the child's id goes."""

    method: int
    body_type: int
    body_class: type
    field: str


WEBRTC_SERVER = CloseRequest(
    Method.WORKER_WEBRTCSERVER_CLOSE,
    Body.Worker_CloseWebRtcServerRequest,
    CloseWebRtcServerRequestT,
    "webRtcServerId",
)
ROUTER = CloseRequest(
    Method.WORKER_CLOSE_ROUTER, Body.Worker_CloseRouterRequest, CloseRouterRequestT, "routerId"
)
TRANSPORT = CloseRequest(
    Method.ROUTER_CLOSE_TRANSPORT,
    Body.Router_CloseTransportRequest,
    CloseTransportRequestT,
    "transportId",
)
RTP_OBSERVER = CloseRequest(
    Method.ROUTER_CLOSE_RTPOBSERVER,
    Body.Router_CloseRtpObserverRequest,
    CloseRtpObserverRequestT,
    "rtpObserverId",
)
PRODUCER = CloseRequest(
    Method.TRANSPORT_CLOSE_PRODUCER,
    Body.Transport_CloseProducerRequest,
    CloseProducerRequestT,
    "producerId",
)
CONSUMER = CloseRequest(
    Method.TRANSPORT_CLOSE_CONSUMER,
    Body.Transport_CloseConsumerRequest,
    CloseConsumerRequestT,
    "consumerId",
)
DATA_PRODUCER = CloseRequest(
    Method.TRANSPORT_CLOSE_DATAPRODUCER,
    Body.Transport_CloseDataProducerRequest,
    CloseDataProducerRequestT,
    "dataProducerId",
)
DATA_CONSUMER = CloseRequest(
    Method.TRANSPORT_CLOSE_DATACONSUMER,
    Body.Transport_CloseDataConsumerRequest,
    CloseDataConsumerRequestT,
    "dataConsumerId",
)


def tell_closed(channel: "Channel", kind: CloseRequest, parent: bytes, child: bytes) -> None:
    """Tells the worker. `parent` is empty where it is the worker itself."""
    request_id = channel.next_id()

    def encode(v: Values) -> bytes:
        body: Any = build(kind.body_class, **{kind.field: v[2].decode()})
        number = int.from_bytes(v[0], "little")
        return encode_request(number, kind.method, v[1].decode(), kind.body_type, body)

    frame = TEMPLATES.render(
        (kind.method, len(parent), len(child)),
        (request_id.to_bytes(4, "little"), parent, child),
        encode,
    )
    channel.send_and_forget(request_id, kind.method, frame)


@contextlib.contextmanager
def closing_if_abandoned(
    channel: "Channel", kind: CloseRequest, parent: bytes, child: str
) -> Iterator[None]:
    """Around the wait for a request that creates `child`."""
    try:
        yield
    except (asyncio.CancelledError, RequestTimeout):
        tell_closed(channel, kind, parent, child.encode())
        raise
