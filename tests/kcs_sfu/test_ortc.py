"""ORTC against the original: mediasoup's own `ortc.js` in Node gets the same generated input.

Results must be the same JSON, errors of the same kind. Well-formed input may never differ. Broken
input (the same, with random edits) may differ only as listed here, all on purpose:

1. What `ortc/limits.py` bounds is InvalidRtp: sizes, and numbers that the worker's fields cannot
   hold (a payload type of 1.5 or 300). Node lets JavaScript coerce them when it writes the request.
2. An array where an object belongs is InvalidRtp. To JavaScript, an array is an object.
3. A MIME type with anything but printable ASCII is InvalidRtp. To Node it is merely unsupported.
4. An optional field of the wrong type that JavaScript finds false (null, false, 0, "") is dropped.
   Node leaves it there, and its serialiser skips it later.
5. `maxBitrate` and `codecPayloadType` must be numbers; Node does not look at them.
6. Running out of payload types is UnsupportedError; in Node it is a plain Error.
7. A `profile-level-id` is six hexadecimal digits; Node's parseInt takes "-bfff6" too.
8. `get_consumer_rtp_parameters` takes capabilities that were validated (`Transport.consume` does
   so first, in Node too); Node's validates their codecs once more.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support.ortc_cases import PROFILES, Json, avc, broken_calls, calls, fresh, video

from kcs_sfu.mediasoup import ortc
from kcs_sfu.mediasoup.errors import InvalidRtp, UnsupportedError
from kcs_sfu.mediasoup.ortc import h264
from kcs_sfu.mediasoup.scalability_modes import parse_scalability_mode
from kcs_sfu.mediasoup.supported_rtp_capabilities import (
    supported_codecs,
    supported_header_extensions,
)

Results = dict[str, Json]
many = settings(
    max_examples=1200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# --- The original and ours, side by side ----------------------------------------------------------


class Oracle:
    """A Node process that answers one line of JSON with one line of JSON."""

    def __init__(self, directory: Path) -> None:
        script = Path(__file__).with_name("ortc_oracle.js")
        self.process = subprocess.Popen(
            ["node", str(script), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: Json) -> Results:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def oracle(node_mediasoup: Path) -> Iterator[Oracle]:
    """The original."""
    oracle = Oracle(node_mediasoup)
    yield oracle
    oracle.process.communicate(timeout=10)


def call(request: Json) -> Results:
    """What `call` in ortc_oracle.js does, with our functions; other errors than ours get out."""
    results: Results = {}
    ssrcs = count(1000, 1000)

    def random_ssrc() -> int:
        return next(ssrcs)

    def attempt(step: str, action: Callable[[], Json]) -> Json:
        try:
            value = action()
        except InvalidRtp:
            results[step] = {"error": "TypeError"}
        except UnsupportedError:
            results[step] = {"error": "UnsupportedError"}
        else:
            results[step] = {"ok": fresh(value)}
            return value

    kind, pipe, rtx = request["kind"], request["pipe"], request["enableRtx"]
    router = attempt("router", lambda: ortc.generate_router_rtp_capabilities(request["codecs"]))
    params = attempt(
        "params", lambda: ortc.validate_and_normalize_rtp_parameters(request["params"])
    )
    caps = attempt("caps", lambda: ortc.validate_and_normalize_rtp_capabilities(request["caps"]))
    if router is None or params is None:
        return results
    mapping = attempt(
        "mapping",
        lambda: ortc.get_producer_rtp_parameters_mapping(params, router, random_ssrc=random_ssrc),
    )
    if mapping is None:
        return results
    attempt("negotiated", lambda: params)
    consumable = attempt(
        "consumable", lambda: ortc.get_consumable_rtp_parameters(kind, params, router, mapping)
    )
    attempt(
        "pipe",
        lambda: ortc.get_pipe_consumer_rtp_parameters(
            consumable_rtp_parameters=consumable, enable_rtx=rtx, random_ssrc=random_ssrc
        ),
    )
    if caps is None:
        return results
    attempt("canConsume", lambda: ortc.can_consume(consumable, caps))
    attempt(
        "consumer",
        lambda: ortc.get_consumer_rtp_parameters(
            consumable_rtp_parameters=consumable,
            remote_rtp_capabilities=caps,
            pipe=pipe,
            enable_rtx=rtx,
            random_ssrc=random_ssrc,
        ),
    )
    return results


def text(value: Json) -> str:
    """Comparable: Python's own == finds 1 equal to True."""
    return json.dumps(value, sort_keys=True)


def kind_of(result: Json) -> str | None:
    error = result.get("error")
    return "UnsupportedError" if error == "Error" else error  # difference 6


# --- The differences that are listed above --------------------------------------------------------

LARGEST = {"payloadType": 127, "preferredPayloadType": 127, "codecPayloadType": 127}
LARGEST |= {"id": 255, "preferredId": 255, "channels": 255, "clockRate": 2**32 - 1}
LARGEST |= {"ssrc": 2**32 - 1, "maxBitrate": 2**53 - 1, "streamId": 65535}
LARGEST |= {"maxPacketLifeTime": 65535, "maxRetransmits": 65535}
OBJECTS = {"codecs", "headerExtensions", "encodings", "rtcpFeedback", "parameters", "rtcp", "rtx"}
STRINGS = {"mid", "msid", "rid", "scalabilityMode", "cname"}
STEPS_WITH_PARAMS = ("params", "negotiated", "consumable", "pipe", "consumer")
OPTIONAL = {step: {"mid", "msid"} for step in STEPS_WITH_PARAMS}
OPTIONAL |= {"codecs": {"preferredPayloadType"}, "rtcp": {"cname"}}
OPTIONAL["encodings"] = {"ssrc", "rid", "rtx", "codecPayloadType", "scalabilityMode", "maxBitrate"}
OPTIONAL["sctp"] = {"maxPacketLifeTime", "maxRetransmits"}


def refused_on_purpose(value: Json, key: str = "", parent: str = "") -> bool:
    """Whether `value`, a field `key`, holds something that differences 1, 2, 3 or 5 refuse."""
    if key in ("maxBitrate", "codecPayloadType") and not isinstance(value, int | float):
        return bool(value not in (None, ""))
    if isinstance(value, list):
        arrays = any(isinstance(item, list) for item in value) and key in OBJECTS
        return (
            (key in ("{}", "parameters", "rtcp", "rtx") and parent != "parameters")
            or arrays
            or any(refused_on_purpose(item, parent=f"{key}[]") for item in value)
        )
    if isinstance(value, dict):
        return any(refused_on_purpose(item, name, key) for name, item in value.items())
    if isinstance(value, str):
        return key == "mimeType" and not (value.isascii() and value.isprintable())
    if isinstance(value, bool) or value is None:
        return value is True and key in ("maxBitrate", "codecPayloadType")
    if parent == "parameters":
        return isinstance(value, int) and abs(value) >= 2**31
    if key in LARGEST:
        return not (isinstance(value, int) and 0 <= value <= LARGEST[key])
    return bool(abs(value) >= 2**53)


def without_dropped(value: Json, where: str) -> Json:
    """Difference 4, applied to what Node returns for step or field `where`."""
    if isinstance(value, list):
        return [without_dropped(item, where) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without_dropped(item, name)
        for name, item in value.items()
        if not (name in OPTIONAL.get(where, ()) and is_false_and_of_wrong_type(item, name))
    }


def is_false_and_of_wrong_type(item: Json, name: str) -> bool:
    if name in STRINGS:
        return item in (None, False, 0)
    return item is None or item is False or item == "" or (item == 0 and name == "rtx")


# --- Tests ----------------------------------------------------------------------------------------


def test_the_supported_codecs_and_extensions_are_those_of_the_npm_package(oracle: Oracle) -> None:
    theirs = oracle.ask({"op": "supported"})["supported"]["ok"]
    ours = {"codecs": supported_codecs(), "headerExtensions": supported_header_extensions()}
    assert text(ours) == text(theirs)


@many
@given(request=calls())
def test_a_well_formed_call_negotiates_exactly_as_in_node(oracle: Oracle, request: Json) -> None:
    theirs = oracle.ask(request)
    ours = call(fresh(request))
    event(f"consumer: {kind_of(ours.get('consumer', {'error': 'not reached'}))}")
    assert list(ours) == list(theirs)
    for step, result in theirs.items():
        assert kind_of(ours[step]) == kind_of(result), (step, result)
        assert text(ours[step].get("ok")) == text(result.get("ok")), step


@many
@given(request=broken_calls())
def test_broken_input_fails_or_passes_as_in_node_except_where_listed(
    oracle: Oracle, request: Json
) -> None:
    theirs = oracle.ask(request)
    parts = {name: request[name] for name in ("codecs", "params", "caps")}
    on_purpose = any(map(refused_on_purpose, parts.values(), ("codecs", "{}", "{}")))
    ours = call(request)
    event(f"refused on purpose: {on_purpose}")
    for step, result in theirs.items():
        if step not in ours or kind_of(ours[step]) != kind_of(result):
            assert on_purpose, (step, result, ours.get(step))
            assert step not in ours or kind_of(ours[step]) == "TypeError", (step, ours[step])
        elif "ok" in result:
            assert text(ours[step]["ok"]) == text(without_dropped(result["ok"], step)), step


def test_calls_reach_every_step_often_enough_to_mean_something(oracle: Oracle) -> None:
    reached: dict[str, int] = {}

    @settings(many, max_examples=200)
    @given(request=calls())
    def tally(request: Json) -> None:
        for step, result in call(fresh(request)).items():
            reached[step] = reached.get(step, 0) + ("ok" in result)

    tally()
    assert reached["consumer"] >= 40, reached
    assert reached["pipe"] >= 80, reached


@pytest.mark.parametrize(
    "changes",
    [
        {"codecs": [avc(None, 1)], "params": {"codecs": [avc("", 1) | {"payloadType": 96}]}},
        {"codecs": [video("VP8") | {"preferredPayloadType": "96"}]},
        {"caps": {"codecs": [video("VP8") | {"preferredPayloadType": "96"}]}},
        {"codecs": [video("VP9")], "params": {"codecs": [video("VP9") | {"payloadType": 0}]}},
    ],
)
def test_rare_cases_are_as_in_node(oracle: Oracle, changes: Json) -> None:
    request: Json = {"op": "call", "codecs": [], "kind": "video", "params": {}, "caps": {}}
    request |= {"pipe": False, "enableRtx": True} | changes
    theirs = oracle.ask(request)
    ours = call(fresh(request))
    assert {step: (kind_of(r), text(r.get("ok"))) for step, r in ours.items()} == {
        step: (kind_of(r), text(r.get("ok"))) for step, r in theirs.items()
    }


def test_running_out_of_payload_types_is_unsupported(oracle: Oracle) -> None:
    request: Json = {"op": "call", "codecs": [video("VP8")] * 17, "kind": "video", "params": {}}
    request |= {"caps": {}, "pipe": False, "enableRtx": True}
    assert oracle.ask(request)["router"]["error"] == "Error"
    assert call(fresh(request))["router"] == {"error": "UnsupportedError"}


odd_numbers: st.SearchStrategy[Json] = st.sampled_from(
    [None, True, False, 0, 1, 7, 65535, 65536, -1, 1.5, "", "1", [], {}]
)


@settings(many, max_examples=300)
@given(
    params=st.fixed_dictionaries(
        {},
        optional={
            "streamId": st.one_of(st.integers(0, 1023), odd_numbers),
            "ordered": st.sampled_from([True, False, None, 1, "yes"]),
            "maxPacketLifeTime": odd_numbers,
            "maxRetransmits": odd_numbers,
        },
    )
)
def test_sctp_stream_parameters_are_checked_as_in_node(oracle: Oracle, params: Json) -> None:
    theirs = oracle.ask({"op": "sctp", "params": params})["sctp"]
    on_purpose = refused_on_purpose(params, "{}")
    try:
        ours = ortc.validate_and_normalize_sctp_stream_parameters(params)
    except InvalidRtp:
        assert theirs.get("error") == "TypeError" or on_purpose
    else:
        assert text(ours) == text(without_dropped(theirs["ok"], "sctp"))


profile_level_ids = st.one_of(
    st.sampled_from([*PROFILES, None, 0, 42001, "42E01F", "42e0", "+42e01", " 42e0a", "0x42e0"]),
    st.builds(
        "{:02x}{:02x}{:02x}".format,
        st.sampled_from([0x42, 0x4D, 0x58, 0x64, 0xF4, 0x00]),
        st.one_of(st.integers(0, 255), st.sampled_from([0, 0x0C, 0x10, 0xE0, 0xF0])),
        st.sampled_from([10, 11, 12, 31, 52, 9, 0]),
    ),
)
h264_parameters = st.fixed_dictionaries(
    {},
    optional={
        "profile-level-id": profile_level_ids.filter(lambda value: value is not None),
        "level-asymmetry-allowed": st.sampled_from([0, 1, "1", "0"]),
    },
)


@settings(many, max_examples=1000)
@given(a=h264_parameters, b=h264_parameters)
def test_h264_profiles_compare_and_answer_as_in_node(oracle: Oracle, a: Json, b: Json) -> None:
    theirs = oracle.ask({"op": "h264", "a": a, "b": b})
    assert h264.is_same_profile(a, b) is theirs["same"]["ok"]
    if theirs["same"]["ok"]:
        assert h264.profile_level_id_for_answer(a, b) == theirs["answer"]["ok"]


def test_a_negative_profile_level_id_is_none(oracle: Oracle) -> None:
    negative = {"profile-level-id": "-bfff6"}
    assert oracle.ask({"op": "h264", "a": negative, "b": negative})["same"]["ok"]
    assert not h264.is_same_profile(negative, negative)


@settings(many, max_examples=300)
@given(
    mode=st.one_of(
        st.none(),
        st.from_regex(r"[LSX][0-9]{1,3}T[0-9]{1,3}(_KEY|_KEY_SHIFT|h)?", fullmatch=True),
        st.sampled_from(["", "L1T٣", "l1t1", "L1T1\n", "xL1T1"]),
    )
)
def test_scalability_modes_are_read_as_in_node(oracle: Oracle, mode: str | None) -> None:
    theirs = oracle.ask({"op": "scalability", "mode": mode})["scalability"]["ok"]
    ours = parse_scalability_mode(mode)
    assert theirs == {
        "spatialLayers": ours.spatial_layers,
        "temporalLayers": ours.temporal_layers,
        "ksvc": ours.ksvc,
    }
