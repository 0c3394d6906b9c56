"""Operations by HTTP on a real node: what they answer, and what they refuse."""

import time
from typing import Any, get_args

import pytest

from kcs_contracts import node_api as api
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.logs import pseudonym
from kcs_contracts.rooms import Source
from kcs_sfu.agent.handlers import HANDLERS

ANN, BEN = ParticipantId("ann"), ParticipantId("ben")
NOBODYS_ID = "00000000-0000-4000-8000-000000000000"


def test_every_operation_of_the_contract_has_a_handler() -> None:
    union, _ = get_args(api.Operation)
    assert set(HANDLERS) == set(get_args(union))


async def test_a_room_offers_vp8_before_the_other_video_codecs(node: Any) -> None:
    (opened,) = await node.answers(api.OpenRoom())
    kinds = [c["mimeType"] for c in opened.rtp_capabilities["codecs"]]
    assert [k for k in kinds if not k.endswith("rtx")] == [
        "audio/opus",
        "video/VP8",
        "video/VP9",
        "video/H264",
        "video/AV1",
    ]


async def test_a_transport_prefers_udp_and_offers_tcp(node: Any) -> None:
    await node.answers(api.OpenRoom())
    (made,) = await node.answers(api.CreateTransport(participant_id=ANN, direction="send"))
    by_priority = sorted(made.ice_candidates, key=lambda c: -c["priority"])
    assert [c["protocol"] for c in by_priority] == ["udp", "tcp"]
    assert all(c["ip"] == "127.0.0.1" and c["port"] > 0 for c in by_priority)
    assert made.dtls_parameters["fingerprints"]


async def test_a_stream_goes_from_one_participant_to_the_other(
    node: Any, people: Any, vp8: Any, opus: Any, dtls: Any
) -> None:
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    mic = await people.produce("ann", Source.MIC, opus)
    video, audio = await node.answers(people.consume("ben", camera), people.consume("ben", mic))
    assert (video.kind, video.type, video.producer_id) == ("video", "simulcast", camera)
    assert (audio.kind, audio.type, audio.producer_paused) == ("audio", "simple", False)
    (media,) = await node.answers(api.DescribeParticipant(participant_id=BEN))
    assert all(consumer.paused for consumer in media.consumers)

    recv = next(t.transport_id for t in media.transports if t.direction == "recv")
    who: dict[str, Any] = {"participant_id": BEN}
    await node.answers(
        api.ConnectTransport(**who, transport_id=recv, dtls_parameters=dtls),
        api.ResumeConsumer(**who, consumer_id=video.consumer_id),
        api.SetPreferredLayers(**who, producer_id=camera, spatial_layer=1, temporal_layer=2),
        api.RequestKeyFrame(**who, consumer_id=video.consumer_id),
        api.PauseConsumer(**who, consumer_id=video.consumer_id),
        api.ResumeConsumer(**who, consumer_id=video.consumer_id),
        api.PauseProducer(participant_id=ANN, producer_id=mic),
        api.ResumeProducer(participant_id=ANN, producer_id=mic),
    )
    (media,) = await node.answers(api.DescribeParticipant(participant_id=BEN))
    paused = {consumer.producer_id: consumer.paused for consumer in media.consumers}
    assert paused == {camera: False, mic: True}

    (stats,) = await node.answers(api.GetStats(participant_id=BEN))
    assert stats.transports[recv][0]["type"] == "webrtc-transport"
    assert stats.consumers[video.consumer_id][0]["kind"] == "video"


async def test_a_new_ice_restart_answers_new_credentials(node: Any, people: Any) -> None:
    await people.join("ann")
    (media,) = await node.answers(api.DescribeParticipant(participant_id=ANN))
    restart = api.RestartIce(participant_id=ANN, transport_id=media.transports[0].transport_id)
    first, second = await node.answers(restart, restart)
    assert first.ice_parameters["usernameFragment"] != second.ice_parameters["usernameFragment"]


async def test_a_second_consumer_of_a_stream_closes_the_first(
    node: Any, people: Any, vp8: Any
) -> None:
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    again = people.consume("ben", camera)
    _, second = await node.answers(again, again)
    (media,) = await node.answers(api.DescribeParticipant(participant_id=BEN))
    assert [consumer.consumer_id for consumer in media.consumers] == [second.consumer_id]


async def test_a_second_transport_of_a_direction_closes_the_first_with_its_streams(
    node: Any, people: Any, vp8: Any
) -> None:
    await people.join("ann")
    await people.produce("ann", Source.CAMERA, vp8)
    (newer,) = await node.answers(api.CreateTransport(participant_id=ANN, direction="send"))
    (media,) = await node.answers(api.DescribeParticipant(participant_id=ANN))
    sends = [t.transport_id for t in media.transports if t.direction == "send"]
    assert (sends, media.producers) == ([newer.transport_id], ())


async def test_a_closed_producer_takes_its_consumers_along(
    node: Any, people: Any, vp8: Any
) -> None:
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    await node.answers(people.consume("ben", camera))
    await node.answers(api.CloseProducer(participant_id=ANN, producer_id=camera))
    (media,) = await node.answers(api.DescribeParticipant(participant_id=BEN))
    assert media.consumers == ()


async def test_what_is_closed_twice_is_not_found_but_a_participant_may_be(
    node: Any, people: Any, vp8: Any
) -> None:
    await people.join("ann")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    close = api.CloseProducer(participant_id=ANN, producer_id=camera)
    gone = api.CloseParticipant(participant_id=ANN)
    results = (await node.results(close, close, gone, gone, api.CloseRoom(), gone)).results
    assert [r.error.code if r.error else None for r in results] == [
        None,
        "NOT_FOUND",
        None,
        None,
        None,
        None,
    ]


async def test_ids_of_other_peoples_things_are_not_found(
    node: Any, people: Any, vp8: Any, dtls: Any
) -> None:
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    (consumed,) = await node.answers(people.consume("ben", camera))
    (bens,) = await node.answers(api.DescribeParticipant(participant_id=BEN))
    transport = bens.transports[0].transport_id
    thief: dict[str, Any] = {"participant_id": ANN}
    attempts = [
        api.ConnectTransport(**thief, transport_id=transport, dtls_parameters=dtls),
        api.RestartIce(**thief, transport_id=transport),
        api.Produce(**thief, transport_id=transport, source=Source.SCREEN, rtp_parameters=vp8),
        api.PauseConsumer(**thief, consumer_id=consumed.consumer_id),
        api.ResumeConsumer(**thief, consumer_id=consumed.consumer_id),
        api.RequestKeyFrame(**thief, consumer_id=consumed.consumer_id),
        api.CloseConsumer(**thief, consumer_id=consumed.consumer_id),
        api.SetPreferredLayers(**thief, producer_id=camera, spatial_layer=0),
        api.PauseProducer(participant_id=BEN, producer_id=camera),
        api.ResumeProducer(participant_id=BEN, producer_id=camera),
        api.CloseProducer(participant_id=BEN, producer_id=camera),
        people.consume("ben", NOBODYS_ID),
        api.GetStats(participant_id=ParticipantId("eve")),
    ]
    results = (await node.results(*attempts)).results
    codes = {
        type(op).__name__: r.error and r.error.code for op, r in zip(attempts, results, strict=True)
    }
    assert set(codes.values()) == {"NOT_FOUND"}, codes
    (after,) = await node.answers(api.DescribeParticipant(participant_id=BEN))
    assert after == bens


async def test_streams_do_not_cross_from_one_meeting_to_another(
    node: Any, people: Any, vp8: Any
) -> None:
    elsewhere = {"meeting": MeetingId("other-meeting")}
    await people.join("ann")
    await people.join("ann", "ben", **elsewhere)
    camera = await people.produce("ann", Source.CAMERA, vp8)
    (result,) = (await node.results(people.consume("ben", camera), **elsewhere)).results
    assert result.error.code == "NOT_FOUND"
    await node.answers(api.CloseRoom(), **elsewhere)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"codecs": "none"},
        {"codecs": [], "encodings": []},
        {"codecs": [{"mimeType": "video/VP8", "payloadType": 10**40, "clockRate": 90000}]},
        {"codecs": [{"mimeType": "video/XYZ", "payloadType": 96, "clockRate": 90000}]},
        {"codecs": [{"mimeType": 7}], "encodings": [None]},
    ],
)
async def test_bad_rtp_parameters_are_invalid_and_change_nothing(
    node: Any, people: Any, vp8: Any, broken: dict[str, Any]
) -> None:
    await people.join("ann")
    bad = api.Produce(participant_id=ANN, source=Source.CAMERA, rtp_parameters=broken)
    good = api.Produce(participant_id=ANN, source=Source.CAMERA, rtp_parameters=vp8)
    refused, produced = (await node.results(bad, good)).results
    assert refused.error.code == "INVALID"
    (media,) = await node.answers(api.DescribeParticipant(participant_id=ANN))
    assert media.producers == (produced.answer.producer_id,)


async def test_a_receiver_without_the_codec_cannot_consume(
    node: Any, people: Any, vp8: Any
) -> None:
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    audio = [c for c in people.capabilities["codecs"] if c["kind"] == "audio"]
    deaf = api.Consume(participant_id=BEN, producer_id=camera, rtp_capabilities={"codecs": audio})
    nonsense = api.Consume(participant_id=BEN, producer_id=camera, rtp_capabilities={"codecs": [1]})
    results = (await node.results(deaf, nonsense)).results
    assert [r.error.code for r in results] == ["CANNOT_CONSUME", "INVALID"]


async def test_bad_dtls_parameters_are_invalid(node: Any, people: Any) -> None:
    await people.join("ann")
    (media,) = await node.answers(api.DescribeParticipant(participant_id=ANN))
    ids = media.transports[0].transport_id
    bad = ({}, {"fingerprints": []}, {"fingerprints": [{"algorithm": "md5", "value": "x"}]})
    ops = [
        api.ConnectTransport(participant_id=ANN, transport_id=ids, dtls_parameters=parameters)
        for parameters in bad
    ]
    results = (await node.results(*ops)).results
    assert [r.error.code for r in results if r.error] == ["INVALID"] * 3


async def test_the_ninth_producer_of_a_participant_is_over_the_limit(
    node: Any, people: Any, opus: Any
) -> None:
    await people.join("ann")
    ops = [
        api.Produce(
            participant_id=ANN,
            source=Source.MIC,
            rtp_parameters={**opus, "mid": str(n), "encodings": [{"ssrc": 100 + n}]},
        )
        for n in range(9)
    ]
    results = (await node.results(*ops)).results
    assert [r.error.code if r.error else "" for r in results] == [""] * 8 + ["LIMIT"]


async def test_operations_on_a_room_that_is_not_open_are_not_found(node: Any) -> None:
    ops = (
        api.GetStats(participant_id=ANN),
        api.SetMuted(participant_id=ANN, kind="audio", muted=True),
    )
    results = (await node.results(*ops)).results
    assert [result.error.code for result in results] == ["NOT_FOUND"] * 2


async def test_a_meeting_that_is_looked_into_is_logged_in_detail_and_no_other_is(
    start_node: Any, people_on: Any, dtls: Any
) -> None:
    node = await start_node()
    people, other = people_on(node), {"meeting": MeetingId("other-meeting")}
    key, until_ms = "5a" * 32, int(time.time() * 1000) + 60_000
    await people.join("ann", **other)
    await node.answers(api.SetDebug(until_ms=until_ms, pseudonym_key=key))
    await node.answers(api.OpenRoom())
    (made,) = await node.answers(api.CreateTransport(participant_id=BEN, direction="send"))
    connect = api.ConnectTransport(
        participant_id=BEN, transport_id=made.transport_id, dtls_parameters=dtls
    )
    await node.results(connect, connect)
    await people.join("ben", **other)
    await node.answers(api.SetDebug(until_ms=0))
    await node.answers(api.CloseParticipant(participant_id=BEN))
    debug = [line for line in node.lines() if line["level"] == "debug"]
    assert {line["meeting_id"] for line in debug} == {"abc-defg-hij"}
    operations = [line for line in debug if line["event"] == "operation"]
    ben = pseudonym(bytes.fromhex(key), "ben")
    assert [
        (line["metadata"]["op"], line["user_id"], line["metadata"]["result"]) for line in operations
    ] == [
        ("set_debug", None, "ok"),
        ("open_room", None, "ok"),
        ("create_transport", ben, "ok"),
        ("connect_transport", ben, "ok"),
        ("connect_transport", ben, "INVALID"),
    ]
    assert all(line["metadata"]["ms"] > 0 for line in operations)
    text = node.log.read_text()
    for secret in (made.ice_parameters["password"], dtls["fingerprints"][0]["value"]):
        assert secret not in text


async def test_a_bad_body_is_refused_with_its_reason(node: Any, signing: Any) -> None:
    meeting = MeetingId("abc-defg-hij")
    ticket = signing.ticket(node, meeting, 1000)
    bodies = [
        b"",
        b"{",
        b"[]",
        b'{"ops": []}',
        b'{"ops": [{"op": "format_disk"}]}',
        b'{"ops": [{"op": "open_room", "extra": 1}]}',
        b'{"ops": [{"op": "close_participant", "participant_id": "../x"}]}',
        b'{"ops": [' + b",".join([b'{"op": "open_room"}'] * 201) + b"]}",
        b'{"ops": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ]
    for body in bodies:
        status, answer = await node.post(ticket, body)
        assert (status, answer["error"]["code"]) == (422, "INVALID"), body
    status, answer = await node.post(ticket, b" " * (256 * 1024 + 1))
    assert (status, answer["error"]["code"]) == (413, "INVALID")
    assert await node.answers(api.OpenRoom())
