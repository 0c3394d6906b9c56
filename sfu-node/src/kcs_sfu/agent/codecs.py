"""The codecs of every router, in order of preference.

mediasoup-client picks the first codec of a kind that the browser can send, so VP8 leads: it is
the one with simulcast in every browser. Clients may ask for another by name.
Source: https://mediasoup.org/documentation/v3/mediasoup/rtp-parameters-and-capabilities/
"""

from collections.abc import Sequence

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
