"""Inside a node: who speaks, and rooms that span workers. RTP comes from DirectTransports."""

import asyncio
import os
import signal
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts import node_api as api
from kcs_contracts.events import PUBLISHED, ActiveSpeaker, bus_channel
from kcs_contracts.ids import BootId, Epoch, MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_sfu.agent import operations
from kcs_sfu.agent.metrics import Metrics
from kcs_sfu.agent.node import Node
from kcs_sfu.agent.room import Room
from kcs_sfu.agent.settings import Settings
from kcs_sfu.mediasoup.events import RtpReceived
from kcs_sfu.mediasoup.producer import Producer

MEETING, EPOCH = MeetingId("abc-defg-hij"), Epoch(1000)
ANN, BEN, CLEO = (ParticipantId(name) for name in ("ann", "ben", "cleo"))


class Inside:
    """A node in this process."""

    def __init__(self, node: Node):
        self.node, self._metrics = node, Metrics(node)

    async def results(self, *ops: api.Operation) -> list[api.Result]:
        """Runs a batch."""
        return list((await operations.run(self.node, self._metrics, MEETING, EPOCH, ops)).results)

    async def answers(self, *ops: api.Operation) -> list[Any]:
        """Runs a batch that must succeed."""
        results = await self.results(*ops)
        assert [r.error for r in results if r.error] == []
        return [r.answer for r in results]

    @property
    def room(self) -> Room:
        """The room."""
        return self.node.rooms[MEETING]

    @property
    def consumers(self) -> list[int]:
        """Consumers by worker."""
        return sorted(slot.consumers for slot in self.node.pool.slots)


@pytest.fixture
async def inside(
    redis: Redis, redis_url: str, worker_bin: str, placement: Placement
) -> AsyncIterator[Inside]:
    """A node of two workers that carry two consumers each, with its lease."""
    settings = Settings(
        tickets={"jwks": "unused"},
        node={
            "name": "inside",
            "workers": 2,
            "worker_bin": worker_bin,
            "consumers_per_worker": 2,
        },
        redis={"url": redis_url},
    )
    node = Node(settings, placement, BootId("life"))
    node.control_url = "http://127.0.0.1:1"
    await node.pool.start()
    tasks = [asyncio.create_task(work) for work in (node.lease.run(), node.reporter.run())]
    await asyncio.wait_for(node.lease.acquired.wait(), 5)
    yield Inside(node)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await node.close()


async def microphone(inside: Inside, who: ParticipantId, ssrc: int, opus: Any) -> Producer:
    """A microphone whose packets the test makes."""
    transport = await inside.room.home.router.create_direct_transport()
    rtp = {**opus, "encodings": [{"ssrc": ssrc}], "mid": str(ssrc)}
    producer = await transport.produce(kind="audio", rtp_parameters=rtp)
    inside.room.senders[producer.id] = who
    await inside.room.speakers.add(producer.id)
    return producer


def consume(who: ParticipantId, producer: Producer, opened: api.RoomOpened) -> api.Consume:
    """The operation, with the router's own capabilities."""
    return api.Consume(
        participant_id=who, producer_id=producer.id, rtp_capabilities=opened.rtp_capabilities
    )


@asynccontextmanager
async def speaking(producer: Producer, ssrc: int) -> AsyncIterator[None]:
    """Sends a packet with a loud audio level (RFC 6464) every 20 ms."""

    async def speak() -> None:
        for n in range(10_000):
            header = struct.pack(">BBHII", 0x90, 111, n & 0xFFFF, n * 960, ssrc)
            level = struct.pack(">HHBBH", 0xBEDE, 1, 10 << 4, 0x80 | 20, 0)
            producer.send(header + level + b"opus" * 10)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()


async def until(holds: Callable[[], Any], within_s: float) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        await asyncio.sleep(0.02)


async def test_the_bus_tells_who_speaks_and_when_nobody_does(
    redis: Redis, inside: Inside, opus: Any
) -> None:
    await inside.answers(api.OpenRoom())
    anns = await microphone(inside, ANN, 111, opus)
    bens = await microphone(inside, BEN, 222, opus)
    heard: list[ActiveSpeaker] = []
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(bus_channel(MEETING))

    async def listen() -> None:
        async for message in pubsub.listen():
            event = PUBLISHED.validate_json(message["data"]).event
            assert isinstance(event, ActiveSpeaker)
            heard.append(event)

    listener = asyncio.create_task(listen())
    async with speaking(anns, 111):
        await until(lambda: [e.participant_id for e in heard] == [ANN], within_s=3)
    await until(lambda: [e.participant_id for e in heard] == [ANN, None], within_s=4)
    async with speaking(bens, 222):
        await until(lambda: heard[-1].participant_id == BEN, within_s=4)
    await until(lambda: heard[-1].participant_id is None, within_s=4)
    async with speaking(bens, 222):  # dominant all the time: only the levels tell
        await until(lambda: heard[-1].participant_id == BEN, within_s=4)
    assert len(heard) == 5
    listener.cancel()
    await pubsub.aclose()


async def test_a_room_that_outgrows_its_worker_spans_to_another_through_pipes(
    inside: Inside, opus: Any
) -> None:
    opened, *_ = await inside.answers(
        api.OpenRoom(),
        api.CreateTransport(participant_id=ANN, direction="send"),
        api.CreateTransport(participant_id=BEN, direction="recv"),
    )
    spoken = await microphone(inside, ANN, 111, opus)
    silent = await microphone(inside, ANN, 222, opus)

    await inside.answers(consume(BEN, spoken, opened), consume(BEN, silent, opened))
    assert inside.consumers == [0, 2]
    await inside.answers(api.CreateTransport(participant_id=CLEO, direction="recv"))
    two = await inside.answers(*(consume(CLEO, p, opened) for p in (spoken, silent)))
    assert inside.consumers == [2, 2]
    assert [answer.producer_id for answer in two] == [spoken.id, silent.id]

    (edge,) = {
        router
        for slot in inside.node.pool.slots
        for router in slot.live()[0].routers
        if router is not inside.room.home.router
    }
    assert set(edge.producers) == {spoken.id, silent.id}
    probe = await (await edge.create_direct_transport()).consume(
        producer_id=spoken.id, rtp_capabilities=opened.rtp_capabilities
    )
    packets: list[bytes] = []
    probe.on(RtpReceived, lambda event: packets.append(event.data))
    async with speaking(spoken, 111):
        await until(lambda: len(packets) > 5, within_s=3)

    await inside.answers(api.CloseConsumer(participant_id=CLEO, consumer_id=two[0].consumer_id))
    await until(lambda: set(edge.producers) == {silent.id}, within_s=2)
    again = await inside.answers(consume(CLEO, spoken, opened))
    assert set(edge.producers) == {spoken.id, silent.id}
    assert again[0].producer_id == spoken.id

    silent.close()
    await until(lambda: set(edge.producers) == {spoken.id}, within_s=2)
    await inside.answers(api.CloseParticipant(participant_id=CLEO))
    await until(lambda: not edge.producers, within_s=2)
    await inside.answers(api.CloseRoom())
    assert inside.consumers == [0, 0]


@pytest.mark.parametrize("dies", ["home", "edge"])
async def test_the_death_of_either_worker_resets_a_room_that_spans_both(
    inside: Inside, opus: Any, dies: str
) -> None:
    opened, *_ = await inside.answers(
        api.OpenRoom(), api.CreateTransport(participant_id=BEN, direction="recv")
    )
    producers = [await microphone(inside, ANN, ssrc, opus) for ssrc in (111, 222)]
    await inside.answers(*(consume(BEN, producer, opened) for producer in producers))
    await inside.answers(
        api.CreateTransport(participant_id=CLEO, direction="recv"),
        *(consume(CLEO, producer, opened) for producer in producers),
    )
    assert inside.consumers == [2, 2]
    home = inside.room.home.slot
    edge = next(slot for slot in inside.node.pool.slots if slot is not home)
    worker, _ = (home if dies == "home" else edge).live()
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: inside.node.plane(MEETING) == (EPOCH, 1), within_s=2)
    assert inside.room.participants == {}
    assert inside.consumers == [0, 0]
    await inside.answers(api.OpenRoom())


async def test_a_hundred_consumers_of_one_batch_are_all_there_and_each_only_once(
    inside: Inside, opus: Any
) -> None:
    opened, *_ = await inside.answers(
        api.OpenRoom(), api.CreateTransport(participant_id=BEN, direction="recv")
    )
    producers = [await microphone(inside, ANN, 1000 + n, opus) for n in range(50)]
    await inside.answers(*(consume(BEN, producer, opened) for producer in producers * 2))
    (media,) = await inside.answers(api.DescribeParticipant(participant_id=BEN))
    assert sorted(c.producer_id for c in media.consumers) == sorted(p.id for p in producers)


async def test_batches_at_the_same_time_open_one_room_and_one_transport_each(
    inside: Inside, opus: Any
) -> None:
    newcomers = [ParticipantId(f"p{n}") for n in range(20)]
    await asyncio.gather(
        *(
            inside.answers(
                api.OpenRoom(), api.CreateTransport(participant_id=who, direction="send")
            )
            for who in newcomers
        )
    )
    assert set(inside.room.participants) == set(newcomers)
    assert len(inside.room.home.router.transports) == 20
    same = api.CreateTransport(participant_id=newcomers[0], direction="send")
    made = await asyncio.gather(*(inside.answers(same) for _ in range(5)))
    assert len(inside.room.home.router.transports) == 20
    (media,) = await inside.answers(api.DescribeParticipant(participant_id=newcomers[0]))
    (kept,) = media.transports
    assert kept.transport_id in {answer.transport_id for (answer,) in made}


async def test_a_participant_closed_while_it_gets_a_transport_has_nothing(inside: Inside) -> None:
    await inside.answers(api.OpenRoom())
    create = api.CreateTransport(participant_id=ANN, direction="send")
    opening = asyncio.create_task(inside.results(create))
    await asyncio.sleep(0)
    await inside.answers(api.CloseParticipant(participant_id=ANN))
    (result,) = await opening
    assert result.error is not None
    assert result.error.code == "NOT_FOUND"
    assert len(inside.room.home.router.transports) == 0
