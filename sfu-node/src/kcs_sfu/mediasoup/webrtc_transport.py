"""A transport to a browser: ICE, DTLS, SRTP (mediasoup's WebRtcTransport)."""

from typing import TYPE_CHECKING, ClassVar, cast

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.encode import build, encode_request
from kcs_sfu.mediasoup.entity import AppData
from kcs_sfu.mediasoup.errors import InvalidRtp
from kcs_sfu.mediasoup.events import (
    CloseReason,
    DtlsStateChange,
    IceSelectedTupleChange,
    IceStateChange,
)
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.WebRtcTransport.ConnectRequest import ConnectRequestT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.DtlsParameters import DtlsParametersT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.Fingerprint import FingerprintT
from kcs_sfu.mediasoup.fbs.WebRtcTransport.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import TransportId
from kcs_sfu.mediasoup.parse import (
    DTLS_ROLES,
    DTLS_STATES,
    FINGERPRINT_ALGORITHMS,
    ICE_STATES,
    PROTOCOLS,
)
from kcs_sfu.mediasoup.read import read_base_sctp, read_tuple
from kcs_sfu.mediasoup.templates import TEMPLATES, Values
from kcs_sfu.mediasoup.transport import Transport, TransportType
from kcs_sfu.mediasoup.transport_types import (
    DtlsParameters,
    DtlsRole,
    DtlsState,
    FingerprintAlgorithm,
    IceCandidate,
    IceParameters,
    IceRole,
    IceState,
    TransportProtocol,
    TransportTuple,
)

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.router import Router
    from kcs_sfu.mediasoup.webrtc_server import WebRtcServer


class WebRtcTransport(Transport):
    """Made by Router.create_webrtc_transport(). Send the client its ICE and DTLS parameters."""

    type: ClassVar[TransportType] = "webrtc"
    _dump_class = DumpResponseT
    _stats_class = GetStatsResponseT
    _stats_type = "webrtc-transport"

    def __init__(
        self,
        router: "Router",
        channel: "Channel",
        transport_id: TransportId,
        app_data: AppData | None,
        reply: Reply,
        server: "WebRtcServer | None",
    ) -> None:
        """`reply` is the worker's DumpResponse."""
        buf, pos = reply
        base, _, parameters, candidates, _, _, dtls, *_ = flat.slots(buf, pos)
        sctp = read_base_sctp(buf, flat.follow(buf, pos + base))
        super().__init__(router, channel, transport_id, app_data, sctp)
        self.ice_role: IceRole = "controlled"
        self.ice_parameters = _ice_parameters(buf, flat.follow(buf, pos + parameters))
        self.ice_candidates = [_candidate(buf, at) for at in flat.tables(buf, pos + candidates)]
        self.ice_state: IceState = "new"
        self.ice_selected_tuple: TransportTuple | None = None
        """The addresses that media flows over, once there are any."""
        self.dtls_parameters = _dtls_parameters(buf, flat.follow(buf, pos + dtls))
        self.dtls_state: DtlsState = "new"
        self.dtls_remote_cert: str | None = None
        """PEM, once connected."""
        self._server = server
        if server is not None:
            server._transports[transport_id] = self

    async def connect(self, *, dtls_parameters: DtlsParameters) -> None:
        """Gives the client's DTLS side, once. Raises InvalidRtp, RequestRejected."""
        self._check_open()
        method = Method.WEBRTCTRANSPORT_CONNECT
        try:
            role = DTLS_ROLES.index(dtls_parameters.get("role", "auto"))
            prints = dtls_parameters["fingerprints"]
            algorithms = tuple(FINGERPRINT_ALGORITHMS.index(p["algorithm"]) for p in prints)
            hashes = [p["value"].encode() for p in prints]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidRtp(f"invalid DTLS parameters: {error}") from error
        request_id = self._channel.next_id()

        def encode(v: Values) -> bytes:
            fingerprints = [
                build(FingerprintT, algorithm=algorithm, value=value.decode())
                for algorithm, value in zip(algorithms, v[2:], strict=True)
            ]
            return encode_request(
                int.from_bytes(v[0], "little"),
                method,
                v[1].decode(),
                Body.WebRtcTransport_ConnectRequest,
                build(
                    ConnectRequestT,
                    dtlsParameters=build(DtlsParametersT, fingerprints=fingerprints, role=role),
                ),
            )

        frame = TEMPLATES.render(
            (method, role, algorithms, tuple(map(len, hashes))),
            (request_id.to_bytes(4, "little"), self._raw_id, *hashes),
            encode,
        )
        buf, pos = await self._channel.send(request_id, method, frame)
        local_role = flat.slots(buf, pos)[0]
        self.dtls_parameters["role"] = cast(
            DtlsRole, DTLS_ROLES[buf[pos + local_role] if local_role else 0]
        )

    async def restart_ice(self) -> IceParameters:
        """New ICE credentials, for a client whose network changed."""
        buf, pos = await self._ask(Method.TRANSPORT_RESTART_ICE)
        self.ice_parameters = _ice_parameters(buf, pos)
        return self.ice_parameters

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.WEBRTCTRANSPORT_ICE_STATE_CHANGE:
            field = flat.slots(buf, pos)[0]
            self.ice_state = cast(IceState, ICE_STATES[buf[pos + field] if field else 0])
            self._emit(IceStateChange(self.ice_state))
        elif event == Event.WEBRTCTRANSPORT_ICE_SELECTED_TUPLE_CHANGE:
            selected = read_tuple(buf, flat.follow(buf, pos + flat.slots(buf, pos)[0]))
            self.ice_selected_tuple = selected
            self._emit(IceSelectedTupleChange(selected))
        elif event == Event.WEBRTCTRANSPORT_DTLS_STATE_CHANGE:
            state, cert, *_ = flat.slots(buf, pos)
            self.dtls_state = cast(DtlsState, DTLS_STATES[buf[pos + state] if state else 0])
            if self.dtls_state == "connected" and cert:
                self.dtls_remote_cert = flat.text(buf, pos + cert)
            self._emit(DtlsStateChange(self.dtls_state, self.dtls_remote_cert))
        else:
            super()._on_notification(event, buf, pos)

    def _listen_server_closed(self) -> None:
        if not self._closed:
            self._gone("listenserverclose")

    def _gone(self, reason: CloseReason) -> None:
        self.ice_state = self.dtls_state = "closed"
        self.ice_selected_tuple = None
        if self._server is not None:
            self._server._transports.pop(self.id, None)
        super()._gone(reason)


def _ice_parameters(buf: bytes, pos: int) -> IceParameters:
    fragment, password, lite, *_ = flat.slots(buf, pos)
    return {
        "usernameFragment": flat.text(buf, pos + fragment),
        "password": flat.text(buf, pos + password),
        # Its default is true, and mediasoup is always lite.
        "iceLite": bool(buf[pos + lite]) if lite else True,
    }


def _candidate(buf: bytes, pos: int) -> IceCandidate:
    foundation, priority, address, protocol, port, _, tcp_type, *_ = flat.slots(buf, pos)
    ip = flat.text(buf, pos + address)
    candidate: IceCandidate = {
        "foundation": flat.text(buf, pos + foundation),
        "priority": flat.u32(buf, pos + priority),
        "ip": ip,
        "address": ip,
        "protocol": cast(TransportProtocol, PROTOCOLS[buf[pos + protocol] if protocol else 1]),
        "port": flat.u16(buf, pos + port),
        "type": "host",
    }
    if tcp_type:
        candidate["tcpType"] = "passive"
    return candidate


def _dtls_parameters(buf: bytes, pos: int) -> DtlsParameters:
    prints, role, *_ = flat.slots(buf, pos)
    parameters: DtlsParameters = {
        "fingerprints": [],
        "role": cast(DtlsRole, DTLS_ROLES[buf[pos + role] if role else 0]),
    }
    for at in flat.tables(buf, pos + prints):
        algorithm, value, *_ = flat.slots(buf, at)
        name = FINGERPRINT_ALGORITHMS[buf[at + algorithm] if algorithm else 0]
        parameters["fingerprints"].append(
            {"algorithm": cast(FingerprintAlgorithm, name), "value": flat.text(buf, at + value)}
        )
    return parameters
