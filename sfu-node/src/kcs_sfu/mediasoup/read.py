"""Reads, fast, what answers and notifications of several transports share (`transport.fbs`)."""

from typing import cast

from kcs_sfu.mediasoup import flat
from kcs_sfu.mediasoup.parse import CRYPTO_SUITES, PROTOCOLS
from kcs_sfu.mediasoup.rtp_parameters import SctpParameters, SrtpCryptoSuite, SrtpParameters
from kcs_sfu.mediasoup.transport_types import TransportProtocol, TransportTuple

_SCTP_PARAMETERS_SLOT = 12
"""Of the table `Dump` that all transports' dumps begin with."""


def read_tuple(buf: bytes, pos: int) -> TransportTuple:
    """The table `Tuple` at `pos`."""
    address, local_port, remote_ip, remote_port, protocol, *_ = flat.slots(buf, pos)
    local = flat.text(buf, pos + address)
    parsed: TransportTuple = {
        "localIp": local,
        "localAddress": local,
        "localPort": flat.u16(buf, pos + local_port) if local_port else 0,
        "protocol": cast(TransportProtocol, PROTOCOLS[buf[pos + protocol] if protocol else 1]),
    }
    if remote_ip:
        parsed["remoteIp"] = flat.text(buf, pos + remote_ip)
        parsed["remotePort"] = flat.u16(buf, pos + remote_port) if remote_port else 0
    return parsed


def read_base_sctp(buf: bytes, pos: int) -> SctpParameters | None:
    """The SCTP parameters in the table `Dump` at `pos`; None without SCTP."""
    field = flat.slots(buf, pos)[_SCTP_PARAMETERS_SLOT]
    if not field:
        return None
    at = flat.follow(buf, pos + field)
    port, *sizes, channel = flat.slots(buf, at)[:7]
    send, receive, buffer, queue, window = (flat.u32(buf, at + s) if s else 0 for s in sizes)
    return {
        "port": flat.u16(buf, at + port) if port else 0,
        "maxSendMessageSize": send,
        "maxReceiveMessageSize": receive,
        "sendBufferSize": buffer,
        "perStreamSendQueueLimit": queue,
        "maxReceiverWindowBufferSize": window,
        "isDataChannel": bool(channel and buf[at + channel]),
        # For clients that know older versions of mediasoup, as Node's mediasoup does.
        "OS": 65535,
        "MIS": 65535,
        "maxMessageSize": receive,
    }


def read_srtp(buf: bytes, pos: int) -> SrtpParameters:
    """The table `SrtpParameters` at `pos`."""
    suite, key, *_ = flat.slots(buf, pos)
    return {
        "cryptoSuite": cast(SrtpCryptoSuite, CRYPTO_SUITES[buf[pos + suite] if suite else 0]),
        "keyBase64": flat.text(buf, pos + key),
    }
