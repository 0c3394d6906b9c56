"""A producer in the Router's terms: payload types and SSRCs mapped, then described again.

Both functions take parameters that `validate_and_normalize_rtp_parameters` returned and a Router's
own capabilities.
"""

from kcs_sfu.mediasoup.errors import InvalidRtp, UnsupportedError
from kcs_sfu.mediasoup.ortc.matching import is_rtx_codec, match_codecs
from kcs_sfu.mediasoup.ortc.ssrc import RandomSsrc, random_ssrc
from kcs_sfu.mediasoup.rtp_parameters import (
    EncodingMapping,
    MediaKind,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpMapping,
    RtpParameters,
)
from kcs_sfu.mediasoup.supported_rtp_capabilities import ABS_CAPTURE_TIME


def get_producer_rtp_parameters_mapping(
    params: RtpParameters, caps: RtpCapabilities, *, random_ssrc: RandomSsrc = random_ssrc
) -> RtpMapping:
    """Map the payload types of `params` onto the Router's `caps`, and each encoding to a new SSRC.

    Writes the negotiated H.264 `profile-level-id` into `params`. Raises UnsupportedError for a
    codec that the Router lacks, InvalidRtp for an RTX codec without its media codec.
    """
    codecs = params["codecs"]
    matched: dict[int, RtpCodecCapability] = {}  # by position in `codecs`
    for index, codec in enumerate(codecs):
        if not is_rtx_codec(codec):
            matched[index] = _router_media_codec(codec, caps)
    for index, codec in enumerate(codecs):
        if is_rtx_codec(codec):
            matched[index] = _router_rtx_codec(codec, codecs, matched, caps)
    ssrc = random_ssrc()
    return {
        "codecs": [
            {
                "payloadType": codecs[index]["payloadType"],
                "mappedPayloadType": cap_codec["preferredPayloadType"],
            }
            for index, cap_codec in matched.items()
        ],
        "encodings": [
            _map_encoding(encoding, ssrc + index)
            for index, encoding in enumerate(params["encodings"])
        ],
    }


def get_consumable_rtp_parameters(
    kind: MediaKind, params: RtpParameters, caps: RtpCapabilities, rtp_mapping: RtpMapping
) -> RtpParameters:
    """The producer as consumers may see it: the Router's codecs and extensions, mapped SSRCs.

    `rtp_mapping` is what `get_producer_rtp_parameters_mapping` returned for the same arguments.
    """
    rtcp: RtcpParameters = {"reducedSize": True}
    if "cname" in params["rtcp"]:
        rtcp["cname"] = params["rtcp"]["cname"]
    consumable: RtpParameters = {
        "codecs": [
            consumable_codec
            for codec in params["codecs"]
            if not is_rtx_codec(codec)
            for consumable_codec in _consumable_codecs(codec, caps, rtp_mapping)
        ],
        "headerExtensions": _consumable_extensions(kind, params, caps),
        "encodings": [
            _consumable_encoding(encoding, mapping["mappedSsrc"])
            for encoding, mapping in zip(params["encodings"], rtp_mapping["encodings"], strict=True)
        ],
        "rtcp": rtcp,
    }
    if "msid" in params:
        consumable["msid"] = params["msid"]
    return consumable


def _router_media_codec(codec: RtpCodecParameters, caps: RtpCapabilities) -> RtpCodecCapability:
    for cap_codec in caps["codecs"]:
        if match_codecs(codec, cap_codec, strict=True, modify=True):
            return cap_codec
    raise UnsupportedError(
        f"unsupported codec: {codec['mimeType']}, payload type {codec['payloadType']}"
    )


def _router_rtx_codec(
    codec: RtpCodecParameters,
    codecs: list[RtpCodecParameters],
    matched: dict[int, RtpCodecCapability],
    caps: RtpCapabilities,
) -> RtpCodecCapability:
    """The Router's RTX codec for the media codec that `codec` retransmits."""
    apt = codec["parameters"].get("apt")
    media = next((i for i, c in enumerate(codecs) if c["payloadType"] == apt), None)
    if media is None or media not in matched:
        raise InvalidRtp(f"missing media codec for RTX payload type {codec['payloadType']}")
    rtx = _rtx_of(matched[media], caps)
    if rtx is None:
        raise UnsupportedError(
            f"the Router has no RTX for payload type {matched[media]['preferredPayloadType']}"
        )
    return rtx


def _rtx_of(media: RtpCodecCapability, caps: RtpCapabilities) -> RtpCodecCapability | None:
    for codec in caps["codecs"]:
        if is_rtx_codec(codec) and codec["parameters"].get("apt") == media["preferredPayloadType"]:
            return codec
    return None


def _map_encoding(encoding: RtpEncodingParameters, mapped_ssrc: int) -> EncodingMapping:
    mapping: EncodingMapping = {"mappedSsrc": mapped_ssrc}
    if "ssrc" in encoding:
        mapping["ssrc"] = encoding["ssrc"]
    if "rid" in encoding:
        mapping["rid"] = encoding["rid"]
    return mapping


def _consumable_codecs(
    codec: RtpCodecParameters, caps: RtpCapabilities, rtp_mapping: RtpMapping
) -> list[RtpCodecParameters]:
    """The Router's codec with the producer's parameters, and the Router's RTX for it if any."""
    payload_type = next(
        entry["mappedPayloadType"]
        for entry in rtp_mapping["codecs"]
        if entry["payloadType"] == codec["payloadType"]
    )
    media = next(c for c in caps["codecs"] if c["preferredPayloadType"] == payload_type)
    consumable = [_codec_parameters(media)]
    consumable[0]["parameters"] = codec["parameters"]
    rtx = _rtx_of(media, caps)
    if rtx is not None:
        consumable.append(_codec_parameters(rtx))
    return consumable


def _codec_parameters(capability: RtpCodecCapability) -> RtpCodecParameters:
    codec: RtpCodecParameters = {
        "mimeType": capability["mimeType"],
        "payloadType": capability["preferredPayloadType"],
        "clockRate": capability["clockRate"],
        "parameters": capability["parameters"],
        "rtcpFeedback": capability["rtcpFeedback"],
    }
    if "channels" in capability:
        codec["channels"] = capability["channels"]
    return codec


def _consumable_extensions(
    kind: MediaKind, params: RtpParameters, caps: RtpCapabilities
) -> list[RtpHeaderExtensionParameters]:
    """The Router's extensions that it can send for `kind`.

    The worker only relays abs-capture-time from the producer's packets: without it there, a
    consumer that negotiated it would wait for it for ever.
    """
    sent = {extension["uri"] for extension in params["headerExtensions"]}
    return [
        {
            "uri": extension["uri"],
            "id": extension["preferredId"],
            "encrypt": extension["preferredEncrypt"],
            "parameters": {},
        }
        for extension in caps["headerExtensions"]
        if extension["kind"] == kind
        and extension["direction"] in ("sendrecv", "sendonly")
        and (extension["uri"] != ABS_CAPTURE_TIME or ABS_CAPTURE_TIME in sent)
    ]


def _consumable_encoding(encoding: RtpEncodingParameters, ssrc: int) -> RtpEncodingParameters:
    consumable = encoding.copy()
    consumable.pop("rid", None)
    consumable.pop("rtx", None)
    consumable.pop("codecPayloadType", None)
    consumable["ssrc"] = ssrc
    return consumable
