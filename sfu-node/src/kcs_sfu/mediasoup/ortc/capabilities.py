"""Capabilities: what a Router offers, and whether an endpoint can receive a producer."""

from collections.abc import Sequence

from kcs_sfu.mediasoup.errors import InvalidRtp, UnsupportedError
from kcs_sfu.mediasoup.ortc.matching import is_rtx_codec, match_codecs
from kcs_sfu.mediasoup.ortc.validate import (
    validate_and_normalize_router_codec,
    validate_and_normalize_rtp_capabilities,
)
from kcs_sfu.mediasoup.rtp_parameters import (
    RouterRtpCodecCapability,
    RtpCapabilities,
    RtpCodecCapability,
    RtpParameters,
)
from kcs_sfu.mediasoup.supported_rtp_capabilities import (
    supported_codecs,
    supported_header_extensions,
)

_DYNAMIC_PAYLOAD_TYPES = (*range(100, 128), 96, 97, 98, 99)


def generate_router_rtp_capabilities(
    media_codecs: Sequence[RouterRtpCodecCapability] = (),
) -> RtpCapabilities:
    """The capabilities of a Router configured with `media_codecs`: those, RTX, all extensions.

    Payload types that are not given are chosen from the dynamic range. Raises InvalidRtp for a
    malformed codec or a payload type used twice, UnsupportedError for a codec that mediasoup does
    not have and when the payload types run out.
    """
    if not isinstance(media_codecs, list | tuple):
        raise InvalidRtp("media_codecs must be a list")
    free = list(_DYNAMIC_PAYLOAD_TYPES)
    codecs: list[RtpCodecCapability] = []
    for media_codec in media_codecs:
        codec = _router_codec(validate_and_normalize_router_codec(media_codec), free)
        if any(c["preferredPayloadType"] == codec["preferredPayloadType"] for c in codecs):
            raise InvalidRtp("duplicated codec.preferredPayloadType")
        codecs.append(codec)
        if codec["kind"] == "video":
            codecs.append(_rtx_codec(codec, _take(free)))
    return {"codecs": codecs, "headerExtensions": supported_header_extensions()}


def can_consume(consumable_params: RtpParameters, caps: object) -> bool:
    """Whether an endpoint with `caps` (normalised in place) has a media codec of this producer.

    Raises InvalidRtp when `caps` is malformed.
    """
    capabilities = validate_and_normalize_rtp_capabilities(caps)
    for codec in consumable_params["codecs"]:
        if any(match_codecs(cap, codec, strict=True) for cap in capabilities["codecs"]):
            return not is_rtx_codec(codec)
    return False


def _router_codec(media_codec: RouterRtpCodecCapability, free: list[int]) -> RtpCodecCapability:
    """The supported codec that `media_codec` asks for, with its payload type and parameters."""
    supported = next((c for c in supported_codecs() if match_codecs(media_codec, c)), None)
    if supported is None:
        raise UnsupportedError(f"media codec not supported: {media_codec['mimeType']}")
    payload_type = media_codec.get("preferredPayloadType")
    if payload_type is None:
        payload_type = supported.get("preferredPayloadType")
    if payload_type is None:
        payload_type = _take(free)
    elif payload_type in free:
        free.remove(payload_type)
    codec: RtpCodecCapability = {
        "kind": supported["kind"],
        "mimeType": supported["mimeType"],
        "preferredPayloadType": payload_type,
        "clockRate": supported["clockRate"],
        "parameters": {**supported["parameters"], **media_codec["parameters"]},
        "rtcpFeedback": supported["rtcpFeedback"],
    }
    if "channels" in supported:
        codec["channels"] = supported["channels"]
    return codec


def _rtx_codec(codec: RtpCodecCapability, payload_type: int) -> RtpCodecCapability:
    return {
        "kind": codec["kind"],
        "mimeType": f"{codec['kind']}/rtx",
        "preferredPayloadType": payload_type,
        "clockRate": codec["clockRate"],
        "parameters": {"apt": codec["preferredPayloadType"]},
        "rtcpFeedback": [],
    }


def _take(free: list[int]) -> int:
    if not free:
        raise UnsupportedError("cannot allocate more dynamic codec payload types")
    return free.pop(0)
