"""Routes streams between its transports (mediasoup's Router).

It knows all producers on all its transports by id, so that any transport can consume them. Closing
it closes its transports and observers with `routerclose`; the worker's end closes it with
`workerclose`. What it creates is closed again in the worker when the caller is cancelled or times
out, by a request behind the one that creates.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from kcs_sfu.mediasoup import close_requests, ortc
from kcs_sfu.mediasoup.active_speaker_observer import ActiveSpeakerObserver
from kcs_sfu.mediasoup.audio_level_observer import AudioLevelObserver
from kcs_sfu.mediasoup.close_requests import tell_closed
from kcs_sfu.mediasoup.create_requests import (
    SctpOptions,
    active_speaker_observer_request,
    audio_level_observer_request,
    direct_transport_request,
    pipe_transport_request,
    plain_transport_request,
    render_webrtc_transport,
)
from kcs_sfu.mediasoup.direct_transport import DirectTransport
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.errors import InvalidRtp, InvalidStateError
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Router.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import (
    DataProducerId,
    ProducerId,
    RouterId,
    RtpObserverId,
    TransportId,
    new_uuid,
)
from kcs_sfu.mediasoup.negotiation import clone
from kcs_sfu.mediasoup.parse import CRYPTO_SUITES, Json, plain
from kcs_sfu.mediasoup.pipe_transport import PipeTransport
from kcs_sfu.mediasoup.pipes import Pipes, PipeToRouterResult
from kcs_sfu.mediasoup.plain_transport import PlainTransport
from kcs_sfu.mediasoup.rtp_observer import RtpObserver
from kcs_sfu.mediasoup.rtp_parameters import RtpCapabilities, SrtpCryptoSuite
from kcs_sfu.mediasoup.transport import Transport
from kcs_sfu.mediasoup.transport_types import ListenInfo
from kcs_sfu.mediasoup.webrtc_server import WebRtcServer
from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.data_producer import DataProducer
    from kcs_sfu.mediasoup.events import CloseReason
    from kcs_sfu.mediasoup.producer import Producer
    from kcs_sfu.mediasoup.worker import Worker

T = TypeVar("T", bound=Transport)

LOOPBACK: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}


class Router(Entity):
    """Made by Worker.create_router()."""

    def __init__(
        self,
        worker: "Worker",
        channel: "Channel",
        router_id: RouterId,
        rtp_capabilities: RtpCapabilities,
        app_data: AppData | None,
    ) -> None:
        super().__init__(channel, router_id, app_data)
        self.id = router_id
        self.worker = worker
        self.rtp_capabilities = rtp_capabilities
        """What clients may send, and what they are to be given. Read-only."""
        self.transports: dict[TransportId, Transport] = {}
        self.producers: dict[ProducerId, Producer] = {}
        self.data_producers: dict[DataProducerId, DataProducer] = {}
        self.rtp_observers: dict[RtpObserverId, RtpObserver] = {}
        self._pipes = Pipes(self)

    def close(self) -> None:
        """Closes it and everything in it."""
        if self._closed:
            return
        self.worker.routers.discard(self)
        tell_closed(self._channel, close_requests.ROUTER, b"", self._raw_id)
        self._gone("closed")

    # Transports

    async def create_webrtc_transport(
        self,
        *,
        webrtc_server: WebRtcServer | None = None,
        listen_infos: Sequence[ListenInfo] | None = None,
        enable_udp: bool = True,
        enable_tcp: bool | None = None,
        prefer_udp: bool = False,
        prefer_tcp: bool = False,
        initial_available_outgoing_bitrate: int = 600_000,
        ice_consent_timeout: int = 30,
        app_data: AppData | None = None,
        **sctp: Unpack[SctpOptions],
    ) -> WebRtcTransport:
        """For a browser: on a server's shared ports, or on ports of its own (`listen_infos`).

        `enable_tcp` None: with a server only. `ice_consent_timeout` in seconds, 0 switches it off.
        """
        self._check_open()
        if (webrtc_server is None) == (listen_infos is None):
            raise TypeError("exactly one of webrtc_server and listen_infos must be given")
        if webrtc_server is not None:
            webrtc_server._check_open()
        transport_id = TransportId(new_uuid())
        request_id = self._channel.next_id()
        method, frame = render_webrtc_transport(
            request_id,
            self._raw_id,
            transport_id.encode(),
            server_id=webrtc_server._raw_id if webrtc_server else None,
            listen_infos=listen_infos or (),
            enable_udp=enable_udp,
            enable_tcp=webrtc_server is not None if enable_tcp is None else enable_tcp,
            prefer_udp=prefer_udp,
            prefer_tcp=prefer_tcp,
            initial_available_outgoing_bitrate=initial_available_outgoing_bitrate,
            ice_consent_timeout=ice_consent_timeout,
            sctp=sctp,
        )
        with self._creating(close_requests.TRANSPORT, transport_id):
            reply = await self._channel.send(request_id, method, frame)
        self._check_open()
        if webrtc_server is not None:
            webrtc_server._check_open()
        return self._keep(
            WebRtcTransport(self, self._channel, transport_id, app_data, reply, webrtc_server)
        )

    async def create_plain_transport(
        self,
        *,
        listen_info: ListenInfo,
        rtcp_listen_info: ListenInfo | None = None,
        rtcp_mux: bool = True,
        comedia: bool = False,
        enable_srtp: bool = False,
        srtp_crypto_suite: SrtpCryptoSuite = "AES_CM_128_HMAC_SHA1_80",
        app_data: AppData | None = None,
        **sctp: Unpack[SctpOptions],
    ) -> PlainTransport:
        """For plain RTP. With `comedia` the other end's address is where its first packet is from.

        A `rtcp_listen_info` of its own switches rtcp_mux off, as in mediasoup.
        """
        if srtp_crypto_suite not in CRYPTO_SUITES:
            raise InvalidRtp(f"unknown SRTP crypto suite {srtp_crypto_suite!r}")
        transport_id, reply = await self._create_transport(
            plain_transport_request,
            listen_info=listen_info,
            rtcp_listen_info=rtcp_listen_info,
            rtcp_mux=rtcp_mux and rtcp_listen_info is None,
            comedia=comedia,
            enable_srtp=enable_srtp,
            srtp_crypto_suite=srtp_crypto_suite,
            sctp=sctp,
        )
        return self._keep(PlainTransport(self, self._channel, transport_id, app_data, reply))

    async def create_pipe_transport(
        self,
        *,
        listen_info: ListenInfo,
        enable_rtx: bool = False,
        enable_srtp: bool = False,
        app_data: AppData | None = None,
        **sctp: Unpack[SctpOptions],
    ) -> PipeTransport:
        """One half of a pipe to another router; see also pipe_to_router()."""
        transport_id, reply = await self._create_transport(
            pipe_transport_request,
            listen_info=listen_info,
            enable_rtx=enable_rtx,
            enable_srtp=enable_srtp,
            sctp=sctp,
        )
        return self._keep(PipeTransport(self, self._channel, transport_id, app_data, reply))

    async def create_direct_transport(
        self,
        *,
        max_send_message_size: int = 262_144,
        max_receive_message_size: int = 262_144,
        app_data: AppData | None = None,
    ) -> DirectTransport:
        """For RTP and messages from and to this process."""
        transport_id, _ = await self._create_transport(
            direct_transport_request,
            max_send_message_size=max_send_message_size,
            max_receive_message_size=max_receive_message_size,
        )
        return self._keep(DirectTransport(self, self._channel, transport_id, app_data))

    async def pipe_to_router(
        self,
        *,
        router: "Router",
        producer_id: str | None = None,
        data_producer_id: str | None = None,
        keep_id: bool = True,
        listen_info: ListenInfo = LOOPBACK,
        enable_sctp: bool = True,
        enable_rtx: bool = False,
        enable_srtp: bool = False,
    ) -> PipeToRouterResult:
        """Makes a producer, or data producer, of this router available in another of this process.

        The pair of pipe transports is made with the first one; its options hold for all. Both ends
        of a piped stream close together, and the copy is paused when the original is. Without
        `keep_id` the copy has an id of its own.
        """
        self._check_open()
        return await self._pipes.pipe(
            router,
            producer_id=producer_id,
            data_producer_id=data_producer_id,
            keep_id=keep_id,
            listen_info=listen_info,
            enable_sctp=enable_sctp,
            enable_rtx=enable_rtx,
            enable_srtp=enable_srtp,
        )

    # Observers

    async def create_audio_level_observer(
        self,
        *,
        max_entries: int = 1,
        threshold: int = -80,
        interval_ms: int = 1000,
        app_data: AppData | None = None,
    ) -> AudioLevelObserver:
        """Reports the `max_entries` loudest above `threshold` (dBov, -127 to 0) each interval."""
        self._check_open()
        if max_entries <= 0 or not -127 <= threshold <= 0:
            raise InvalidStateError("max_entries must be positive, threshold from -127 to 0")
        observer_id = RtpObserverId(new_uuid())
        method, body_type, body = audio_level_observer_request(
            observer_id, max_entries, threshold, interval_ms
        )
        with self._creating(close_requests.RTP_OBSERVER, observer_id):
            await self._request(method, body_type, body)
        self._check_open()
        observer = AudioLevelObserver(self, self._channel, observer_id, app_data)
        self.rtp_observers[observer_id] = observer
        return observer

    async def create_active_speaker_observer(
        self, *, interval_ms: int = 300, app_data: AppData | None = None
    ) -> ActiveSpeakerObserver:
        """Reports who speaks, looking at it each interval."""
        self._check_open()
        observer_id = RtpObserverId(new_uuid())
        method, body_type, body = active_speaker_observer_request(observer_id, interval_ms)
        with self._creating(close_requests.RTP_OBSERVER, observer_id):
            await self._request(method, body_type, body)
        self._check_open()
        observer = ActiveSpeakerObserver(self, self._channel, observer_id, app_data)
        self.rtp_observers[observer_id] = observer
        return observer

    # Itself

    def can_consume(self, *, producer_id: str, rtp_capabilities: RtpCapabilities) -> bool:
        """Whether a client with these capabilities can get this producer; False for nonsense."""
        producer = self.producers.get(ProducerId(producer_id))
        if producer is None:
            return False
        with contextlib.suppress(InvalidRtp):
            return ortc.can_consume(producer.consumable_rtp_parameters, clone(rtp_capabilities))
        return False

    async def dump(self) -> Json:
        """The worker's own view of it, with mediasoup's keys."""
        dump: Json = plain(unpack(DumpResponseT, await self._ask(Method.ROUTER_DUMP)))
        return dump

    async def _create_transport(
        self, make: Callable[..., tuple[int, int, Any]], **options: Any
    ) -> "tuple[TransportId, Reply]":
        self._check_open()
        transport_id = TransportId(new_uuid())
        method, body_type, body = make(transport_id, **options)
        with self._creating(close_requests.TRANSPORT, transport_id):
            reply = await self._request(method, body_type, body)
        self._check_open()
        return transport_id, reply

    def _keep(self, transport: T) -> T:
        self.transports[transport.id] = transport
        return transport

    # Closing

    def _worker_closed(self) -> None:
        if not self._closed:
            self._gone("workerclose")

    def _gone(self, reason: "CloseReason") -> None:
        self._closed = True  # before the children say so: nobody shall create anything here again
        for transport in list(self.transports.values()):
            transport._router_closed()
        for observer in list(self.rtp_observers.values()):
            observer._router_closed()
        self.transports.clear()
        self.producers.clear()
        self.data_producers.clear()
        self.rtp_observers.clear()
        self._end(reason)
