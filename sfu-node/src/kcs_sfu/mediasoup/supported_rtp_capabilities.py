"""What the pinned mediasoup worker can do: the list that every Router's capabilities come from.

It must change together with the worker's version; `tests/kcs_sfu/test_ortc.py` compares it with the
list in mediasoup's own npm package. Source: mediasoup 3.27.1,
`node/src/supportedRtpCapabilities.ts`, already normalised.
"""

from typing import NamedTuple

from kcs_sfu.mediasoup.rtp_parameters import (
    CodecParameterValue,
    MediaKind,
    RouterRtpCodecCapability,
    RtcpFeedback,
    RtpHeaderExtension,
    RtpHeaderExtensionDirection,
)

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_WIDE_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
DEPENDENCY_DESCRIPTOR = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

_Feedback = tuple[tuple[str, str], ...]
_AUDIO_NACK: _Feedback = (("nack", ""), ("transport-cc", ""))
_AUDIO: _Feedback = (("transport-cc", ""),)
_VIDEO: _Feedback = (
    ("nack", ""),
    ("nack", "pli"),
    ("ccm", "fir"),
    ("goog-remb", ""),
    ("transport-cc", ""),
)


class _Codec(NamedTuple):
    mime_type: str
    clock_rate: int
    feedback: _Feedback = ()
    channels: int = 1
    payload_type: int | None = None
    parameters: tuple[tuple[str, CodecParameterValue], ...] = ()


def _multiopus(channels: int, mapping: str, streams: int, coupled: int) -> _Codec:
    parameters = (
        ("channel_mapping", mapping),
        ("num_streams", streams),
        ("coupled_streams", coupled),
    )
    return _Codec("audio/multiopus", 48000, _AUDIO_NACK, channels, parameters=parameters)


_CODECS = (
    _Codec("audio/opus", 48000, _AUDIO_NACK, channels=2),
    _multiopus(4, "0,1,2,3", 2, 2),
    _multiopus(6, "0,4,1,2,3,5", 4, 2),
    _multiopus(8, "0,6,1,2,3,4,5,7", 5, 3),
    _Codec("audio/PCMU", 8000, _AUDIO, payload_type=0),
    _Codec("audio/PCMA", 8000, _AUDIO, payload_type=8),
    _Codec("audio/ISAC", 32000, _AUDIO),
    _Codec("audio/ISAC", 16000, _AUDIO),
    _Codec("audio/G722", 8000, _AUDIO, payload_type=9),
    _Codec("audio/iLBC", 8000, _AUDIO),
    _Codec("audio/SILK", 24000, _AUDIO),
    _Codec("audio/SILK", 16000, _AUDIO),
    _Codec("audio/SILK", 12000, _AUDIO),
    _Codec("audio/SILK", 8000, _AUDIO),
    _Codec("audio/CN", 32000, payload_type=13),
    _Codec("audio/CN", 16000, payload_type=13),
    _Codec("audio/CN", 8000, payload_type=13),
    _Codec("audio/telephone-event", 48000),
    _Codec("audio/telephone-event", 32000),
    _Codec("audio/telephone-event", 16000),
    _Codec("audio/telephone-event", 8000),
    _Codec("video/VP8", 90000, _VIDEO),
    _Codec("video/VP9", 90000, _VIDEO),
    _Codec("video/H264", 90000, _VIDEO, parameters=(("level-asymmetry-allowed", 1),)),
    _Codec("video/AV1", 90000, _VIDEO),
)

# (kinds, uri, id, direction); transport-wide-cc on audio is only used to receive.
_HEADER_EXTENSIONS: tuple[
    tuple[tuple[MediaKind, ...], str, int, RtpHeaderExtensionDirection], ...
] = (
    (("audio", "video"), MID, 1, "sendrecv"),
    (("video",), "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", 2, "recvonly"),
    (("video",), "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", 3, "recvonly"),
    (("audio", "video"), ABS_SEND_TIME, 4, "sendrecv"),
    (("audio",), TRANSPORT_WIDE_CC, 5, "recvonly"),
    (("video",), TRANSPORT_WIDE_CC, 5, "sendrecv"),
    (("audio",), "urn:ietf:params:rtp-hdrext:ssrc-audio-level", 6, "sendrecv"),
    (("video",), DEPENDENCY_DESCRIPTOR, 7, "recvonly"),
    (("video",), "urn:3gpp:video-orientation", 8, "sendrecv"),
    (("video",), "urn:ietf:params:rtp-hdrext:toffset", 9, "sendrecv"),
    (("audio", "video"), ABS_CAPTURE_TIME, 10, "sendrecv"),
    (
        ("audio", "video"),
        "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        11,
        "sendrecv",
    ),
    (("audio", "video"), "urn:mediasoup:params:rtp-hdrext:packet-id", 12, "sendrecv"),
)


def supported_codecs() -> list[RouterRtpCodecCapability]:
    """Every codec that a Router may be configured with; a fresh copy, the caller's own."""
    return [_codec_capability(codec) for codec in _CODECS]


def supported_header_extensions() -> list[RtpHeaderExtension]:
    """Every header extension that the worker knows; a fresh copy, the caller's own."""
    return [
        {
            "kind": kind,
            "uri": uri,
            "preferredId": preferred_id,
            "preferredEncrypt": False,
            "direction": direction,
        }
        for kinds, uri, preferred_id, direction in _HEADER_EXTENSIONS
        for kind in kinds
    ]


def _codec_capability(codec: _Codec) -> RouterRtpCodecCapability:
    feedback: list[RtcpFeedback] = [{"type": t, "parameter": p} for t, p in codec.feedback]
    capability: RouterRtpCodecCapability = {
        "kind": "audio" if codec.mime_type.startswith("audio/") else "video",
        "mimeType": codec.mime_type,
        "clockRate": codec.clock_rate,
        "parameters": dict(codec.parameters),
        "rtcpFeedback": feedback,
    }
    if capability["kind"] == "audio":
        capability["channels"] = codec.channels
    if codec.payload_type is not None:
        capability["preferredPayloadType"] = codec.payload_type
    return capability
