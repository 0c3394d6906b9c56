"""RTP parameters as the flatbuffers that the worker takes (`rtpParameters.fbs`).

Source: mediasoup 3.27.1, `rtpParametersFbsUtils.ts`.
"""

from collections.abc import Mapping

from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.errors import InvalidRtp
from kcs_sfu.mediasoup.fbs.RtpParameters.Boolean import BooleanT
from kcs_sfu.mediasoup.fbs.RtpParameters.CodecMapping import CodecMappingT
from kcs_sfu.mediasoup.fbs.RtpParameters.Double import DoubleT
from kcs_sfu.mediasoup.fbs.RtpParameters.EncodingMapping import EncodingMappingT
from kcs_sfu.mediasoup.fbs.RtpParameters.Integer32 import Integer32T
from kcs_sfu.mediasoup.fbs.RtpParameters.Integer32Array import Integer32ArrayT
from kcs_sfu.mediasoup.fbs.RtpParameters.Parameter import ParameterT
from kcs_sfu.mediasoup.fbs.RtpParameters.RtcpFeedback import RtcpFeedbackT
from kcs_sfu.mediasoup.fbs.RtpParameters.RtcpParameters import RtcpParametersT
from kcs_sfu.mediasoup.fbs.RtpParameters.RtpCodecParameters import RtpCodecParametersT
from kcs_sfu.mediasoup.fbs.RtpParameters.RtpEncodingParameters import RtpEncodingParametersT
from kcs_sfu.mediasoup.fbs.RtpParameters.RtpHeaderExtensionParameters import (
    RtpHeaderExtensionParametersT,
)
from kcs_sfu.mediasoup.fbs.RtpParameters.RtpMapping import RtpMappingT
from kcs_sfu.mediasoup.fbs.RtpParameters.RtpParameters import RtpParametersT
from kcs_sfu.mediasoup.fbs.RtpParameters.Rtx import RtxT
from kcs_sfu.mediasoup.fbs.RtpParameters.String import StringT
from kcs_sfu.mediasoup.fbs.RtpParameters.Value import Value
from kcs_sfu.mediasoup.rtp_parameters import (
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpMapping,
    RtpParameters,
)

HEADER_EXTENSION_URIS = (
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    "urn:3gpp:video-orientation",
    "urn:ietf:params:rtp-hdrext:toffset",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    "urn:mediasoup:params:rtp-hdrext:packet-id",
)
"""In the order of the enum `RtpHeaderExtensionUri`."""

KINDS = ("audio", "video")
"""In the order of the enum `MediaKind`."""

RTP_TYPES = ("simple", "simulcast", "svc", "pipe")
"""In the order of the enum `Type`."""


def rtp_parameters_to_fbs(params: RtpParameters) -> RtpParametersT:
    """Raises InvalidRtp for what has no place in the schema."""
    rtcp = params.get("rtcp", {})
    return build(
        RtpParametersT,
        mid=params.get("mid"),
        codecs=[_codec(codec) for codec in params["codecs"]],
        headerExtensions=[_extension(ext) for ext in params.get("headerExtensions", [])],
        encodings=[encoding_to_fbs(encoding) for encoding in params.get("encodings", [])],
        rtcp=build(
            RtcpParametersT,
            cname=rtcp.get("cname"),
            reducedSize=bool(rtcp.get("reducedSize", not rtcp)),
        ),
        msid=params.get("msid"),
    )


def encoding_to_fbs(encoding: RtpEncodingParameters) -> RtpEncodingParametersT:
    """One encoding; absent and zero are the same, as in mediasoup."""
    rtx = encoding.get("rtx")
    return build(
        RtpEncodingParametersT,
        ssrc=encoding.get("ssrc") or None,
        rid=encoding.get("rid"),
        codecPayloadType=encoding.get("codecPayloadType") or None,
        rtx=build(RtxT, ssrc=rtx["ssrc"]) if rtx else None,
        dtx=bool(encoding.get("dtx")),
        scalabilityMode=encoding.get("scalabilityMode") or None,
        maxBitrate=encoding.get("maxBitrate"),
    )


def rtp_mapping_to_fbs(mapping: RtpMapping) -> RtpMappingT:
    """What `ortc.get_producer_rtp_parameters_mapping` found."""
    return build(
        RtpMappingT,
        codecs=[
            build(
                CodecMappingT,
                payloadType=codec["payloadType"],
                mappedPayloadType=codec["mappedPayloadType"],
            )
            for codec in mapping["codecs"]
        ],
        encodings=[
            build(
                EncodingMappingT,
                rid=encoding.get("rid"),
                ssrc=encoding.get("ssrc"),
                mappedSsrc=encoding["mappedSsrc"],
            )
            for encoding in mapping["encodings"]
        ],
    )


def _codec(codec: RtpCodecParameters) -> RtpCodecParametersT:
    return build(
        RtpCodecParametersT,
        mimeType=codec["mimeType"],
        payloadType=codec["payloadType"],
        clockRate=codec["clockRate"],
        channels=codec.get("channels"),
        parameters=_parameters(codec.get("parameters", {})),
        rtcpFeedback=[
            build(RtcpFeedbackT, type=feedback["type"], parameter=feedback.get("parameter"))
            for feedback in codec.get("rtcpFeedback", [])
        ],
    )


def _extension(extension: RtpHeaderExtensionParameters) -> RtpHeaderExtensionParametersT:
    try:
        uri = HEADER_EXTENSION_URIS.index(extension["uri"])
    except ValueError:
        raise InvalidRtp(f"unknown header extension {extension['uri']!r}") from None
    return build(
        RtpHeaderExtensionParametersT,
        uri=uri,
        id=extension["id"],
        encrypt=bool(extension.get("encrypt")),
        parameters=_parameters(extension.get("parameters", {})),
    )


def _parameters(parameters: Mapping[str, object]) -> list[ParameterT]:
    return [_parameter(name, value) for name, value in parameters.items()]


def _parameter(name: str, value: object) -> ParameterT:
    kind, holder = _value(name, value)
    return build(ParameterT, name=name, valueType=kind, value=holder)


def _value(name: str, value: object) -> tuple[int, object]:
    if isinstance(value, bool):
        return Value.Boolean, build(BooleanT, value=int(value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a browser's JSON may say 1.0
    if isinstance(value, int):
        return Value.Integer32, build(Integer32T, value=value)
    if isinstance(value, float):
        return Value.Double, build(DoubleT, value=value)
    if isinstance(value, str):
        return Value.String, build(StringT, value=value)
    if isinstance(value, list):
        return Value.Integer32Array, build(Integer32ArrayT, value=value)
    raise InvalidRtp(f"parameter {name!r} has a value of an unknown type: {value!r}")
