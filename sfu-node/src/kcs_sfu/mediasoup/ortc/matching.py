"""When two codecs count as the same: the comparison below all of ORTC."""

from typing import TypeAlias

from kcs_sfu.mediasoup.ortc import h264
from kcs_sfu.mediasoup.rtp_parameters import (
    RouterRtpCodecCapability,
    RtpCodecCapability,
    RtpCodecParameters,
)

Codec: TypeAlias = RtpCodecCapability | RouterRtpCodecCapability | RtpCodecParameters


def is_rtx_codec(codec: Codec) -> bool:
    """Whether `codec` carries retransmissions (RFC 4588) rather than media."""
    return codec["mimeType"][-4:].lower() == "/rtx"


def match_codecs(a: Codec, b: Codec, *, strict: bool = False, modify: bool = False) -> bool:
    """Whether normalised `a` and `b` can talk to each other.

    `strict` compares H.264 and VP9 profiles too; `modify` then writes the H.264
    `profile-level-id` that both agree on into `a`'s parameters.
    """
    mime_type = a["mimeType"].lower()
    if (
        mime_type != b["mimeType"].lower()
        or a["clockRate"] != b["clockRate"]
        or a.get("channels") != b.get("channels")
    ):
        return False
    if mime_type == "audio/multiopus":
        return _same_parameter(a, b, "num_streams") and _same_parameter(a, b, "coupled_streams")
    if not strict:
        return True
    if mime_type == "video/vp9":
        return _same_parameter(a, b, "profile-id", default=0)
    if mime_type == "video/h264":
        return _match_h264(a, b, modify=modify)
    return True


def _same_parameter(a: Codec, b: Codec, name: str, default: int | None = None) -> bool:
    value_a, value_b = a["parameters"].get(name), b["parameters"].get(name)
    if default is not None:  # then 0 and "" mean the default as well
        return (value_a or default) == (value_b or default)
    return value_a == value_b


def _match_h264(a: Codec, b: Codec, *, modify: bool) -> bool:
    if not _same_parameter(a, b, "packetization-mode", default=0):
        return False
    if not h264.is_same_profile(a["parameters"], b["parameters"]):
        return False
    if modify:
        answer = h264.profile_level_id_for_answer(a["parameters"], b["parameters"])
        if answer is not None:
            a["parameters"]["profile-level-id"] = answer
        else:
            a["parameters"].pop("profile-level-id", None)
    return True
