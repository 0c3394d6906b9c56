"""The requests that create transports and observers, as flatbuffers.

Those for WebRtcTransports come from a template: a meeting begins with many at once. The others
return (method, body type, body) for the naive encoder.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from kcs_sfu.mediasoup.encode import build, encode_request
from kcs_sfu.mediasoup.fbs.ActiveSpeakerObserver.ActiveSpeakerObserverOptions import (
    ActiveSpeakerObserverOptionsT,
)
from kcs_sfu.mediasoup.fbs.AudioLevelObserver.AudioLevelObserverOptions import (
    AudioLevelObserverOptionsT,
)
from kcs_sfu.mediasoup.fbs.DirectTransport.DirectTransportOptions import DirectTransportOptionsT
from kcs_sfu.mediasoup.fbs.PipeTransport.PipeTransportOptions import PipeTransportOptionsT
from kcs_sfu.mediasoup.fbs.PlainTransport.PlainTransportOptions import PlainTransportOptionsT
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Router.CreateActiveSpeakerObserverRequest import (
    CreateActiveSpeakerObserverRequestT,
)
from kcs_sfu.mediasoup.fbs.Router.CreateAudioLevelObserverRequest import (
    CreateAudioLevelObserverRequestT,
)
from kcs_sfu.mediasoup.fbs.Router.CreateDirectTransportRequest import (
    CreateDirectTransportRequestT,
)
from kcs_sfu.mediasoup.fbs.Router.CreatePipeTransportRequest import CreatePipeTransportRequestT
from kcs_sfu.mediasoup.fbs.Router.CreatePlainTransportRequest import CreatePlainTransportRequestT
from kcs_sfu.mediasoup.fbs.Router.CreateWebRtcTransportRequest import (
    CreateWebRtcTransportRequestT,
)
from kcs_sfu.mediasoup.fbs.Transport.Options import OptionsT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.Listen import Listen
from kcs_sfu.mediasoup.fbs.WebRtcTransport.ListenIndividual import ListenIndividualT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.ListenServer import ListenServerT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.WebRtcTransportOptions import WebRtcTransportOptionsT
from kcs_sfu.mediasoup.listen import listen_info_to_fbs
from kcs_sfu.mediasoup.negotiation import fingerprint
from kcs_sfu.mediasoup.parse import CRYPTO_SUITES
from kcs_sfu.mediasoup.templates import TEMPLATES, Values
from kcs_sfu.mediasoup.transport_types import ListenInfo

Request = tuple[int, int, Any]
"""Method, body type, body."""


class SctpOptions(TypedDict, total=False):
    """Data channels of a transport. Sizes in bytes, defaults as in mediasoup."""

    enable_sctp: bool
    max_send_message_size: int
    max_receive_message_size: int
    sctp_send_buffer_size: int
    sctp_per_stream_send_queue_limit: int
    sctp_max_receiver_window_buffer_size: int
    sctp_default_stream_buffered_amount_low_threshold: int


def render_webrtc_transport(
    request_id: int,
    router_id: bytes,
    transport_id: bytes,
    *,
    server_id: bytes | None,
    listen_infos: Sequence[ListenInfo],
    sctp: SctpOptions,
    **options: Any,
) -> tuple[int, bytes]:
    """The request's method and bytes. `options` are those of the WebRtcTransport, all of them."""
    method = (
        Method.ROUTER_CREATE_WEBRTCTRANSPORT
        if server_id is None
        else Method.ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER
    )

    def encode(v: Values) -> bytes:
        listen = (
            build(ListenIndividualT, listenInfos=[listen_info_to_fbs(i) for i in listen_infos])
            if server_id is None
            else build(ListenServerT, webRtcServerId=v[3].decode())
        )
        body = build(
            CreateWebRtcTransportRequestT,
            transportId=v[2].decode(),
            options=build(
                WebRtcTransportOptionsT,
                base=_base(
                    is_data_channel=True,
                    bitrate=options["initial_available_outgoing_bitrate"],
                    **sctp,
                ),
                listenType=Listen.ListenIndividual if server_id is None else Listen.ListenServer,
                listen=listen,
                enableUdp=options["enable_udp"],
                enableTcp=options["enable_tcp"],
                preferUdp=options["prefer_udp"],
                preferTcp=options["prefer_tcp"],
                iceConsentTimeout=options["ice_consent_timeout"],
            ),
        )
        number = int.from_bytes(v[0], "little")
        body_type = Body.Router_CreateWebRtcTransportRequest
        return encode_request(number, method, v[1].decode(), body_type, body)

    values = (request_id.to_bytes(4, "little"), router_id, transport_id, server_id or b"")
    shape = (method, fingerprint((options, sctp, listen_infos)))
    return method, TEMPLATES.render(shape, values, encode)


def plain_transport_request(
    transport_id: str,
    *,
    listen_info: ListenInfo,
    rtcp_listen_info: ListenInfo | None,
    rtcp_mux: bool,
    comedia: bool,
    enable_srtp: bool,
    srtp_crypto_suite: str,
    sctp: SctpOptions,
) -> Request:
    """For Router.create_plain_transport()."""
    options = build(
        PlainTransportOptionsT,
        base=_base(**sctp),
        listenInfo=listen_info_to_fbs(listen_info),
        rtcpListenInfo=rtcp_listen_info and listen_info_to_fbs(rtcp_listen_info),
        rtcpMux=rtcp_mux,
        comedia=comedia,
        enableSrtp=enable_srtp,
        srtpCryptoSuite=CRYPTO_SUITES.index(srtp_crypto_suite),
    )
    body = build(CreatePlainTransportRequestT, transportId=transport_id, options=options)
    return Method.ROUTER_CREATE_PLAINTRANSPORT, Body.Router_CreatePlainTransportRequest, body


def pipe_transport_request(
    transport_id: str,
    *,
    listen_info: ListenInfo,
    enable_rtx: bool,
    enable_srtp: bool,
    sctp: SctpOptions,
) -> Request:
    """For Router.create_pipe_transport()."""
    options = build(
        PipeTransportOptionsT,
        base=_base(**sctp),
        listenInfo=listen_info_to_fbs(listen_info),
        enableRtx=enable_rtx,
        enableSrtp=enable_srtp,
    )
    body = build(CreatePipeTransportRequestT, transportId=transport_id, options=options)
    return Method.ROUTER_CREATE_PIPETRANSPORT, Body.Router_CreatePipeTransportRequest, body


def direct_transport_request(
    transport_id: str, *, max_send_message_size: int, max_receive_message_size: int
) -> Request:
    """For Router.create_direct_transport()."""
    base = build(
        OptionsT,
        direct=True,
        maxSendMessageSize=max_send_message_size,
        maxReceiveMessageSize=max_receive_message_size,
    )
    body = build(
        CreateDirectTransportRequestT,
        transportId=transport_id,
        options=build(DirectTransportOptionsT, base=base),
    )
    return Method.ROUTER_CREATE_DIRECTTRANSPORT, Body.Router_CreateDirectTransportRequest, body


def audio_level_observer_request(
    observer_id: str, max_entries: int, threshold: int, interval_ms: int
) -> Request:
    """For Router.create_audio_level_observer()."""
    body = build(
        CreateAudioLevelObserverRequestT,
        rtpObserverId=observer_id,
        options=build(
            AudioLevelObserverOptionsT,
            maxEntries=max_entries,
            threshold=threshold,
            interval=interval_ms,
        ),
    )
    return (
        Method.ROUTER_CREATE_AUDIOLEVELOBSERVER,
        Body.Router_CreateAudioLevelObserverRequest,
        body,
    )


def active_speaker_observer_request(observer_id: str, interval_ms: int) -> Request:
    """For Router.create_active_speaker_observer()."""
    body = build(
        CreateActiveSpeakerObserverRequestT,
        rtpObserverId=observer_id,
        options=build(ActiveSpeakerObserverOptionsT, interval=interval_ms),
    )
    return (
        Method.ROUTER_CREATE_ACTIVESPEAKEROBSERVER,
        Body.Router_CreateActiveSpeakerObserverRequest,
        body,
    )


def _base(
    *, is_data_channel: bool = False, bitrate: int | None = None, **sctp: Unpack[SctpOptions]
) -> OptionsT:
    """What all transports but direct ones have in common."""
    return build(
        OptionsT,
        initialAvailableOutgoingBitrate=bitrate,
        enableSctp=sctp.get("enable_sctp", False),
        maxSendMessageSize=sctp.get("max_send_message_size", 262_144),
        maxReceiveMessageSize=sctp.get("max_receive_message_size", 262_144),
        sctpSendBufferSize=sctp.get("sctp_send_buffer_size", 2_000_000),
        sctpPerStreamSendQueueLimit=sctp.get("sctp_per_stream_send_queue_limit", 2_000_000),
        sctpMaxReceiverWindowBufferSize=sctp.get("sctp_max_receiver_window_buffer_size", 5_242_880),
        sctpDefaultStreamBufferedAmountLowThreshold=sctp.get(
            "sctp_default_stream_buffered_amount_low_threshold", 1024
        ),
        isDataChannel=is_data_channel,
    )
