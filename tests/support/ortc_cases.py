"""What tests negotiate with: codecs, parameters and capabilities, well-formed and broken.

Strategies of Hypothesis for whole requests, as `call` in tests/kcs_sfu/test_ortc.py takes them.
"""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from kcs_sfu.mediasoup.supported_rtp_capabilities import (
    supported_codecs,
    supported_header_extensions,
)

Json = Any


def fresh(value: Json) -> Json:
    """A copy that shares nothing, with itself neither."""
    return json.loads(json.dumps(value))


# --- Well-formed input: routers, browsers, producers ----------------------------------------------

NACKS = [
    {"type": "nack"},
    {"type": "nack", "parameter": "pli"},
    {"type": "ccm", "parameter": "fir"},
]
VIDEO_FEEDBACK = [*NACKS, {"type": "goog-remb"}, {"type": "transport-cc"}]
PROFILES = ["42e01f", "42001f", "4d001f", "640c1f", "64001f", "f4001f", "42f00b", "42e00a", "x", ""]


def audio(name: str, rate: int, channels: int | None = None, **parameters: Json) -> Json:
    codec = {"mimeType": f"audio/{name}", "clockRate": rate, "parameters": parameters}
    codec["rtcpFeedback"] = [{"type": "transport-cc"}, {"type": "nack"}]
    return codec | ({"channels": channels} if channels else {})


def video(name: str, **parameters: Json) -> Json:
    parameters = {key.replace("_", "-"): value for key, value in parameters.items()}
    codec = {"mimeType": f"video/{name}", "clockRate": 90000, "parameters": parameters}
    return codec | {"rtcpFeedback": VIDEO_FEEDBACK}


def avc(profile: str | None, mode: int | str, asymmetry: int | str = 1) -> Json:
    codec = video("H264", packetization_mode=mode, level_asymmetry_allowed=asymmetry)
    codec["parameters"] |= {"profile-level-id": profile} if profile is not None else {}
    return codec


OPUS = audio("opus", 48000, 2, minptime=10, useinbandfec=1)
NARROW = [audio("PCMU", 8000), audio("PCMA", 8000, 1), audio("G722", 8000), audio("CN", 8000)]
SURROUND = audio(
    "multiopus", 48000, 6, channel_mapping="0,4,1,2,3,5", num_streams=4, coupled_streams=2
)
BROWSERS = {
    "chrome": [
        *(OPUS, audio("red", 48000, 2), *NARROW, audio("telephone-event", 48000), SURROUND),
        *(video("VP8"), video("VP9", profile_id=0), video("VP9", profile_id=2)),
        *(avc("42001f", 1), avc("42001f", 0), avc("42e01f", 1), avc("42e01f", 0), avc("4d001f", 1)),
        *(avc("f4001f", 1), avc("64001f", 1), video("AV1", level_idx=5, profile=0, tier=0)),
        *(video("H265", profile_id=1, level_id="93"), video("ulpfec")),
    ],
    "firefox": [
        *(audio("opus", 48000, 2, stereo=1, maxplaybackrate=48000), *NARROW[:3]),
        *(audio("telephone-event", 8000, 1), video("VP8", max_fs=12288, max_fr=60)),
        *(video("VP9", max_fs=12288), avc("42e01f", 1), avc("42e01f", 0), video("AV1")),
    ],
    "safari": [
        *(OPUS, NARROW[0], audio("ISAC", 16000), avc("640c1f", 1), avc("42e01f", 1)),
        *(avc("640c1f", 0), video("H265"), video("VP8"), video("VP9", profile_id=0), video("AV1")),
    ],
}
NATIVE = [codec for codecs in BROWSERS.values() for codec in codecs]
ROUTER = [OPUS, video("VP8"), video("VP9", profile_id=2), avc("42e01f", 1), video("AV1")]
URIS = [*sorted({e["uri"] for e in supported_header_extensions()}), "urn:unknown"]
IDS = {extension["uri"]: extension["preferredId"] for extension in supported_header_extensions()}

payload_types = st.integers(96, 127)
router_types = st.one_of(payload_types, st.sampled_from([0, 8, 13]))
rare = st.sampled_from([False, False, False, False, False, True])
often = st.sampled_from([True, True, True, True, True, False])
few = st.sets(st.integers(0, 20), max_size=5)  # positions, drawn at once
ssrcs = st.integers(1, 2**32 - 1)
codec_variants = st.one_of(
    st.sampled_from(NATIVE),
    st.sampled_from(NATIVE + ROUTER).map(lambda c: c | {"mimeType": c["mimeType"].upper()}),
    st.builds(
        avc,
        st.sampled_from([*PROFILES, None]),
        st.sampled_from([0, 1, "1", ""]),
        st.sampled_from([0, 1, "1"]),
    ),
)


@st.composite
def router_codecs(draw: st.DrawFn) -> Json:
    """Codecs of a Router: usually those that we run with, others, some with a payload type."""
    extra = st.one_of(codec_variants, st.sampled_from(supported_codecs()))
    codecs = [*(ROUTER if draw(often) else []), *draw(st.lists(extra, max_size=3))]
    supported = {(c["mimeType"].lower(), c["clockRate"]) for c in supported_codecs()}
    if draw(often):  # otherwise, one that mediasoup lacks is UnsupportedError
        codecs = [c for c in codecs if (c["mimeType"].lower(), c["clockRate"]) in supported]
    chosen = draw(few) if draw(rare) else ()
    return [
        codec | {"preferredPayloadType": draw(router_types)} if index in chosen else codec
        for index, codec in enumerate(codecs)
    ]


@st.composite
def producer_params(draw: st.DrawFn, kind: str, router: Json) -> Json:
    """What a browser sends: its own payload types, 1-2 codecs, RTX or not, 0-4 encodings."""
    candidates = router if draw(often) else NATIVE
    of_kind = [c for c in candidates if c["mimeType"].lower().startswith(kind)]
    media_codec = st.sampled_from(of_kind or NATIVE) if draw(often) else codec_variants
    left_out = draw(few)
    codecs = []
    for media in draw(st.lists(media_codec, min_size=1, max_size=2)):
        payload_type = draw(payload_types)
        codec = media | {"payloadType": payload_type}
        codec.pop("preferredPayloadType", None)
        codecs.append(codec)
        if kind == "video" and draw(often):
            apt = draw(payload_types) if draw(rare) else payload_type
            codecs.append(video("rtx", apt=apt) | {"payloadType": draw(payload_types)})
    params = {
        "codecs": draw(st.permutations(codecs)) if draw(rare) else codecs,
        "headerExtensions": [
            {"uri": uri, "id": index + 1}
            for index, uri in enumerate(draw(st.lists(st.sampled_from(URIS), max_size=6)))
        ],
        "encodings": draw(st.one_of(single_encodings(), simulcast_encodings())),
        "rtcp": {"cname": "user@host", "reducedSize": draw(st.booleans())},
        "mid": "0",
        "msid": "stream track",
    }
    for index, optional in enumerate(("headerExtensions", "encodings", "rtcp", "mid", "msid")):
        if index in left_out:
            del params[optional]
    return params


@st.composite
def single_encodings(draw: st.DrawFn) -> Json:
    encoding: Json = {"ssrc": draw(ssrcs)}
    if draw(st.booleans()):
        encoding["rtx"] = {"ssrc": draw(ssrcs)}
    if draw(st.booleans()):
        encoding["scalabilityMode"] = draw(st.sampled_from(["L1T3", "L3T3_KEY", "S2T1", "bad", ""]))
    if draw(rare):
        encoding |= {"dtx": True, "codecPayloadType": draw(payload_types)}
    return [encoding]


@st.composite
def simulcast_encodings(draw: st.DrawFn) -> Json:
    encodings: Json = []
    for index in range(draw(st.integers(0, 4))):
        encoding: Json = {"rid": f"r{index}"} if draw(often) else {"ssrc": draw(ssrcs)}
        encoding["scalabilityMode"] = draw(st.sampled_from(["L1T3", "L1T2", ""]))
        if draw(often):
            encoding["maxBitrate"] = draw(st.integers(0, 10**7))
        encodings.append(encoding)
    return encodings


@st.composite
def browser_caps(draw: st.DrawFn) -> Json:
    """A browser's capabilities, or what mediasoup-client makes of them (the Router's ids)."""
    codecs: Json = []
    left_out, without_rtx = draw(few), draw(few)
    for index, media in enumerate(draw(st.sampled_from(list(BROWSERS.values())))):
        if index in left_out:
            continue
        payload_type = 64 + len(codecs)
        codecs.append(media | {"preferredPayloadType": payload_type})
        if media["mimeType"].startswith("video") and index not in without_rtx:
            codecs.append(
                video("rtx", apt=payload_type) | {"preferredPayloadType": payload_type + 1}
            )
    missing, moved = draw(few), draw(few)
    extensions = [
        {"kind": kind, "uri": uri, "preferredId": IDS.get(uri, 13) + (index in moved)}
        for kind in ("audio", "video")
        for index, uri in enumerate(URIS)
        if index not in missing
    ]
    return {"codecs": codecs, "headerExtensions": extensions}


@st.composite
def calls(draw: st.DrawFn) -> Json:
    kind = draw(st.sampled_from(["video", "video", "audio"]))
    codecs = draw(router_codecs())
    return {
        "op": "call",
        "codecs": codecs,
        "kind": kind,
        "params": draw(producer_params(kind, codecs)),
        "caps": draw(browser_caps()),
        "pipe": draw(rare),
        "enableRtx": draw(often),
    }


# --- Broken input ---------------------------------------------------------------------------------

ODD_VALUES: list[Json] = [
    *(None, True, False, 0, 1, -1, 1.5, 96, 300, 2**31, 2**32, 10**20, "", "x", "1", "96"),
    *(
        "audio/opus",
        "video/H264",
        "video/",
        "vidéo/VP8",
        "video/VP8\n",
        "video/x/rtx",
        "videos/rtx",
    ),
    *([], {}, [[]], [{}], {"a": 1}, {"ssrc": 1}, {"ssrc": "1"}, "sendrecv", "audio"),
]
ODD_KEYS = ["mid", "rtcp", "channels", "apt", "rtx", "ssrc", "preferredEncrypt", "encrypt", "extra"]
ODD_KEYS += ["direction", "codecPayloadType", "maxBitrate", "cname", "parameters", "rtcpFeedback"]


def places(value: Json) -> Iterator[tuple[Json, Json]]:
    """Every (container, key) below `value`."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


@st.composite
def broken_calls(draw: st.DrawFn) -> Json:
    request = fresh(draw(calls()))
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(["codecs", "params", "caps", "params"]))
        part = {name: request[name]}
        named = [place for place in places(part) if isinstance(place[1], str)]
        field = draw(st.sampled_from(sorted({key for _, key in named})))
        container, key = draw(st.sampled_from([place for place in named if place[1] == field]))
        if isinstance(container[key], list) and container[key] and draw(st.booleans()):
            container, key = container[key], 0
        value = fresh(draw(st.sampled_from(ODD_VALUES)))
        edit = draw(st.sampled_from(["replace", "replace", "remove", "repeat", "add"]))
        if edit == "add" and isinstance(container, dict) and container is not part:
            container[draw(st.sampled_from(ODD_KEYS))] = value
        elif edit == "repeat" and isinstance(container, list):
            container.append(fresh(container[key]))
        elif edit == "remove" and container is not part:
            del container[key]
        else:
            container[key] = value
        request |= part
    return request
