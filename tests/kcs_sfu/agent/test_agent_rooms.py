"""Inside a node: rooms that span workers, and many operations at once."""

import asyncio
import os
import signal
from typing import Any

import pytest

from kcs_contracts import node_api as api
from kcs_contracts.ids import ParticipantId
from kcs_contracts.rooms import Source
from kcs_sfu.mediasoup.events import RtpReceived

from .inside import EPOCH, MEETING, Inside, consume, until
from .streams import microphone, speaking

ANN, BEN, CLEO = (ParticipantId(name) for name in ("ann", "ben", "cleo"))


@pytest.fixture
async def inside(start_inside: Any) -> Inside:
    """A node of two workers that carry two consumers each."""
    started: Inside = await start_inside(workers=2, consumers_per_worker=2)
    return started


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


async def test_the_consumers_of_a_batch_are_asked_for_together_and_answered_in_order(
    inside: Inside, opus: Any
) -> None:
    opened, *_ = await inside.answers(
        api.OpenRoom(), api.CreateTransport(participant_id=BEN, direction="recv")
    )
    producers = [await microphone(inside, ANN, 1000 + n, opus) for n in range(25)]
    ops = [consume(BEN, producer, opened) for producer in producers]
    ops[7] = ops[7].model_copy(update={"producer_id": "nobody"})
    worker, _ = inside.room.home.slot.live()
    batch = asyncio.create_task(inside.results(*ops))
    most = 0
    while not batch.done():
        most = max(most, len(worker._channel._pending))
        await asyncio.sleep(0)
    assert most == 24
    results = await batch
    failed = [n for n, result in enumerate(results) if result.error is not None]
    assert failed == [7]
    answered = [result.answer.producer_id for result in results if result.answer is not None]
    assert answered == [p.id for p in producers if p is not producers[7]]


async def test_what_a_participant_may_have_is_limited_by_the_nodes_settings(
    start_inside: Any, opus: Any
) -> None:
    inside = await start_inside(
        transports_per_participant=4, producers_per_participant=1, consumers_per_participant=2
    )
    opened, *_ = await inside.answers(
        api.OpenRoom(),
        *(api.CreateTransport(participant_id=BEN, direction=d) for d in ("send", "recv")),
    )

    def refusals(results: list[api.Result]) -> set[tuple[str, str]]:
        return {(r.error.code, r.error.message) for r in results if r.error is not None}

    create = api.CreateTransport(participant_id=BEN, direction="send")
    at_once = await asyncio.gather(*(inside.results(create) for _ in range(9)))
    results = [result for (result,) in at_once]
    assert refusals(results) == {("LIMIT", "a participant has at most 4 transports")}
    assert sum(r.error is None for r in results) == 2  # beside the two that live
    assert len(inside.room.participants[BEN].transports) == 2

    producing = [
        api.Produce(
            participant_id=BEN,
            source=Source.MIC,
            rtp_parameters={**opus, "mid": str(n), "encodings": [{"ssrc": n}]},
        )
        for n in (1, 2)
    ]
    results = await inside.results(*producing)
    assert refusals(results[1:]) == {("LIMIT", "a participant has at most 1 producers")}
    assert results[0].error is None

    mics = [await microphone(inside, ANN, 100 + n, opus) for n in range(3)]
    results = await inside.results(*(consume(BEN, mic, opened) for mic in mics))
    assert refusals(results) == {("LIMIT", "a participant has at most 2 consumers")}
    assert sum(r.error is None for r in results) == 2


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
