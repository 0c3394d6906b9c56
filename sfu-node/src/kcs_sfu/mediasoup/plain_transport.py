"""A transport of RTP without ICE and DTLS, SRTP optional (mediasoup's PlainTransport)."""

from typing import TYPE_CHECKING, ClassVar

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData
from kcs_sfu.mediasoup.errors import InvalidRtp
from kcs_sfu.mediasoup.events import RtcpTupleChange, TupleChange
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.PlainTransport.ConnectRequest import ConnectRequestT
from kcs_sfu.mediasoup.fbs.PlainTransport.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.PlainTransport.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.SrtpParameters.SrtpParameters import SrtpParametersT
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import TransportId
from kcs_sfu.mediasoup.parse import CRYPTO_SUITES
from kcs_sfu.mediasoup.read import read_base_sctp, read_srtp, read_tuple
from kcs_sfu.mediasoup.rtp_parameters import SrtpParameters
from kcs_sfu.mediasoup.transport import Transport, TransportType
from kcs_sfu.mediasoup.transport_types import TransportTuple

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.router import Router


class PlainTransport(Transport):
    """Made by Router.create_plain_transport()."""

    type: ClassVar[TransportType] = "plain"
    _dump_class = DumpResponseT
    _stats_class = GetStatsResponseT
    _stats_type = "plain-rtp-transport"

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
        base, rtcp_mux, comedia, tuple_, rtcp, srtp, *_ = flat.slots(buf, pos)
        sctp = read_base_sctp(buf, flat.follow(buf, pos + base))
        super().__init__(router, channel, transport_id, app_data, sctp)
        self.rtcp_mux = bool(rtcp_mux and buf[pos + rtcp_mux])
        self.comedia = bool(comedia and buf[pos + comedia])
        self.tuple: TransportTuple = read_tuple(buf, flat.follow(buf, pos + tuple_))
        """Our address, and the remote one once known."""
        self.rtcp_tuple: TransportTuple | None = (
            read_tuple(buf, flat.follow(buf, pos + rtcp)) if rtcp else None
        )
        """The same for RTCP, without rtcp_mux."""
        self.srtp_parameters: SrtpParameters | None = (
            read_srtp(buf, flat.follow(buf, pos + srtp)) if srtp else None
        )
        """Our key, for the other end; None without SRTP."""

    async def connect(
        self,
        *,
        ip: str | None = None,
        port: int | None = None,
        rtcp_port: int | None = None,
        srtp_parameters: SrtpParameters | None = None,
    ) -> None:
        """Gives the other end's address (not with comedia) and SRTP key, once."""
        buf, pos = await self._request(
            Method.PLAINTRANSPORT_CONNECT,
            Body.PlainTransport_ConnectRequest,
            build(
                ConnectRequestT,
                ip=ip,
                port=port,
                rtcpPort=rtcp_port,
                srtpParameters=srtp_to_fbs(srtp_parameters),
            ),
        )
        tuple_, rtcp, srtp, *_ = flat.slots(buf, pos)
        if tuple_:
            self.tuple = read_tuple(buf, flat.follow(buf, pos + tuple_))
        if rtcp:
            self.rtcp_tuple = read_tuple(buf, flat.follow(buf, pos + rtcp))
        if srtp:
            self.srtp_parameters = read_srtp(buf, flat.follow(buf, pos + srtp))

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.PLAINTRANSPORT_TUPLE:
            self.tuple = read_tuple(buf, flat.follow(buf, pos + flat.slots(buf, pos)[0]))
            self._emit(TupleChange(self.tuple))
        elif event == Event.PLAINTRANSPORT_RTCP_TUPLE:
            seen = read_tuple(buf, flat.follow(buf, pos + flat.slots(buf, pos)[0]))
            self.rtcp_tuple = seen
            self._emit(RtcpTupleChange(seen))
        else:
            super()._on_notification(event, buf, pos)


def srtp_to_fbs(parameters: SrtpParameters | None) -> SrtpParametersT | None:
    """An SRTP key as the worker takes it. Raises InvalidRtp for an unknown suite."""
    if parameters is None:
        return None
    if parameters["cryptoSuite"] not in CRYPTO_SUITES:
        raise InvalidRtp(f"unknown SRTP crypto suite {parameters['cryptoSuite']!r}")
    return build(
        SrtpParametersT,
        cryptoSuite=CRYPTO_SUITES.index(parameters["cryptoSuite"]),
        keyBase64=parameters["keyBase64"],
    )
