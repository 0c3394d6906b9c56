"""A request from a template is the request that the naive encoder makes."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcs_sfu.mediasoup import Router, ortc
from kcs_sfu.mediasoup.consume_request import encode_consume, render_consume
from kcs_sfu.mediasoup.create_requests import render_webrtc_transport
from kcs_sfu.mediasoup.encode import build, encode_request
from kcs_sfu.mediasoup.events import ConsumerLayers
from kcs_sfu.mediasoup.fbs.Message.Message import MessageT
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Transport.CloseConsumerRequest import CloseConsumerRequestT
from kcs_sfu.mediasoup.flat import u32
from kcs_sfu.mediasoup.ids import ProducerId
from kcs_sfu.mediasoup.negotiation import NegotiationCache, producer_fingerprint
from kcs_sfu.mediasoup.parse import plain
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.rtp_parameters import MediaKind, RtpCapabilities, RtpParameters
from kcs_sfu.mediasoup.templates import TEMPLATES, TemplateCache, Values, make_template
from kcs_sfu.mediasoup.transport_types import ListenInfo

from .conftest import MEDIA_CODECS

uuids = st.uuids(version=4).map(lambda u: str(u).encode())
ssrcs = st.integers(1, 2**32 - 2)
words = st.text(min_size=0, max_size=20)
numbers = st.integers(1, 2**32 - 1)


def decode(frame: bytes) -> Any:
    """A frame, length in front, as nested dictionaries of all its fields."""
    assert u32(frame, 0) == len(frame) - 4
    data = frame[4:]
    return plain(MessageT.InitFromBuf(data, u32(data, 0)))  # type: ignore[no-untyped-call] # flatc's


ROUTER_CAPS = ortc.generate_router_rtp_capabilities(MEDIA_CODECS)


@st.composite
def producers(draw: st.DrawFn) -> Any:
    """As much of a producer as the request needs: made by ortc from what browsers send."""
    kinds: list[MediaKind] = ["audio", "video"]
    kind = draw(st.sampled_from(kinds))
    codec: dict[str, Any] = (
        {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
        if kind == "audio"
        else {"mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000}
    )
    codecs = [codec]
    if kind == "video" and draw(st.booleans()):
        rtx = {"mimeType": "video/rtx", "payloadType": 97, "clockRate": 90000}
        codecs.append({**rtx, "parameters": {"apt": 96}})
    layers = draw(st.integers(1, 3)) if kind == "video" else 1
    params: Any = {
        "codecs": codecs,
        "encodings": [
            {"rid": f"r{i}", "scalabilityMode": draw(st.sampled_from(["L1T1", "L1T3"]))}
            if layers > 1
            else {"ssrc": draw(ssrcs)}
            for i in range(layers)
        ],
        "rtcp": draw(st.sampled_from([{}, {"cname": "x"}])),
    }
    if draw(st.booleans()):
        params["rtcp"] = {"cname": draw(words)}
    if draw(st.booleans()):
        params["msid"] = draw(words)
    params = ortc.validate_and_normalize_rtp_parameters(params)
    mapping = ortc.get_producer_rtp_parameters_mapping(
        params, ROUTER_CAPS, random_ssrc=lambda: draw(st.integers(1, 2**31))
    )
    consumable = ortc.get_consumable_rtp_parameters(kind, params, ROUTER_CAPS, mapping)
    nothing: Any = SimpleNamespace(handlers={})  # no transport and channel: nothing is sent
    return Producer(
        nothing,
        nothing,
        ProducerId(draw(st.one_of(st.uuids().map(str), st.text(min_size=1, max_size=40)))),
        kind,
        "simulcast" if layers > 1 else "simple",
        params,
        consumable,
        False,
        None,
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    producer=producers(),
    with_extensions=st.booleans(),
    enable_rtx=st.booleans(),
    request_id=numbers,
    ids=st.tuples(uuids, uuids),
    mid=st.one_of(st.integers(0, 10**8).map(str), st.text(min_size=1, max_size=12)),
    ssrc=ssrcs,
    paused=st.booleans(),
    ignore_dtx=st.booleans(),
    layers=st.one_of(
        st.none(),
        st.builds(lambda s: {"spatialLayer": s}, st.integers(0, 3)),
        st.builds(
            lambda s, t: {"spatialLayer": s, "temporalLayer": t},
            st.integers(0, 3),
            st.integers(0, 3),
        ),
    ),
)
def test_a_consume_request_from_a_template_decodes_as_the_naive_one(
    producer: Producer,
    with_extensions: bool,
    enable_rtx: bool,
    request_id: int,
    ids: tuple[bytes, bytes],
    mid: str,
    ssrc: int,
    paused: bool,
    ignore_dtx: bool,
    layers: ConsumerLayers | None,
) -> None:
    caps: RtpCapabilities = ROUTER_CAPS if with_extensions else {"codecs": ROUTER_CAPS["codecs"]}
    negotiated = NEGOTIATIONS.get(
        producer.consumable_rtp_parameters, producer.fingerprint, caps, enable_rtx
    )
    params = negotiated.parameters(producer.consumable_rtp_parameters, mid, ssrc)
    options: Any = {"paused": paused, "ignore_dtx": ignore_dtx, "preferred_layers": layers}
    rendered = render_consume(request_id, *ids, producer, params, negotiated, **options)
    naive = encode_consume(request_id, *ids, producer, params, producer.type, **options)
    assert decode(rendered) == decode(naive)
    assert rendered == naive


NEGOTIATIONS = NegotiationCache()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(producer=producers(), ssrc=ssrcs, mid=words)
def test_cached_negotiation_gives_what_ortc_gives(producer: Producer, ssrc: int, mid: str) -> None:
    consumable = producer.consumable_rtp_parameters
    negotiated = NEGOTIATIONS.get(consumable, producer.fingerprint, ROUTER_CAPS, True)
    expected = ortc.get_consumer_rtp_parameters(
        consumable_rtp_parameters=consumable,
        remote_rtp_capabilities=ROUTER_CAPS,
        random_ssrc=lambda: ssrc,
    )
    assert negotiated.parameters(consumable, mid, ssrc) == {**expected, "mid": mid}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(number=numbers, parent=uuids, child=st.binary(min_size=1, max_size=40).map(bytes.hex))
def test_a_close_request_from_a_template_is_the_naive_one(
    number: int, parent: bytes, child: str
) -> None:
    def encode(v: Values) -> bytes:
        body = build(CloseConsumerRequestT, consumerId=v[2].decode())
        return encode_request(
            int.from_bytes(v[0], "little"),
            Method.TRANSPORT_CLOSE_CONSUMER,
            v[1].decode(),
            Body.Transport_CloseConsumerRequest,
            body,
        )

    values = (number.to_bytes(4, "little"), parent, child.encode())
    shape = ("test", len(parent), len(child))
    assert TEMPLATES.render(shape, values, encode) == encode(values)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    number=numbers,
    ids=st.tuples(uuids, uuids, uuids),
    with_server=st.booleans(),
    port=st.integers(0, 65535),
    bitrate=st.integers(0, 2**40),
    enable_sctp=st.booleans(),
)
def test_a_transport_request_carries_its_ids_and_options(
    number: int,
    ids: tuple[bytes, bytes, bytes],
    with_server: bool,
    port: int,
    bitrate: int,
    enable_sctp: bool,
) -> None:
    info: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1", "port": port}
    _, frame = render_webrtc_transport(
        number,
        ids[0],
        ids[1],
        server_id=ids[2] if with_server else None,
        listen_infos=() if with_server else (info,),
        sctp={"enable_sctp": enable_sctp},
        enable_udp=True,
        enable_tcp=False,
        prefer_udp=False,
        prefer_tcp=False,
        initial_available_outgoing_bitrate=bitrate,
        ice_consent_timeout=30,
    )
    request = decode(frame)["data"]
    assert (request["id"], request["handlerId"]) == (number, ids[0].decode())
    assert request["body"]["transportId"] == ids[1].decode()
    options = request["body"]["options"]
    assert options["base"]["initialAvailableOutgoingBitrate"] == bitrate
    assert options["base"]["enableSctp"] == enable_sctp
    if with_server:
        assert options["listen"] == {"webRtcServerId": ids[2].decode()}
    else:
        assert options["listen"]["listenInfos"][0]["port"] == port


def test_templates_are_forgotten_least_recently_used_first() -> None:
    cache = TemplateCache(max_templates=3)
    encoded: list[str] = []

    def render(shape: str) -> None:
        def encode(v: Values) -> bytes:
            encoded.append(shape)
            return b"<" + v[0] + b">"

        assert cache.render(shape, [b"1234"], encode) == b"<1234>"

    for shape in "abcad":
        render(shape)
    assert len(cache) == 3
    encoded.clear()
    render("a")
    assert encoded == []
    render("b")
    assert set(encoded) == {"b"}


def test_values_that_change_the_layout_are_refused_a_template() -> None:
    with pytest.raises(AssertionError, match="layout"):
        make_template([1], lambda v: v[0] * v[0][0])
    with pytest.raises(AssertionError, match="exactly once"):
        make_template([1], lambda v: v[0] + v[0])
    with pytest.raises(AssertionError, match="exactly once"):
        make_template([1], lambda v: b"constant")


def test_more_values_than_a_template_can_tell_apart_are_encoded_naively() -> None:
    cache = TemplateCache()
    values = [b"x"] * 46
    assert cache.render("many", values, b"".join) == b"x" * 46
    assert len(cache) == 0


async def test_the_cache_of_negotiations_is_bounded_and_does_not_keep_what_failed(
    router: Router, simulcast_parameters: RtpParameters
) -> None:
    transport = await router.create_plain_transport(
        listen_info={"protocol": "udp", "ip": "127.0.0.1"}
    )
    producer = await transport.produce(kind="video", rtp_parameters=simulcast_parameters)
    consumable = producer.consumable_rtp_parameters
    assert producer_fingerprint(consumable) == producer.fingerprint
    cache = NegotiationCache(max_entries=2)
    caps = router.rtp_capabilities
    first = cache.get(consumable, producer.fingerprint, caps, True)
    assert cache.get(consumable, producer.fingerprint, caps, True) is first
    for i in range(4):
        extension: Any = {"kind": "audio", "uri": f"urn:x:{i}", "preferredId": 14}
        other: Any = {**caps, "headerExtensions": [*caps["headerExtensions"], extension]}
        cache.get(consumable, producer.fingerprint, other, True)
    assert cache.get(consumable, producer.fingerprint, caps, True) is not first
    broken: Any = {"codecs": 3}
    for _ in range(2):
        with pytest.raises(TypeError):
            cache.get(consumable, producer.fingerprint, broken, True)


async def test_callers_who_change_their_capabilities_get_a_new_negotiation(
    router: Router, simulcast_parameters: RtpParameters
) -> None:
    transport = await router.create_plain_transport(
        listen_info={"protocol": "udp", "ip": "127.0.0.1"}
    )
    producer = await transport.produce(kind="video", rtp_parameters=simulcast_parameters)
    caps: RtpCapabilities = {**router.rtp_capabilities}
    first, second = await asyncio.gather(
        transport.consume(producer_id=producer.id, rtp_capabilities=caps),
        transport.consume(producer_id=producer.id, rtp_capabilities=caps),
    )
    caps["headerExtensions"] = []
    third = await transport.consume(producer_id=producer.id, rtp_capabilities=caps)
    assert first.rtp_parameters["headerExtensions"] == second.rtp_parameters["headerExtensions"]
    assert third.rtp_parameters["headerExtensions"] == []
    assert len({c.rtp_parameters["encodings"][0]["ssrc"] for c in (first, second, third)}) == 3
    assert [c.rtp_parameters["mid"] for c in (first, second, third)] == ["0", "1", "2"]
