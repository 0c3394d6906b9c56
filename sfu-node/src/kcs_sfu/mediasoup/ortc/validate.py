"""Checks RTP and SCTP JSON from a client and fills in its defaults, in place.

Everything else in this package relies on what passes here. Which wrong values are refused and which
are replaced by a default is mediasoup's choice, kept as it is; sizes are bounded in `limits`.
"""

import re
from typing import cast

from kcs_sfu.mediasoup.errors import InvalidRtp
from kcs_sfu.mediasoup.ortc.limits import check_limits
from kcs_sfu.mediasoup.rtp_parameters import (
    MediaKind,
    RouterRtpCodecCapability,
    RtpCapabilities,
    RtpParameters,
    SctpStreamParameters,
)

_JsonObject = dict[str, object]
_MIME_TYPE = re.compile(r"(audio|video)/[\x20-\x7e]+", re.IGNORECASE | re.ASCII)


def validate_and_normalize_rtp_capabilities(caps: object) -> RtpCapabilities:
    """Return `caps` itself, with defaults filled in; raise InvalidRtp when it is malformed."""
    check_limits(caps)
    fields = _object(caps, "caps")
    for codec in _default_list(fields, "codecs", "caps"):
        _normalize_codec_capability(codec)
    for extension in _default_list(fields, "headerExtensions", "caps"):
        _normalize_header_extension(extension)
    return cast(RtpCapabilities, fields)


def validate_and_normalize_rtp_parameters(params: object) -> RtpParameters:
    """Return `params` itself, with defaults filled in; raise InvalidRtp when it is malformed."""
    check_limits(params)
    fields = _object(params, "params")
    codecs = fields.get("codecs")
    if not isinstance(codecs, list):
        raise InvalidRtp("missing params.codecs")
    for codec in codecs:
        _normalize_codec_parameters(codec)
    for extension in _default_list(fields, "headerExtensions", "params"):
        _normalize_header_extension_parameters(extension)
    for encoding in _default_list(fields, "encodings", "params"):
        _normalize_encoding(encoding)
    _optional_string(fields, "mid", "params")
    _optional_string(fields, "msid", "params")
    _normalize_rtcp(fields)
    return cast(RtpParameters, fields)


def validate_and_normalize_sctp_stream_parameters(params: object) -> SctpStreamParameters:
    """Return `params` itself, with `ordered` filled in; raise InvalidRtp when it is malformed."""
    check_limits(params)
    fields = _object(params, "params")
    _mandatory_number(fields, "streamId", "params")
    _optional_number(fields, "maxPacketLifeTime", "params")
    _optional_number(fields, "maxRetransmits", "params")
    ordered = fields.get("ordered")
    limits = [k for k in ("maxPacketLifeTime", "maxRetransmits") if fields.get(k)]
    if len(limits) == 2:
        raise InvalidRtp("cannot provide both maxPacketLifeTime and maxRetransmits")
    if ordered is True and limits:
        raise InvalidRtp("cannot be ordered with maxPacketLifeTime or maxRetransmits")
    if not isinstance(ordered, bool):
        fields["ordered"] = not limits
    return cast(SctpStreamParameters, fields)


def validate_and_normalize_router_codec(codec: object) -> RouterRtpCodecCapability:
    """As `validate_and_normalize_rtp_capabilities`, for one codec of a Router's configuration."""
    check_limits(codec)
    return cast(RouterRtpCodecCapability, _normalize_codec_capability(codec))


def _normalize_codec_capability(codec: object) -> _JsonObject:
    fields = _object(codec, "codec")
    fields["kind"] = _normalize_codec(fields)
    _optional_number(fields, "preferredPayloadType", "codec")
    return fields


def _normalize_codec_parameters(codec: object) -> None:
    fields = _object(codec, "codec")
    _mandatory_number(fields, "payloadType", "codec")
    _normalize_codec(fields)


def _normalize_codec(codec: _JsonObject) -> MediaKind:
    mime_type = codec.get("mimeType")
    if not isinstance(mime_type, str) or not _MIME_TYPE.fullmatch(mime_type):
        raise InvalidRtp("missing or invalid codec.mimeType")
    _mandatory_number(codec, "clockRate", "codec")
    kind: MediaKind = "audio" if mime_type[0] in "aA" else "video"
    if kind == "video":
        codec.pop("channels", None)
    elif not _is_number(codec.get("channels")):
        codec["channels"] = 1
    apt = _normalize_parameters(codec, "codec").get("apt", 0)
    if not _is_number(apt):
        raise InvalidRtp("invalid codec apt parameter")
    _normalize_rtcp_feedback(codec)
    return kind


def _normalize_parameters(fields: _JsonObject, what: str) -> _JsonObject:
    parameters = fields.get("parameters")
    if isinstance(parameters, list):
        raise InvalidRtp(f"{what}.parameters is an array")
    if not isinstance(parameters, dict):
        parameters = fields["parameters"] = {}
    for value in parameters.values():
        if not isinstance(value, str) and not _is_number(value):
            raise InvalidRtp(f"invalid {what} parameter: neither string nor number")
    return parameters


def _normalize_rtcp_feedback(codec: _JsonObject) -> None:
    feedback = codec.get("rtcpFeedback")
    if not isinstance(feedback, list):
        codec["rtcpFeedback"] = []
        return
    for entry in feedback:
        fields = _object(entry, "fb")
        _mandatory_string(fields, "type", "fb")
        if not isinstance(fields.get("parameter"), str):
            fields["parameter"] = ""


def _normalize_header_extension(extension: object) -> None:
    fields = _object(extension, "ext")
    if fields.get("kind") not in ("audio", "video"):
        raise InvalidRtp("invalid ext.kind")
    _mandatory_string(fields, "uri", "ext")
    _mandatory_number(fields, "preferredId", "ext")
    _default_false(fields, "preferredEncrypt", "ext")
    _optional_string(fields, "direction", "ext")
    if not fields.get("direction"):
        fields["direction"] = "sendrecv"


def _normalize_header_extension_parameters(extension: object) -> None:
    fields = _object(extension, "ext")
    _mandatory_string(fields, "uri", "ext")
    _mandatory_number(fields, "id", "ext")
    _default_false(fields, "encrypt", "ext")
    _normalize_parameters(fields, "ext")


def _normalize_encoding(encoding: object) -> None:
    fields = _object(encoding, "encoding")
    for key in ("ssrc", "codecPayloadType", "maxBitrate"):
        _optional_number(fields, key, "encoding")
    _optional_string(fields, "rid", "encoding")
    _optional_string(fields, "scalabilityMode", "encoding")
    rtx = fields.get("rtx")
    if _is_truthy(rtx):
        _mandatory_number(_object(rtx, "encoding.rtx"), "ssrc", "encoding.rtx")
    else:
        fields.pop("rtx", None)
    fields["dtx"] = fields.get("dtx") is True


def _normalize_rtcp(params: _JsonObject) -> None:
    if not _is_truthy(params.get("rtcp")):
        params["rtcp"] = {}
    rtcp = _object(params["rtcp"], "params.rtcp")
    _optional_string(rtcp, "cname", "rtcp")
    rtcp["reducedSize"] = True  # mediasoup's worker knows nothing else


def _object(value: object, what: str) -> _JsonObject:
    if not isinstance(value, dict):
        raise InvalidRtp(f"{what} is not an object")
    return value


def _default_list(fields: _JsonObject, key: str, what: str) -> list[object]:
    value = fields.get(key)
    if isinstance(value, list):
        return value
    if _is_truthy(value):
        raise InvalidRtp(f"{what}.{key} is not an array")
    empty: list[object] = []
    fields[key] = empty
    return empty


def _default_false(fields: _JsonObject, key: str, what: str) -> None:
    value = fields.get(key)
    if not isinstance(value, bool):
        if _is_truthy(value):
            raise InvalidRtp(f"invalid {what}.{key}")
        fields[key] = False


def _mandatory_number(fields: _JsonObject, key: str, what: str) -> None:
    if not _is_number(fields.get(key)):
        raise InvalidRtp(f"missing {what}.{key}")


def _mandatory_string(fields: _JsonObject, key: str, what: str) -> None:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRtp(f"missing {what}.{key}")


def _optional_number(fields: _JsonObject, key: str, what: str) -> None:
    if not _is_number(fields.get(key)):
        _drop_or_refuse(fields, key, what)


def _optional_string(fields: _JsonObject, key: str, what: str) -> None:
    if not isinstance(fields.get(key), str):
        _drop_or_refuse(fields, key, what)


def _drop_or_refuse(fields: _JsonObject, key: str, what: str) -> None:
    """JavaScript clients send null, false, 0 or "" for "not given"; nobody may see those later."""
    if _is_truthy(fields.pop(key, None)):
        raise InvalidRtp(f"invalid {what}.{key}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_truthy(value: object) -> bool:
    """As JavaScript sees it: an empty array or object is truthy."""
    return bool(value) or isinstance(value, list | dict)
