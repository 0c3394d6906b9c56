"""Where a transport or server listens, as the flatbuffer that the worker takes."""

from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.fbs.Transport.ListenInfo import ListenInfoT
from kcs_sfu.mediasoup.fbs.Transport.PortRange import PortRangeT
from kcs_sfu.mediasoup.fbs.Transport.SocketFlags import SocketFlagsT
from kcs_sfu.mediasoup.parse import PROTOCOLS
from kcs_sfu.mediasoup.transport_types import ListenInfo


def listen_info_to_fbs(info: ListenInfo) -> ListenInfoT:
    """Absent keys take the worker's defaults."""
    ports = info.get("portRange", {"min": 0, "max": 0})
    flags = info.get("flags", {})
    return build(
        ListenInfoT,
        protocol=PROTOCOLS.index(info["protocol"]),
        ip=info["ip"],
        announcedAddress=info.get("announcedAddress"),
        exposeInternalIp=info.get("exposeInternalIp", False),
        port=info.get("port", 0),
        portRange=build(PortRangeT, min=ports["min"], max=ports["max"]),
        flags=build(
            SocketFlagsT,
            ipv6Only=flags.get("ipv6Only", False),
            udpReusePort=flags.get("udpReusePort", False),
        ),
        sendBufferSize=info.get("sendBufferSize", 0),
        recvBufferSize=info.get("recvBufferSize", 0),
    )
