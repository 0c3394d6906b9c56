"""A transport between a router and this process itself (mediasoup's DirectTransport)."""

from typing import ClassVar, NoReturn

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.errors import UnsupportedError
from kcs_sfu.mediasoup.events import RtcpReceived
from kcs_sfu.mediasoup.fbs.DirectTransport.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.DirectTransport.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.Notification.Body import Body as NotificationBody
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Transport.SendRtcpNotification import SendRtcpNotificationT
from kcs_sfu.mediasoup.transport import Transport, TransportType


class DirectTransport(Transport):
    """Made by Router.create_direct_transport(). RTP in: Producer.send(); out: `RtpReceived`."""

    type: ClassVar[TransportType] = "direct"
    _dump_class = DumpResponseT
    _stats_class = GetStatsResponseT
    _stats_type = "direct-transport"

    def send_rtcp(self, rtcp_packet: bytes) -> None:
        """Feeds in an RTCP packet."""
        self._check_open()
        self._channel.notify(
            Event.TRANSPORT_SEND_RTCP,
            self.id,
            NotificationBody.Transport_SendRtcpNotification,
            build(SendRtcpNotificationT, data=rtcp_packet),
        )

    async def set_max_incoming_bitrate(self, bitrate: int) -> NoReturn:
        """A direct transport has no bitrates."""
        raise UnsupportedError("a DirectTransport has no bitrates")

    async def set_max_outgoing_bitrate(self, bitrate: int) -> NoReturn:
        """A direct transport has no bitrates."""
        raise UnsupportedError("a DirectTransport has no bitrates")

    async def set_min_outgoing_bitrate(self, bitrate: int) -> NoReturn:
        """A direct transport has no bitrates."""
        raise UnsupportedError("a DirectTransport has no bitrates")

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.DIRECTTRANSPORT_RTCP:
            self._emit(RtcpReceived(flat.raw(buf, pos + flat.slots(buf, pos)[0])))
        else:
            super()._on_notification(event, buf, pos)
