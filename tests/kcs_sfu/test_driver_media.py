"""Producers, consumers, observers and data channels on a real worker."""

import asyncio
import struct
from typing import Any

import pytest

from kcs_sfu.mediasoup import (
    InvalidRtp,
    InvalidStateError,
    NotFoundError,
    Router,
    UnsupportedError,
)
from kcs_sfu.mediasoup.events import (
    Closed,
    ConsumerScoreChange,
    ConsumerTrace,
    DataProducerPaused,
    DominantSpeaker,
    LayersChange,
    MessageReceived,
    Paused,
    ProducerPaused,
    ProducerResumed,
    ProducerScoreChange,
    ProducerTrace,
    Resumed,
    RtcpReceived,
    Silence,
    VideoOrientationChange,
    Volumes,
)
from kcs_sfu.mediasoup.rtp_parameters import RtpParameters
from kcs_sfu.mediasoup.transport_types import ListenInfo

from .rtp import audio_packets, next_event, rtp_packet

UDP: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}


async def test_a_consumer_lives_from_creation_to_the_end_of_its_producer(
    router: Router, simulcast_parameters: RtpParameters
) -> None:
    sender = await router.create_webrtc_transport(listen_infos=[UDP])
    receiver = await router.create_webrtc_transport(listen_infos=[UDP])
    producer = await sender.produce(
        kind="video", rtp_parameters=simulcast_parameters, key_frame_request_delay_ms=1000
    )
    assert (producer.kind, producer.type, producer.paused) == ("video", "simulcast", False)
    assert router.can_consume(producer_id=producer.id, rtp_capabilities=router.rtp_capabilities)
    consumer = await receiver.consume(
        producer_id=producer.id,
        rtp_capabilities=router.rtp_capabilities,
        paused=True,
        preferred_layers={"spatialLayer": 1, "temporalLayer": 1},
    )
    assert (consumer.kind, consumer.type, consumer.producer_id) == (
        "video",
        "simulcast",
        producer.id,
    )
    assert consumer.paused
    assert not consumer.producer_paused
    assert consumer.preferred_layers == {"spatialLayer": 1, "temporalLayer": 1}
    assert consumer.score == {"score": 10, "producerScore": 0, "producerScores": [0, 0, 0]}
    assert consumer.current_layers is None
    events: list[object] = []
    for kind in (Paused, Resumed, ProducerPaused, ProducerResumed, Closed):
        consumer.on(kind, events.append)
    await consumer.resume()
    await consumer.resume()
    await producer.pause()
    await producer.resume()
    await consumer.pause()
    assert events == [Resumed(), ProducerPaused(), Paused(), ProducerResumed(), Resumed(), Paused()]
    await consumer.set_preferred_layers(spatial_layer=0, temporal_layer=0)
    assert consumer.preferred_layers == {"spatialLayer": 0, "temporalLayer": 0}
    await consumer.set_preferred_layers(spatial_layer=9)
    assert consumer.preferred_layers == {"spatialLayer": 2, "temporalLayer": 2}
    await consumer.set_priority(7)
    assert consumer.priority == 7
    await consumer.unset_priority()
    assert consumer.priority == 1
    await consumer.request_key_frame()
    await consumer.enable_trace_event(["rtp", "pli"])
    dump = await consumer.dump()
    assert dump["id"] == consumer.id
    assert (dump["type"], dump["paused"], dump["priority"]) == ("simulcast", True, 1)
    assert sorted(dump["traceEventTypes"]) == ["pli", "rtp"]
    sent, ours = dump["rtpParameters"], consumer.rtp_parameters
    assert sent["encodings"][0]["ssrc"] == ours["encodings"][0]["ssrc"]
    assert sent["encodings"][0]["rtx"] == ours["encodings"][0]["rtx"]
    assert sent["mid"] == ours["mid"]
    assert sent["rtcp"] == ours["rtcp"]
    assert [c["payloadType"] for c in sent["codecs"]] == [c["payloadType"] for c in ours["codecs"]]
    gone = asyncio.ensure_future(next_event(consumer, Closed))
    await asyncio.sleep(0)
    producer.close()
    assert (await gone).reason == "producerclose"
    assert consumer.closed
    assert receiver.consumers == {}
    assert router.producers == {}


async def test_a_consumer_that_is_closed_leaves_the_worker(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters, paused=True)
    assert producer.paused
    consumer = await transport.consume(
        producer_id=producer.id, rtp_capabilities=router.rtp_capabilities, mid="my-mid"
    )
    assert consumer.producer_paused
    assert consumer.rtp_parameters["mid"] == "my-mid"
    assert "rtx" not in consumer.rtp_parameters["encodings"][0]
    assert (await transport.dump())["consumerIds"] == [consumer.id]
    consumer.close()
    consumer.close()
    dump = await transport.dump()
    assert (dump["consumerIds"], dump["producerIds"]) == ([], [producer.id])
    assert (await producer.dump())["paused"] is True


async def test_an_answer_comes_before_the_events_that_follow_it(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    for _ in range(20):
        producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
        consuming = asyncio.ensure_future(
            transport.consume(producer_id=producer.id, rtp_capabilities=router.rtp_capabilities)
        )
        await asyncio.sleep(0)
        # Both requests leave together: answer and "producer closed" come together too.
        producer.close()
        [consumer] = await asyncio.gather(consuming)
        assert not consumer.closed
        assert (await next_event(consumer, Closed)).reason == "producerclose"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"codecs": []}, (InvalidRtp, UnsupportedError)),
        ({"codecs": "vp8"}, InvalidRtp),
        ({"codecs": [{"mimeType": "audio/opus", "payloadType": 300, "clockRate": 48000}]}, None),
        ({"headerExtensions": [{"uri": "urn:unknown", "id": 3}]}, InvalidRtp),
        ({"encodings": [{"ssrc": 2**40}]}, InvalidRtp),
        ({"encodings": [{"ssrc": -1}]}, InvalidRtp),
        ({"rtcp": {"cname": "\ud800"}}, InvalidRtp),
        ({"mid": 7}, InvalidRtp),
        ({"mid": {1, 2}}, InvalidRtp),
    ],
)
async def test_hostile_producer_parameters_raise_ours_and_change_nothing(
    router: Router, audio_parameters: RtpParameters, change: Any, error: Any
) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    with pytest.raises(error or (InvalidRtp, UnsupportedError)):
        await transport.produce(kind="audio", rtp_parameters={**audio_parameters, **change})
    await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    assert len((await transport.dump())["producerIds"]) == 1


async def test_clients_without_the_codec_cannot_consume(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_webrtc_transport(listen_infos=[UDP])
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    for caps in ({"codecs": []}, {"codecs": 3}, 3, None, {"codecs": [{"kind": "audio"}]}):
        hostile: Any = caps
        assert not router.can_consume(producer_id=producer.id, rtp_capabilities=hostile)
        with pytest.raises((UnsupportedError, InvalidRtp)):
            await transport.consume(producer_id=producer.id, rtp_capabilities=hostile)
    assert not router.can_consume(producer_id="nobody", rtp_capabilities=router.rtp_capabilities)
    assert transport.consumers == {}


async def test_scores_and_traces_are_told(router: Router, audio_parameters: RtpParameters) -> None:
    transport = await router.create_direct_transport()
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    consumer = await transport.consume(
        producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
    )
    await producer.enable_trace_event(["rtp"])
    await consumer.enable_trace_event(["rtp"])
    waits = [
        asyncio.ensure_future(wait)
        for wait in (
            next_event(producer, ProducerScoreChange),
            next_event(consumer, ConsumerScoreChange),
            next_event(producer, ProducerTrace),
            next_event(consumer, ConsumerTrace),
        )
    ]
    await asyncio.sleep(0)
    for packet in audio_packets(11111111, 10, level=30):
        producer.send(packet)
    scores, score, into, out = await asyncio.gather(*waits)
    assert scores.scores == [{"encodingIdx": 0, "ssrc": 11111111, "score": 10}]
    assert producer.score == scores.scores
    assert score.score == {"score": 10, "producerScore": 10, "producerScores": [10]}
    assert consumer.score == score.score
    assert (into.type, into.direction, into.info["rtpPacket"]["ssrc"]) == ("rtp", "in", 11111111)
    assert (out.type, out.direction) == ("rtp", "out")
    assert out.info["rtpPacket"]["ssrc"] == consumer.rtp_parameters["encodings"][0]["ssrc"]


def _vp8(sequence: int, ssrc: int, rid: str, *, key: bool, orientation: int = 0) -> bytes:
    """A frame of one packet: descriptor with picture id and temporal layer 0 (RFC 7741)."""
    descriptor = bytes([0x90, 0xE0, 0x80 | (sequence >> 8 & 0x7F), sequence & 0xFF, 0, 0x20])
    frame = bytes([0x10 if key else 0x11, 2, 0, 0x9D, 0x01, 0x2A, 64, 1, 240, 0]) + bytes(50)
    return rtp_packet(
        payload_type=96,
        sequence=sequence,
        ssrc=ssrc,
        payload=descriptor + frame,
        extensions={10: b"VIDEO", 11: rid.encode(), 13: bytes([orientation])},
    )


async def test_layers_orientation_and_key_frame_requests_are_told(
    router: Router, simulcast_parameters: RtpParameters
) -> None:
    sender = await router.create_direct_transport()
    receiver = await router.create_direct_transport()
    producer = await sender.produce(
        kind="video",
        rtp_parameters={
            **simulcast_parameters,
            "headerExtensions": [
                *simulcast_parameters["headerExtensions"],
                {"uri": "urn:3gpp:video-orientation", "id": 13},
            ],
        },
    )
    consumer = await receiver.consume(
        producer_id=producer.id, rtp_capabilities=router.rtp_capabilities
    )
    layers = asyncio.ensure_future(next_event(consumer, LayersChange))
    turned = asyncio.ensure_future(next_event(producer, VideoOrientationChange))
    await asyncio.sleep(0)
    for sequence in range(1, 30):
        producer.send(_vp8(sequence, 777, "low", key=True, orientation=0b1011))
        await asyncio.sleep(0.005)
    assert (await layers).layers == consumer.current_layers
    assert consumer.current_layers is not None
    assert consumer.current_layers["spatialLayer"] == 0
    assert await turned == VideoOrientationChange(camera=True, flip=False, rotation=270)
    [low] = await producer.get_stats()
    assert (low["rid"], low["ssrc"], low["mimeType"]) == ("low", 777, "video/VP8")
    assert low["bitrateByLayer"]
    asked = asyncio.ensure_future(
        next_event(sender, RtcpReceived, lambda event: event.data[1] == 206)
    )
    await asyncio.sleep(1)  # the worker asks at most once a second
    await consumer.request_key_frame()
    (media_ssrc,) = struct.unpack_from("!I", (await asked).data, 8)
    assert media_ssrc == 777


async def test_audio_levels_and_silence_are_told(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_direct_transport()
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    observer = await router.create_audio_level_observer(
        max_entries=3, threshold=-70, interval_ms=250
    )
    await observer.add_producer(producer_id=producer.id)
    heard = asyncio.ensure_future(next_event(observer, Volumes))
    silent = asyncio.ensure_future(next_event(observer, Silence))
    await asyncio.sleep(0)
    for packet in audio_packets(11111111, 20, level=30):
        producer.send(packet)
    [volume] = (await heard).volumes
    assert (volume.producer, volume.volume) == (producer, -30)
    await silent
    await observer.pause()
    assert observer.paused
    await observer.resume()
    await observer.remove_producer(producer_id=producer.id)
    with pytest.raises(NotFoundError):
        await observer.add_producer(producer_id="nobody")
    with pytest.raises(InvalidStateError):
        await router.create_audio_level_observer(threshold=5)
    observer.close()
    assert (await router.dump())["rtpObserverIds"] == []
    assert router.rtp_observers == {}


async def test_the_dominant_speaker_is_told(
    router: Router, audio_parameters: RtpParameters
) -> None:
    transport = await router.create_direct_transport()
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    observer = await router.create_active_speaker_observer(interval_ms=100)
    await observer.add_producer(producer_id=producer.id)
    speaks = asyncio.ensure_future(next_event(observer, DominantSpeaker))
    await asyncio.sleep(0)
    for packet in audio_packets(11111111, 100, level=20):
        producer.send(packet)
        await asyncio.sleep(0.005)
    assert (await speaks).producer is producer
    reasons: list[str] = []
    observer.on(Closed, lambda event: reasons.append(event.reason))
    router.close()
    assert reasons == ["routerclose"]


async def test_messages_pass_through_data_channels_in_this_process(router: Router) -> None:
    transport = await router.create_direct_transport()
    producer = await transport.produce_data(label="chat", protocol="text")
    consumer = await transport.consume_data(data_producer_id=producer.id, subchannels=[1, 2])
    assert (consumer.label, consumer.protocol, consumer.type) == ("chat", "text", "direct")
    assert sorted(consumer.subchannels) == [1, 2]
    messages: list[MessageReceived] = []
    consumer.on(MessageReceived, messages.append)
    producer.send("hello")
    producer.send(b"\x00\x01")
    producer.send("")
    producer.send("to 1", subchannels=[1])
    producer.send("to 9", subchannels=[9])
    producer.send("wants 7", required_subchannel=7)
    await consumer.dump()  # an answer comes after what was sent before
    assert [(m.data, m.ppid) for m in messages] == [
        (b"hello", 51),
        (b"\x00\x01", 53),
        (b" ", 56),
        (b"to 1", 51),
    ]
    await consumer.add_subchannel(9)
    await consumer.remove_subchannel(1)
    assert sorted(consumer.subchannels) == [2, 9]
    await consumer.set_subchannels([4])
    assert consumer.subchannels == [4]
    [stats] = await producer.get_stats()
    assert (stats["type"], stats["messagesReceived"]) == ("data-producer", 6)
    [sent] = await consumer.get_stats()
    assert (sent["type"], sent["label"]) == ("data-consumer", "chat")
    events: list[object] = []
    for kind in (Paused, Resumed, DataProducerPaused, Closed):
        consumer.on(kind, events.append)
    await producer.pause()
    await producer.resume()
    await consumer.pause()
    await consumer.resume()
    producer.close()
    await router.dump()
    assert events == [
        DataProducerPaused(),
        Paused(),
        Resumed(),
        Paused(),
        Resumed(),
        Closed("dataproducerclose"),
    ]
    assert (router.data_producers, transport.data_consumers) == ({}, {})


async def test_data_consumers_get_streams_of_their_own_and_give_them_back(router: Router) -> None:
    sender = await router.create_webrtc_transport(listen_infos=[UDP], enable_sctp=True)
    receiver = await router.create_webrtc_transport(listen_infos=[UDP], enable_sctp=True)
    producer = await sender.produce_data(
        sctp_stream_parameters={"streamId": 12, "ordered": False, "maxRetransmits": 2},
        label="data",
    )
    assert producer.sctp_stream_parameters is not None
    assert producer.sctp_stream_parameters["streamId"] == 12
    one = await receiver.consume_data(data_producer_id=producer.id)
    assert one.sctp_stream_parameters == {"streamId": 0, "ordered": False, "maxRetransmits": 2}
    two = await receiver.consume_data(data_producer_id=producer.id, ordered=True)
    assert two.sctp_stream_parameters == {"streamId": 1, "ordered": True}
    assert await two.get_buffered_amount() == 0
    await two.set_buffered_amount_low_threshold(1000)
    one.close()
    two.close()
    assert receiver._stream_ids._taken == set()
    with pytest.raises(InvalidRtp):
        await sender.produce_data(sctp_stream_parameters={"streamId": 1 << 20})
    with pytest.raises(InvalidRtp):
        await sender.produce_data()
    with pytest.raises(NotFoundError):
        await receiver.consume_data(data_producer_id="nobody")
