"""Ports that many WebRtcTransports of a worker share (mediasoup's WebRtcServer).

Its transports live in routers; closing the server closes them too, with `listenserverclose`. When
the worker closes, the routers do that.
"""

from typing import TYPE_CHECKING

from kcs_sfu.mediasoup import close_requests
from kcs_sfu.mediasoup.close_requests import tell_closed
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.WebRtcServer.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.ids import TransportId, WebRtcServerId
from kcs_sfu.mediasoup.parse import Json, plain

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport
    from kcs_sfu.mediasoup.worker import Worker


class WebRtcServer(Entity):
    """Made by Worker.create_webrtc_server()."""

    def __init__(
        self,
        worker: "Worker",
        channel: "Channel",
        server_id: WebRtcServerId,
        app_data: AppData | None,
    ) -> None:
        super().__init__(channel, server_id, app_data)
        self.id = server_id
        self._worker = worker
        self._transports: dict[TransportId, WebRtcTransport] = {}

    def close(self) -> None:
        """Frees the ports and closes the transports on them."""
        if self._closed:
            return
        self._worker.webrtc_servers.discard(self)
        tell_closed(self._channel, close_requests.WEBRTC_SERVER, b"", self._raw_id)
        self._end("closed")
        for transport in list(self._transports.values()):
            transport._listen_server_closed()
        self._transports.clear()

    async def dump(self) -> Json:
        """The worker's own view of it: sockets, transports, ICE user name fragments."""
        dump: Json = plain(unpack(DumpResponseT, await self._ask(Method.WEBRTCSERVER_DUMP)))
        return dump

    def _worker_closed(self) -> None:
        if not self._closed:
            self._transports.clear()
            self._end("workerclose")
