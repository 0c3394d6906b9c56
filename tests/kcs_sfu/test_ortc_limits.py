"""ORTC on whatever a hostile client sends: a result or an error of ours, and bounded work."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcs_sfu.mediasoup import ortc
from kcs_sfu.mediasoup.errors import InvalidRtp, UnsupportedError
from kcs_sfu.mediasoup.ortc import limits

Json = Any
KEYS = ["codecs", "headerExtensions", "encodings", "rtcp", "rtx", "mimeType", "payloadType"]
KEYS += ["clockRate", "channels", "parameters", "apt", "rtcpFeedback", "type", "parameter", "kind"]
KEYS += ["uri", "id", "preferredId", "ssrc", "rid", "mid", "streamId", "ordered", "maxRetransmits"]
STRINGS = ["audio/opus", "video/VP8", "video/H264", "video/rtx", "audio", "nack", ""]

VP8: Json = {
    "kind": "video",
    "mimeType": "video/VP8",
    "preferredPayloadType": 96,
    "clockRate": 90000,
}
ROUTER = ortc.generate_router_rtp_capabilities(
    [{"mimeType": "audio/opus", "clockRate": 48000, "channels": 2}, VP8]
)


def produce(params: Json) -> Json:
    valid = ortc.validate_and_normalize_rtp_parameters(params)
    mapping = ortc.get_producer_rtp_parameters_mapping(valid, ROUTER)
    return ortc.get_consumable_rtp_parameters("video", valid, ROUTER, mapping)


def vp8_producer(**changes: Json) -> Json:
    codec = {"mimeType": "video/VP8", "payloadType": 101, "clockRate": 90000}
    return {"codecs": [codec], "encodings": [{"ssrc": 1111}], **changes}


def consume(caps: Json) -> Json:
    consumable = produce(vp8_producer())
    ortc.can_consume(consumable, caps)
    return ortc.get_consumer_rtp_parameters(
        consumable_rtp_parameters=consumable, remote_rtp_capabilities=caps
    )


ENTRANCES: list[Callable[[Json], Json]] = [
    ortc.generate_router_rtp_capabilities,
    ortc.validate_and_normalize_sctp_stream_parameters,
    produce,
    consume,
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(STRINGS),
    st.text(max_size=5),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    ),
    max_leaves=30,
)


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(value=json_values, entrance=st.sampled_from(ENTRANCES))
def test_any_json_leads_to_a_result_or_to_an_error_of_ours(
    value: Json, entrance: Callable[[Json], Json]
) -> None:
    with suppress(InvalidRtp, UnsupportedError):
        json.dumps(entrance(value))


def nested(levels: int) -> Json:
    value: Json = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": nested(100_000)},
        {"rtcp": []},
        {"codecs": [vp8_producer()["codecs"][0] | {"parameters": []}]},
        {"mid": "x" * (limits.MAX_STRING + 1)},
        {"x" * (limits.MAX_STRING + 1): 1},
        {"mid": "\ud800"},
        {"codecs": vp8_producer()["codecs"] * (limits.MAX_ITEMS + 1)},
        {"encodings": [{"ssrc": 1}] * (limits.MAX_ENCODINGS + 1)},
        {"extra": {str(n): n for n in range(limits.MAX_ITEMS + 1)}},
        {"extra": 10**400},
        {"extra": float("nan")},
        {"extra": float("inf")},
        {"extra": b"bytes"},
        {"extra": {1: 2}},
        {"encodings": [{"ssrc": 2**32}]},
        {"encodings": [{"ssrc": -1}]},
        {"encodings": [{"codecPayloadType": 128}]},
        {"encodings": [{"ssrc": 1, "maxBitrate": 1.5}]},
        {"headerExtensions": [{"uri": "urn:x", "id": 256}]},
        {"codecs": [vp8_producer()["codecs"][0] | {"payloadType": 128}]},
        {"codecs": [vp8_producer()["codecs"][0] | {"parameters": {"x": 2**31}}]},
    ],
    ids=lambda changes: next(iter(changes))[:20],
)
def test_what_the_worker_could_not_hold_is_refused(changes: Json) -> None:
    with pytest.raises(InvalidRtp):
        produce(vp8_producer(**changes))


def test_the_largest_allowed_values_pass() -> None:
    params = vp8_producer(
        mid="ü" * limits.MAX_STRING,
        encodings=[{"rid": str(n), "maxBitrate": 2**53 - 1} for n in range(limits.MAX_ENCODINGS)],
        headerExtensions=[{"uri": "urn:x", "id": 255}] * limits.MAX_ITEMS,
    )
    assert len(produce(params)["encodings"]) == limits.MAX_ENCODINGS


def test_a_megabyte_of_nonsense_is_refused_at_once() -> None:
    wide = [{"mimeType": "video/VP8", "clockRate": 90000, "payloadType": 96}] * 30_000
    started = time.process_time()
    with pytest.raises(InvalidRtp):
        produce({"codecs": wide})
    assert time.process_time() - started < 0.05


def test_ssrcs_are_nine_digits_and_differ() -> None:
    ssrcs = {ortc.random_ssrc() for _ in range(1000)}
    assert len(ssrcs) > 990
    assert 100_000_000 <= min(ssrcs) <= max(ssrcs) < 999_999_999
