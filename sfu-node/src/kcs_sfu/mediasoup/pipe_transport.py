"""A transport to another router, in this node or another (mediasoup's PipeTransport).

Its consumers carry all layers of a producer, so that the other router can choose for each of its
own consumers.
"""

from typing import TYPE_CHECKING, ClassVar

from kcs_sfu.mediasoup import flat, ortc
from kcs_sfu.mediasoup.consume_request import encode_consume
from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData
from kcs_sfu.mediasoup.fbs.PipeTransport.ConnectRequest import ConnectRequestT
from kcs_sfu.mediasoup.fbs.PipeTransport.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.PipeTransport.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import ConsumerId, TransportId, new_uuid
from kcs_sfu.mediasoup.plain_transport import srtp_to_fbs
from kcs_sfu.mediasoup.read import read_base_sctp, read_srtp, read_tuple
from kcs_sfu.mediasoup.rtp_parameters import SrtpParameters
from kcs_sfu.mediasoup.transport import Transport, TransportType
from kcs_sfu.mediasoup.transport_types import TransportTuple

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.router import Router


class PipeTransport(Transport):
    """Made by Router.create_pipe_transport(), or in pairs by Router.pipe_to_router()."""

    type: ClassVar[TransportType] = "pipe"
    _dump_class = DumpResponseT
    _stats_class = GetStatsResponseT
    _stats_type = "pipe-transport"

    def __init__(
        self,
        router: "Router",
        channel: "Channel",
        transport_id: TransportId,
        app_data: AppData | None,
        reply: Reply,
    ) -> None:
        """`reply` is the worker's DumpResponse."""
        buf, pos = reply
        base, tuple_, rtx, srtp, *_ = flat.slots(buf, pos)
        sctp = read_base_sctp(buf, flat.follow(buf, pos + base))
        super().__init__(router, channel, transport_id, app_data, sctp)
        self.tuple: TransportTuple = read_tuple(buf, flat.follow(buf, pos + tuple_))
        """Our address, and the remote one once connected."""
        self.rtx = bool(rtx and buf[pos + rtx])
        """Whether lost packets are sent again."""
        self.srtp_parameters: SrtpParameters | None = (
            read_srtp(buf, flat.follow(buf, pos + srtp)) if srtp else None
        )
        """Our key, for the other end; None without SRTP."""

    async def connect(
        self, *, ip: str, port: int, srtp_parameters: SrtpParameters | None = None
    ) -> None:
        """Gives the other pipe's address and SRTP key, once."""
        buf, pos = await self._request(
            Method.PIPETRANSPORT_CONNECT,
            Body.PipeTransport_ConnectRequest,
            build(ConnectRequestT, ip=ip, port=port, srtpParameters=srtp_to_fbs(srtp_parameters)),
        )
        self.tuple = read_tuple(buf, flat.follow(buf, pos + flat.slots(buf, pos)[0]))

    async def consume(  # type: ignore[override] # a pipe negotiates nothing, as in mediasoup
        self, *, producer_id: str, app_data: AppData | None = None
    ) -> Consumer:
        """Sends a producer to the other router. Raises NotFoundError."""
        self._check_open()
        producer = self._producer(producer_id)
        params = ortc.get_pipe_consumer_rtp_parameters(
            consumable_rtp_parameters=producer.consumable_rtp_parameters, enable_rtx=self.rtx
        )
        consumer_id = ConsumerId(new_uuid())
        request_id = self._channel.next_id()
        frame = encode_consume(
            request_id, self._raw_id, consumer_id.encode(), producer, params, "pipe"
        )
        return await self._consume(
            request_id, frame, consumer_id, producer, params, "pipe", app_data
        )
