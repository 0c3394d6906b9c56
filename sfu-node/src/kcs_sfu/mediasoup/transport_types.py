"""The JSON of transports: what a client needs to connect, and where a transport listens.

TypedDicts with mediasoup's own camelCase keys, because they travel to browsers as they are. Absent
keys are left out, never None. Source: mediasoup 3.27.1, `TransportTypes.ts` and
`WebRtcTransportTypes.ts`.
"""

from typing import Literal, NotRequired, TypedDict

TransportProtocol = Literal["udp", "tcp"]
IceRole = Literal["controlled", "controlling"]
IceState = Literal["new", "connected", "completed", "disconnected", "closed"]
DtlsRole = Literal["auto", "client", "server"]
DtlsState = Literal["new", "connecting", "connected", "failed", "closed"]
SctpState = Literal["new", "connecting", "connected", "failed", "closed"]
FingerprintAlgorithm = Literal["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"]


class PortRange(TypedDict):
    """Ports to choose from, both ends included; 0 to 0 is the worker's default range."""

    min: int
    max: int


class SocketFlags(TypedDict, total=False):
    """Options of a listening socket."""

    ipv6Only: bool
    udpReusePort: bool


class ListenInfo(TypedDict):
    """An address to listen on."""

    protocol: TransportProtocol
    ip: str
    announcedAddress: NotRequired[str]
    """IP or host name that clients are told instead of `ip`."""
    exposeInternalIp: NotRequired[bool]
    port: NotRequired[int]
    """0 or absent: one of `portRange`."""
    portRange: NotRequired[PortRange]
    flags: NotRequired[SocketFlags]
    sendBufferSize: NotRequired[int]
    """In bytes; 0 or absent: the system's."""
    recvBufferSize: NotRequired[int]


class IceParameters(TypedDict):
    """ICE credentials of a transport."""

    usernameFragment: str
    password: str
    iceLite: bool


class IceCandidate(TypedDict):
    """An address where a client can reach a transport."""

    foundation: str
    priority: int
    ip: str
    """The same as `address`; older clients read this one."""
    address: str
    protocol: TransportProtocol
    port: int
    type: Literal["host"]
    tcpType: NotRequired[Literal["passive"]]


class DtlsFingerprint(TypedDict):
    """Hash of a certificate, in upper case hex with colons."""

    algorithm: FingerprintAlgorithm
    value: str


class DtlsParameters(TypedDict):
    """One side of a DTLS handshake."""

    role: NotRequired[DtlsRole]
    fingerprints: list[DtlsFingerprint]


class TransportTuple(TypedDict):
    """The two ends of a flow."""

    localIp: str
    """The same as `localAddress`; older code reads this one."""
    localAddress: str
    localPort: int
    remoteIp: NotRequired[str]
    remotePort: NotRequired[int]
    protocol: TransportProtocol
