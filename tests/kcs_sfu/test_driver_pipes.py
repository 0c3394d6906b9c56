"""pipe_to_router(): a producer of one worker, consumed in another."""

import asyncio

import pytest

from kcs_sfu.mediasoup import InvalidStateError, NotFoundError, PipeTransport, Router
from kcs_sfu.mediasoup.events import Closed, MessageReceived, ProducerPaused, RtpReceived
from kcs_sfu.mediasoup.rtp_parameters import RtpParameters

from .conftest import MEDIA_CODECS, StartWorker
from .rtp import audio_packets, next_event


@pytest.fixture
async def routers(start_worker: StartWorker) -> list[Router]:
    """Two, each in a worker of its own."""
    workers = [await start_worker() for _ in range(2)]
    return [await worker.create_router(media_codecs=MEDIA_CODECS) for worker in workers]


@pytest.mark.parametrize("enable_srtp", [False, True])
async def test_packets_cross_from_one_worker_to_another(
    routers: list[Router], audio_parameters: RtpParameters, enable_srtp: bool
) -> None:
    here, there = routers
    sender = await here.create_direct_transport()
    producer = await sender.produce(
        kind="audio", rtp_parameters=audio_parameters, app_data={"of": "alice"}
    )
    result = await here.pipe_to_router(
        router=there, producer_id=producer.id, enable_srtp=enable_srtp, enable_rtx=True
    )
    copy = result.pipe_producer
    assert copy is not None
    assert result.pipe_consumer is not None
    assert (copy.id, copy.kind, copy.app_data) == (producer.id, "audio", {"of": "alice"})
    assert (result.pipe_consumer.type, result.pipe_data_producer) == ("pipe", None)
    receiver = await there.create_direct_transport()
    consumer = await receiver.consume(
        producer_id=producer.id, rtp_capabilities=there.rtp_capabilities
    )
    heard = asyncio.ensure_future(next_event(consumer, RtpReceived))
    await asyncio.sleep(0)
    for packet in audio_packets(11111111, 10, level=30):
        producer.send(packet)
    assert b"opus" in (await heard).data
    paused = asyncio.ensure_future(next_event(consumer, ProducerPaused))
    await asyncio.sleep(0)
    await producer.pause()
    await paused
    assert copy.paused
    gone = asyncio.ensure_future(next_event(consumer, Closed))
    await asyncio.sleep(0)
    producer.close()
    assert (await gone).reason == "producerclose"
    assert copy.closed


async def test_two_routers_share_one_pair_of_pipes_whoever_asks_and_lose_it_together(
    routers: list[Router], audio_parameters: RtpParameters, simulcast_parameters: RtpParameters
) -> None:
    here, there = routers
    one, two = [await router.create_direct_transport() for router in routers]
    audio = await one.produce(kind="audio", rtp_parameters=audio_parameters)
    video = await one.produce(kind="video", rtp_parameters=simulcast_parameters)
    back = await two.produce(kind="video", rtp_parameters=simulcast_parameters)
    results = await asyncio.gather(
        here.pipe_to_router(router=there, producer_id=audio.id),
        here.pipe_to_router(router=there, producer_id=video.id),
        there.pipe_to_router(router=here, producer_id=back.id),
        here.pipe_to_router(router=there, producer_id=video.id, keep_id=False),
    )
    for router in routers:
        pipes = [t for t in router.transports.values() if isinstance(t, PipeTransport)]
        assert len(pipes) == 1
    assert results[3].pipe_producer is not None
    assert results[3].pipe_producer.id != video.id
    assert results[1].pipe_consumer is not None
    assert len(results[1].pipe_consumer.rtp_parameters["encodings"]) == 3
    there.close()
    assert not any(isinstance(t, PipeTransport) for t in here.transports.values())
    assert all(r.pipe_consumer is not None and r.pipe_consumer.closed for r in results)
    assert not audio.closed
    assert (here._pipes._pairs, there._pipes._pairs) == ({}, {})


async def test_data_crosses_from_one_worker_to_another(routers: list[Router]) -> None:
    here, there = routers
    sender = await here.create_direct_transport()
    producer = await sender.produce_data(label="chat")
    result = await here.pipe_to_router(router=there, data_producer_id=producer.id)
    assert result.pipe_data_producer is not None
    assert (result.pipe_data_producer.id, result.pipe_data_producer.label) == (producer.id, "chat")
    receiver = await there.create_direct_transport()
    consumer = await receiver.consume_data(data_producer_id=producer.id)
    heard = asyncio.ensure_future(next_event(consumer, MessageReceived))
    for _ in range(50):  # until the pipe's SCTP association is up
        producer.send("across")
        await asyncio.sleep(0.05)
        if heard.done():
            break
    assert (await heard).data == b"across"
    producer.close()
    assert (await next_event(consumer, Closed)).reason == "dataproducerclose"


async def test_pipes_that_cannot_be_are_refused_and_leave_nothing(
    routers: list[Router], audio_parameters: RtpParameters
) -> None:
    here, there = routers
    transport = await here.create_direct_transport()
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    with pytest.raises(NotFoundError):
        await here.pipe_to_router(router=there, producer_id="nobody")
    with pytest.raises(InvalidStateError):
        await here.pipe_to_router(router=here, producer_id=producer.id)
    with pytest.raises(TypeError):
        await here.pipe_to_router(router=there)
    there.close()
    with pytest.raises(InvalidStateError):
        await here.pipe_to_router(router=there, producer_id=producer.id)
    assert here._pipes._pairs == {}
    assert list(here.transports.values()) == [transport]


async def test_a_worker_that_dies_takes_the_pipes_to_it_along(
    routers: list[Router], audio_parameters: RtpParameters
) -> None:
    here, there = routers
    transport = await here.create_direct_transport()
    producer = await transport.produce(kind="audio", rtp_parameters=audio_parameters)
    result = await here.pipe_to_router(router=there, producer_id=producer.id)
    assert result.pipe_consumer is not None
    gone = asyncio.ensure_future(next_event(result.pipe_consumer, Closed))
    await asyncio.sleep(0)
    there.worker._process.kill()
    await gone
    assert not producer.closed
    assert list(here.transports.values()) == [transport]
