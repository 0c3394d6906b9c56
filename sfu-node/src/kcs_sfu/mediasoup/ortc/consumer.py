"""What one consumer receives of a producer: by its capabilities, or everything through a pipe."""

from collections.abc import Iterator

from kcs_sfu.mediasoup.errors import UnsupportedError
from kcs_sfu.mediasoup.ortc.matching import is_rtx_codec, match_codecs
from kcs_sfu.mediasoup.ortc.ssrc import RandomSsrc, random_ssrc
from kcs_sfu.mediasoup.rtp_parameters import (
    RtcpFeedback,
    RtpCapabilities,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
)
from kcs_sfu.mediasoup.scalability_modes import parse_scalability_mode
from kcs_sfu.mediasoup.supported_rtp_capabilities import (
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    MID,
    TRANSPORT_WIDE_CC,
    supported_header_extensions,
)

# Its id is the same in every Router.
_DEPENDENCY_DESCRIPTOR: RtpHeaderExtensionParameters = {
    "uri": DEPENDENCY_DESCRIPTOR,
    "id": next(
        extension["preferredId"]
        for extension in supported_header_extensions()
        if extension["uri"] == DEPENDENCY_DESCRIPTOR
    ),
    "encrypt": False,
    "parameters": {},
}


def get_consumer_rtp_parameters(
    *,
    consumable_rtp_parameters: RtpParameters,
    remote_rtp_capabilities: RtpCapabilities,
    pipe: bool = False,
    enable_rtx: bool = True,
    random_ssrc: RandomSsrc = random_ssrc,
) -> RtpParameters:
    """The codecs, feedback and extensions that the consumer has too, and one encoding.

    `remote_rtp_capabilities` must come from `validate_and_normalize_rtp_capabilities`. With `pipe`,
    all encodings are kept. Raises UnsupportedError when no media codec is left. `mid` is the
    transport's to add.
    """
    extensions = _common_extensions(consumable_rtp_parameters, remote_rtp_capabilities)
    codecs = _with_useful_rtx(
        [
            {**codec, "rtcpFeedback": _keep_feedback(feedback, extensions, enable_rtx)}
            for codec, feedback in _common_codecs(
                consumable_rtp_parameters, remote_rtp_capabilities, enable_rtx
            )
        ]
    )
    if not codecs or is_rtx_codec(codecs[0]):
        raise UnsupportedError("no compatible media codecs")
    rtx = any(is_rtx_codec(codec) for codec in codecs)
    encodings = consumable_rtp_parameters["encodings"]
    if pipe:
        encodings = _pipe_encodings(encodings, random_ssrc, rtx=rtx)
    else:
        encodings = [_single_encoding(encodings, random_ssrc(), rtx=rtx)]
    return _parameters(consumable_rtp_parameters, codecs, extensions, encodings)


def get_pipe_consumer_rtp_parameters(
    *,
    consumable_rtp_parameters: RtpParameters,
    enable_rtx: bool,
    random_ssrc: RandomSsrc = random_ssrc,
) -> RtpParameters:
    """Everything, for a PipeTransport: all encodings, no bandwidth estimation.

    Without `enable_rtx`, RTX and NACK go as well.
    """
    wanted = {("nack", "pli"), ("ccm", "fir")} | ({("nack", "")} if enable_rtx else set())
    codecs: list[RtpCodecParameters] = [
        {
            **codec,
            "rtcpFeedback": [
                fb for fb in codec["rtcpFeedback"] if (fb["type"], fb["parameter"]) in wanted
            ],
        }
        for codec in consumable_rtp_parameters["codecs"]
        if enable_rtx or not is_rtx_codec(codec)
    ]
    extensions = [
        extension
        for extension in consumable_rtp_parameters["headerExtensions"]
        if extension["uri"] not in (MID, ABS_SEND_TIME, TRANSPORT_WIDE_CC)
    ]
    # The worker receives the dependency descriptor but announces it to nobody (`recvonly`), so
    # consumable parameters lack it; a pipe needs it all the same.
    extensions.append(_DEPENDENCY_DESCRIPTOR)
    extensions.sort(key=lambda extension: extension["id"])
    encodings = _pipe_encodings(consumable_rtp_parameters["encodings"], random_ssrc, rtx=enable_rtx)
    return _parameters(consumable_rtp_parameters, codecs, extensions, encodings)


def _parameters(
    consumable: RtpParameters,
    codecs: list[RtpCodecParameters],
    extensions: list[RtpHeaderExtensionParameters],
    encodings: list[RtpEncodingParameters],
) -> RtpParameters:
    params: RtpParameters = {
        "codecs": codecs,
        "headerExtensions": extensions,
        "encodings": encodings,
        "rtcp": consumable["rtcp"],
    }
    if "msid" in consumable:
        params["msid"] = consumable["msid"]
    return params


def _common_codecs(
    consumable: RtpParameters, caps: RtpCapabilities, enable_rtx: bool
) -> Iterator[tuple[RtpCodecParameters, list[RtcpFeedback]]]:
    """The producer's codecs that the consumer has, with the consumer's feedback for each."""
    for codec in consumable["codecs"]:
        if not enable_rtx and is_rtx_codec(codec):
            continue
        for cap_codec in caps["codecs"]:
            if match_codecs(cap_codec, codec, strict=True):
                yield codec, cap_codec["rtcpFeedback"]
                break


def _with_useful_rtx(codecs: list[RtpCodecParameters]) -> list[RtpCodecParameters]:
    """Without the RTX codecs whose media codec the consumer lacks."""
    payload_types = {codec["payloadType"] for codec in codecs}
    return [
        codec
        for codec in codecs
        if not is_rtx_codec(codec) or codec["parameters"].get("apt") in payload_types
    ]


def _common_extensions(
    consumable: RtpParameters, caps: RtpCapabilities
) -> list[RtpHeaderExtensionParameters]:
    known = {(ext["preferredId"], ext["uri"]) for ext in caps["headerExtensions"]}
    return [ext for ext in consumable["headerExtensions"] if (ext["id"], ext["uri"]) in known]


def _keep_feedback(
    feedback: list[RtcpFeedback], extensions: list[RtpHeaderExtensionParameters], enable_rtx: bool
) -> list[RtcpFeedback]:
    """Transport-CC where its extension is there, else REMB with abs-send-time, else neither."""
    uris = {extension["uri"] for extension in extensions}
    if TRANSPORT_WIDE_CC in uris:
        unwanted: tuple[str, ...] = ("goog-remb",)
    elif ABS_SEND_TIME in uris:
        unwanted = ("transport-cc",)
    else:
        unwanted = ("goog-remb", "transport-cc")
    return [
        fb
        for fb in feedback
        if fb["type"] not in unwanted and (enable_rtx or fb["type"] != "nack" or fb["parameter"])
    ]


def _single_encoding(
    encodings: list[RtpEncodingParameters], ssrc: int, *, rtx: bool
) -> RtpEncodingParameters:
    """One stream that stands for all `encodings`: simulcast layers become spatial layers."""
    encoding: RtpEncodingParameters = {"ssrc": ssrc}
    if rtx:
        encoding["rtx"] = {"ssrc": ssrc + 1}
    modes = (e.get("scalabilityMode") for e in encodings)
    mode = next((mode for mode in modes if mode), None)
    if len(encodings) > 1:
        mode = f"L{len(encodings)}T{parse_scalability_mode(mode).temporal_layers}"
    if mode:
        encoding["scalabilityMode"] = mode
    max_bitrate = max((e.get("maxBitrate", 0) for e in encodings), default=0)
    if max_bitrate:
        encoding["maxBitrate"] = max_bitrate
    return encoding


def _pipe_encodings(
    encodings: list[RtpEncodingParameters], random_ssrc: RandomSsrc, *, rtx: bool
) -> list[RtpEncodingParameters]:
    """All `encodings` (consumable ones, so without RTX) under new, consecutive SSRCs."""
    ssrc, rtx_ssrc = random_ssrc(), random_ssrc()
    piped = []
    for index, encoding in enumerate(encodings):
        copy: RtpEncodingParameters = {**encoding, "ssrc": ssrc + index}
        if rtx:
            copy["rtx"] = {"ssrc": rtx_ssrc + index}
        piped.append(copy)
    return piped
