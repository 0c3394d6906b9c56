"""The codecs of every router, in order of preference.

mediasoup-client picks the first codec of a kind that the browser can send, so VP8 leads: it is
the one with simulcast in every browser. Clients may ask for another by name.
Source: https://mediasoup.org/documentation/v3/mediasoup/rtp-parameters-and-capabilities/
"""

from collections.abc import Sequence
from functools import cache

from kcs_contracts.models import JsonObject
from kcs_sfu.mediasoup import ortc
from kcs_sfu.mediasoup.rtp_parameters import RouterRtpCodecCapability

_VIDEO_CLOCK_HZ = 90_000

MEDIA_CODECS: Sequence[RouterRtpCodecCapability] = (
    {
        "kind": "audio",
        "mimeType": "audio/opus",
        "clockRate": 48_000,
        "channels": 2,
        "parameters": {"useinbandfec": 1, "usedtx": 1},
    },
    {"kind": "video", "mimeType": "video/VP8", "clockRate": _VIDEO_CLOCK_HZ},
    {
        "kind": "video",
        "mimeType": "video/VP9",
        "clockRate": _VIDEO_CLOCK_HZ,
        "parameters": {"profile-id": 0},
    },
    {
        "kind": "video",
        "mimeType": "video/H264",
        "clockRate": _VIDEO_CLOCK_HZ,
        "parameters": {
            "packetization-mode": 1,
            "profile-level-id": "42e01f",
            "level-asymmetry-allowed": 1,
        },
    },
    {"kind": "video", "mimeType": "video/AV1", "clockRate": _VIDEO_CLOCK_HZ},
)


_ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"


@cache
def rtp_capabilities() -> JsonObject:
    """What every router of this version can do, as browsers load it into their device. Read only.

    Without abs-capture-time: mediasoup-client before 3.24 claims that it sends it though browsers
    do not, and the worker then waits for it for ever and never changes a simulcast layer.
    """
    capabilities = ortc.generate_router_rtp_capabilities(list(MEDIA_CODECS))
    extensions = [e for e in capabilities["headerExtensions"] if e["uri"] != _ABS_CAPTURE_TIME]
    return {"codecs": capabilities["codecs"], "headerExtensions": extensions}
