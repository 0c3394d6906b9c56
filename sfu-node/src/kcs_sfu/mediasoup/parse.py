"""Answers of the worker as mediasoup's JSON: flatc's objects as dictionaries with camelCase keys.

For what is rare (dumps, statistics, traces). Enums become mediasoup's words, absent values are left
out, and what mediasoup nests differently than the schema is set right by the small functions below.
Source: mediasoup 3.27.1, the `parse...` functions of `Transport.ts`, `WebRtcTransport.ts`,
`rtpParametersFbsUtils.ts`, `rtpStreamStatsFbsUtils.ts`, `sctpParametersFbsUtils.ts`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kcs_sfu.mediasoup.rtp_fbs import HEADER_EXTENSION_URIS, KINDS, RTP_TYPES

Json = dict[str, Any]

PROTOCOLS = ("", "udp", "tcp")
ICE_STATES = ("new", "connected", "completed", "disconnected")
ICE_ROLES = ("controlled", "controlling")
DTLS_STATES = ("new", "connecting", "connected", "failed", "closed")
DTLS_ROLES = ("auto", "client", "server")
SCTP_STATES = ("new", "connecting", "connected", "failed", "closed")
FINGERPRINT_ALGORITHMS = ("sha-1", "sha-224", "sha-256", "sha-384", "sha-512")
CRYPTO_SUITES = (
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
)
DATA_TYPES = ("sctp", "direct")
DIRECTIONS = ("in", "out")
BWE_TYPES = ("transport-cc", "remb")
TRANSPORT_TRACES = ("probation", "bwe")
STREAM_TRACES = ("keyframe", "fir", "nack", "pli", "rtp", "sr")
"""Of producers; consumers have the same but the last."""

_WORDS = {
    "protocol": PROTOCOLS,
    "iceState": ICE_STATES,
    "iceRole": ICE_ROLES,
    "dtlsState": DTLS_STATES,
    "sctpState": SCTP_STATES,
    "algorithm": FINGERPRINT_ALGORITHMS,
    "cryptoSuite": CRYPTO_SUITES,
    "kind": KINDS,
    "direction": DIRECTIONS,
    "bweType": BWE_TYPES,
    "uri": HEADER_EXTENSION_URIS,
    "role": DTLS_ROLES,
    "tcpType": ("passive",),
}
"""Enums by the name of the field that holds them, where the name says enough."""

_TYPED_BY_CALLER = {"type", "traceEventTypes"}
"""Fields whose enum depends on whose they are."""


def plain(value: Any, **words: tuple[str, ...]) -> Any:
    """A value of flatc's object API as JSON; `words` are the enums of ambiguous fields by name."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if hasattr(value, "__dict__"):
        return {
            name: _field(name, field, words)
            for name, field in vars(value).items()
            if field is not None
        }
    return [plain(item, **words) for item in value]


def _word(name: str, value: int, words: Mapping[str, tuple[str, ...]]) -> Any:
    known = words.get(name) if name in _TYPED_BY_CALLER else _WORDS.get(name)
    return value if known is None or isinstance(value, bool) else known[value]


def _field(name: str, value: Any, words: Mapping[str, tuple[str, ...]]) -> Any:
    if isinstance(value, int):
        return _word(name, value, words)
    if name in _FIXES:
        return _FIXES[name](value)
    if name == "traceEventTypes":
        return [words[name][item] for item in value]
    return plain(value, **words)


def tuple_json(value: Any) -> Json:
    """A TransportTuple."""
    parsed: Json = plain(value)
    return {"localIp": parsed["localAddress"], **parsed}


def sctp_parameters_json(value: Any) -> Json:
    """SctpParameters, with the keys that older clients read."""
    parsed: Json = plain(value)
    return {**parsed, "OS": 65535, "MIS": 65535, "maxMessageSize": parsed["maxReceiveMessageSize"]}


def _candidate(value: Any) -> Json:
    parsed: Json = plain(value)
    return {**parsed, "ip": parsed["address"], "type": "host"}


def _parameters(value: Any) -> Json:
    return {parameter.name.decode(): plain(parameter.value.value) for parameter in value}


_FIXES: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple_json,
    "rtcpTuple": tuple_json,
    "iceSelectedTuple": tuple_json,
    "sctpParameters": sctp_parameters_json,
    "iceCandidates": lambda value: [_candidate(item) for item in value],
    "parameters": _parameters,
}


def transport_json(value: Any) -> Json:
    """A transport's dump or stats: the base's keys and its own in one dictionary."""
    own: Json = plain(value, traceEventTypes=TRANSPORT_TRACES)
    base: Json = own.pop("base")
    return {**base, **own}


def stream_stats_json(stats: Any) -> Json:
    """Statistics of one RTP stream of a producer (`inbound-rtp`) or consumer (`outbound-rtp`)."""
    own = stats.data
    parsed: Json = {**plain(own.base.data), **{k: v for k, v in vars(own).items() if k != "base"}}
    if not parsed.get("rid"):
        parsed.pop("rid", None)
    if "bitrateByLayer" not in parsed:
        return {**parsed, "type": "outbound-rtp"}
    parsed["bitrateByLayer"] = {
        layer.layer.decode(): layer.bitrate for layer in parsed["bitrateByLayer"] or []
    }
    return {**parsed, "type": "inbound-rtp"}


def stream_dump_json(value: Any) -> Json:
    """A producer's dump, or the one half of a consumer's."""
    parsed: Json = plain(value, type=RTP_TYPES, traceEventTypes=STREAM_TRACES)
    return parsed
