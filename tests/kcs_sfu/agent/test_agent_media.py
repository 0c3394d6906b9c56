"""Media through a real worker, between browsers: who is muted, who gets what when it is short."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kcs_contracts import node_api as api
from kcs_contracts.ids import ParticipantId
from kcs_contracts.rooms import Source
from kcs_sfu.agent.priorities import Sender
from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.events import TransportTrace

from .browser import Browser, connected
from .inside import Inside, consume, until
from .streams import filming, produce, voice

ANN, BEN, CLEO, DORA = (ParticipantId(name) for name in ("ann", "ben", "cleo", "dora"))
CAP_BPS = 900_000
"""Enough for two pictures of the highest layer and a third of the lowest: 750 kbit/s; with a
middle layer for the third it would be 1050."""


@pytest.fixture
async def inside(start_inside: Any) -> Inside:
    """A node."""
    started: Inside = await start_inside()
    return started


async def talking(end: Browser, ssrc: int) -> None:
    """Sends a voice until cancelled, whatever the node thinks of it."""
    for n in range(100_000):
        end.send(voice(n, ssrc))
        await asyncio.sleep(0.02)


def sound(end: Browser) -> list[bytes]:
    """What came of it."""
    return [packet for packet in end.received if b"opus" in packet]


async def test_nothing_of_a_muted_microphone_gets_through_though_its_browser_keeps_sending(
    inside: Inside, opus: Any, tmp_path: Path
) -> None:
    (opened,) = await inside.answers(api.OpenRoom())
    async with (
        connected(inside, ANN, "send", tmp_path) as anns,
        connected(inside, BEN, "recv", tmp_path) as bens,
        asyncio.TaskGroup() as group,
    ):
        produce = api.Produce(participant_id=ANN, source=Source.MIC, rtp_parameters=opus)
        (mic,) = await inside.answers(produce)
        assert not mic.paused
        await inside.answers(
            api.Consume(
                participant_id=BEN,
                producer_id=mic.producer_id,
                rtp_capabilities=opened.rtp_capabilities,
                paused=False,  # flows at once
            )
        )
        talk = group.create_task(talking(anns, 11111))
        await until(lambda: len(sound(bens)) > 10, within_s=5)

        mute = api.SetMuted(participant_id=ANN, kind="audio", muted=True)
        resume = api.ResumeProducer(participant_id=ANN, producer_id=mic.producer_id)
        _, refused, _ = await inside.results(mute, resume, mute)
        assert refused.error is not None
        assert refused.error.code == "MUTED"
        await asyncio.sleep(0.1)  # what was on its way
        before = len(sound(bens))
        await asyncio.sleep(0.5)
        assert len(sound(bens)) == before

        await inside.answers(mute.model_copy(update={"muted": False}))
        await asyncio.sleep(0.3)
        assert len(sound(bens)) == before  # lifted, not resumed
        await inside.answers(resume)
        await until(lambda: len(sound(bens)) > before + 10, within_s=5)
        talk.cancel()


async def test_what_a_muted_participant_opens_is_paused_until_it_is_lifted_or_the_person_left(
    inside: Inside, opus: Any, vp8: Any
) -> None:
    def producing(source: Source, rtp: Any, mid: str) -> api.Produce:
        encodings = [{**e, "rid": f"{e['rid']}{mid}"} for e in vp8["encodings"]]
        return api.Produce(
            participant_id=ANN,
            source=source,
            rtp_parameters={**rtp, "mid": mid} | ({"encodings": encodings} if rtp is vp8 else {}),
        )

    join = api.CreateTransport(participant_id=ANN, direction="send")
    mute = api.SetMuted(participant_id=ANN, kind="video", muted=True)
    everything = (
        producing(Source.MIC, opus, "0"),
        producing(Source.CAMERA, vp8, "1"),
        producing(Source.SCREEN, vp8, "2"),
    )
    *_, mic, camera, screen = await inside.answers(api.OpenRoom(), mute, join, *everything)
    assert [p.paused for p in (mic, camera, screen)] == [False, True, False]

    # a new transport, and a new media plane, are no way out
    *_, again = await inside.answers(join, everything[1])
    assert again.paused
    inside.room.rebuild()
    *_, again = await inside.answers(api.OpenRoom(), join, everything[1])
    assert again.paused

    *_, again = await inside.answers(
        api.CloseParticipant(participant_id=ANN), api.OpenRoom(), join, everything[1]
    )
    assert not again.paused
    await inside.answers(mute)
    assert [p.paused for p in inside.room.participants[ANN].producers.values()] == [True]


async def test_a_participant_muted_while_its_microphone_opens_is_muted(
    inside: Inside, opus: Any
) -> None:
    await inside.answers(api.OpenRoom(), api.CreateTransport(participant_id=ANN, direction="send"))
    produce = api.Produce(participant_id=ANN, source=Source.MIC, rtp_parameters=opus)
    mute = api.SetMuted(participant_id=ANN, kind="audio", muted=True)
    (produced,), _ = await asyncio.gather(inside.answers(produce), inside.answers(mute))
    producer = inside.room.participants[ANN].producers[produced.producer_id]
    assert (await producer.dump())["paused"] is True
    resume = api.ResumeProducer(participant_id=ANN, producer_id=producer.id)
    lift = mute.model_copy(update={"muted": False})
    await asyncio.gather(inside.results(lift, resume), inside.answers(mute))
    assert (await producer.dump())["paused"] is True


async def test_when_bandwidth_is_short_the_screen_and_the_speaker_keep_their_quality(
    inside: Inside, vp8: Any, tmp_path: Path
) -> None:
    (opened,) = await inside.answers(api.OpenRoom())
    room = inside.room
    async with (
        connected(inside, BEN, "recv", tmp_path),
        connected(inside, DORA, "recv", tmp_path),
    ):
        pictures = {
            Sender(CLEO, Source.SCREEN): 10,
            Sender(ANN, Source.CAMERA): 20,
            Sender(CLEO, Source.CAMERA): 30,
        }
        streams = [
            (await produce(inside, *sender, ssrc, vp8), ssrc) for sender, ssrc in pictures.items()
        ]
        room._speaker_changed(ANN)  # as `SpeakerWatch` tells it
        await inside.answers(
            *(
                consume(who, producer, opened).model_copy(update={"paused": False})
                for who in (BEN, DORA)
                for producer, _ in streams
            )
        )
        theirs = {
            who: [room.participants[who].consumer_of(producer.id) for producer, _ in streams]
            for who in (BEN, DORA)
        }
        short, wide = (room.participants[who].transports["recv"] for who in (BEN, DORA))
        estimates: list[TransportTrace] = []
        short.on(TransportTrace, estimates.append)
        await short.enable_trace_event(["bwe"])
        # of use after the first consumer only: it makes the worker's bandwidth estimator
        await short.set_max_outgoing_bitrate(CAP_BPS)
        async with filming(*streams):
            await until(_layers_become([2, 2, 0], theirs[BEN]), within_s=10)
            await until(_layers_become([2, 2, 2], theirs[DORA]), within_s=10)
            room._speaker_changed(CLEO)
            await until(_layers_become([2, 0, 2], theirs[BEN]), within_s=10)
            await asyncio.sleep(1.5)  # bandwidth is shared out anew each second
            assert _layers(theirs[BEN]) == [2, 0, 2]
            assert _layers(theirs[DORA]) == [2, 2, 2]
        assert {trace.info["bweType"] for trace in estimates} == {"transport-cc"}
        stats = [(await transport.get_stats())[0] for transport in (short, wide)]
        assert [each["availableOutgoingBitrate"] for each in stats] == [CAP_BPS, 1_500_000]


def _layers_become(wanted: list[int], consumers: list[Consumer]) -> Callable[[], bool]:
    return lambda: _layers(consumers) == wanted


def _layers(consumers: list[Consumer]) -> list[int]:
    """The spatial layer that each sends; -1: nothing."""
    return [
        -1 if consumer.current_layers is None else consumer.current_layers["spatialLayer"]
        for consumer in consumers
    ]
