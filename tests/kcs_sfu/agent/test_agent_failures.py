"""What a node does when its parts die: workers, Redis, itself, or its place in placement."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis

from kcs_contracts import node_api as api
from kcs_contracts.events import PUBLISHED, MediaReset, ProducerClosed, Published, bus_channel
from kcs_contracts.ids import Epoch, MeetingId, NodeName, ParticipantId, SessionId
from kcs_contracts.placement import NoCapacity, Placement
from kcs_contracts.rooms import Participant, Producer, Role, Source

ANN, BEN = ParticipantId("ann"), ParticipantId("ben")
MEETING = MeetingId("abc-defg-hij")


@pytest.fixture
async def node(start_node: Any) -> Any:
    """A node of the test's own, to break."""
    return await start_node()


@asynccontextmanager
async def listening(redis: Redis, meeting: MeetingId) -> AsyncIterator[list[Published]]:
    """What the meeting's bus carries from now on."""
    heard: list[Published] = []
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(bus_channel(meeting))

    async def listen() -> None:
        async for message in pubsub.listen():
            event = PUBLISHED.validate_json(message["data"])
            heard.append(event)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    try:
        yield heard
    finally:
        task.cancel()
        await pubsub.aclose()


async def until(holds: Callable[[], Any], within_s: float) -> Any:
    """Waits until it holds; its value."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = holds()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    pytest.fail(f"did not come true within {within_s} s")


async def place(placement: Placement, meeting: MeetingId, *names: str) -> Epoch:
    """The meeting's home, with these people in it, as signaling makes it."""
    home = await placement.assign(meeting, warmup_ms=0)
    for name in names:
        await placement.join(
            meeting,
            Participant(
                id=ParticipantId(name),
                display_name=name,
                role=Role.PRESENTER,
                session=SessionId(f"s-{name}"),
                joined_at_ms=0,
            ),
            limit=100,
        )
    return home.epoch


async def produce(
    placement: Placement, people: Any, epoch: Epoch, name: str, rtp: dict[str, Any]
) -> str:
    """A camera that signaling has made known."""
    producer_id: str = await people.produce(name, Source.CAMERA, rtp, epoch=epoch)
    generation = (await placement.snapshot(MEETING)).generation
    producer = Producer(id=producer_id, participant_id=ParticipantId(name), source=Source.CAMERA)
    await placement.open_producer(MEETING, producer, epoch=epoch, generation=generation)
    return producer_id


async def test_a_killed_worker_is_back_and_its_rooms_negotiate_again(
    redis: Redis, placement: Placement, node: Any, people: Any, vp8: Any
) -> None:
    epoch = await place(placement, MEETING, "ann", "ben")
    await people.join("ann", "ben", epoch=epoch)
    before = await produce(placement, people, epoch, "ann", vp8)
    async with listening(redis, MEETING) as heard:
        (worker,) = node.workers()
        killed = time.monotonic()
        worker.kill()
        (reset,) = await until(lambda: [p.event for p in heard], within_s=1.5)
        assert isinstance(reset, MediaReset)
        assert (reset.reason, reset.epoch, reset.generation) == ("worker_died", epoch, 1)

        opened, media = (
            await node.results(
                api.OpenRoom(), api.DescribeParticipant(participant_id=ANN), epoch=epoch
            )
        ).results
        assert opened.answer.rtp_capabilities == people.capabilities
        assert (media.answer.transports, media.answer.producers) == ((), ())
        await people.join("ann", "ben", epoch=epoch)
        after = await produce(placement, people, epoch, "ann", vp8)
        results = await node.results(
            people.consume("ben", before), people.consume("ben", after), epoch=epoch
        )
        assert time.monotonic() - killed < 2
    assert results.generation == 1
    assert [r.error.code if r.error else "" for r in results.results] == ["NOT_FOUND", ""]
    snapshot = await placement.snapshot(MEETING)
    assert (snapshot.generation, [p.id for p in snapshot.producers]) == (1, [after])
    status, metrics = await node.text("/metrics")
    assert status == 200
    assert "kcs_sfu_worker_restarts_total 1.0" in metrics
    assert (await node.text("/readyz"))[0] == 200


async def test_operations_while_the_worker_is_dead_wait_for_the_new_one(
    placement: Placement, node: Any, people: Any
) -> None:
    epoch = await place(placement, MEETING, "ann")
    await people.join("ann", epoch=epoch)
    (worker,) = node.workers()
    worker.kill()
    create = api.CreateTransport(participant_id=ANN, direction="send")
    deadline = time.monotonic() + 2
    while True:
        (result,) = (await node.results(create, epoch=epoch)).results
        if result.answer is not None:
            break
        assert result.error.code == "UNAVAILABLE"
        assert time.monotonic() < deadline


async def test_a_worker_that_dies_again_and_again_comes_back_each_time(
    placement: Placement, node: Any, people: Any
) -> None:
    epoch = await place(placement, MEETING, "ann")
    await people.join("ann", epoch=epoch)
    for generation in (1, 2, 3):
        (worker,) = await until(node.workers, within_s=3)
        worker.kill()
        await until(lambda dead=worker: set(node.workers()) - {dead}, within_s=3)
        results = await node.results(api.OpenRoom(), epoch=epoch)
        await people.join("ann", epoch=epoch)
        assert results.generation == generation


async def test_another_workers_death_leaves_a_room_alone(
    start_node: Any, placement: Placement, signing: Any
) -> None:
    node = await start_node(KCS_NODE__WORKERS="2")
    rooms = [MeetingId("room-one"), MeetingId("room-two")]
    for meeting in rooms:
        epoch = await place(placement, meeting)
        await node.answers(
            api.OpenRoom(),
            api.CreateTransport(participant_id=ANN, direction="send"),
            meeting=meeting,
            epoch=epoch,
        )
    first, _ = node.workers()
    first.kill()
    await node.line("room_rebuilding")
    generations, kept = [], []
    for meeting in rooms:
        epoch = await place(placement, meeting)
        results = await node.results(
            api.DescribeParticipant(participant_id=ANN), meeting=meeting, epoch=epoch
        )
        generations.append(results.generation)
        kept.append(len(results.results[0].answer.transports))
    assert sorted(zip(generations, kept, strict=True)) == [(0, 1), (1, 0)]


async def test_a_producer_that_goes_with_its_transport_is_told_on_the_bus(
    redis: Redis, placement: Placement, node: Any, people: Any, vp8: Any
) -> None:
    epoch = await place(placement, MEETING, "ann")
    await people.join("ann", epoch=epoch)
    camera = await produce(placement, people, epoch, "ann", vp8)
    async with listening(redis, MEETING) as heard:
        await node.answers(api.CreateTransport(participant_id=ANN, direction="send"), epoch=epoch)
        closed = (await until(lambda: heard, within_s=2))[0].event
    assert isinstance(closed, ProducerClosed)
    assert (closed.producer_id, closed.reason) == (camera, "transport_closed")


async def test_without_redis_nobody_new_is_admitted_and_running_media_goes_on(
    start_node: Any, own_redis: Any, people_on: Any, vp8: Any
) -> None:
    node = await start_node(KCS_REDIS__URL=own_redis.url)
    people = people_on(node)
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    own_redis.stop()
    newcomer = api.CreateTransport(participant_id=ParticipantId("eve"), direction="send")
    await until(lambda: _not_ready(node), within_s=5)

    assert await node.refused(newcomer) == (503, "NOT_ADMITTING")
    elsewhere = MeetingId("new-meeting")
    assert await node.refused(api.OpenRoom(), meeting=elsewhere) == (503, "NOT_ADMITTING")
    (consumed,) = await node.answers(people.consume("ben", camera))
    await node.answers(
        api.ResumeConsumer(participant_id=BEN, consumer_id=consumed.consumer_id),
        api.CreateTransport(participant_id=ANN, direction="recv"),
        api.OpenRoom(),
    )
    assert (await node.text("/healthz"))[0] == 200

    (worker,) = node.workers()  # even a worker's death is survived without Redis
    worker.kill()
    results = await until(lambda: _reopened(node), within_s=4)
    assert results.generation == 1

    own_redis.start()
    await node.line("lease_renewed_again")
    await node.answers(newcomer)
    assert (await node.text("/readyz"))[0] == 200


async def _not_ready(node: Any) -> bool:
    return bool((await node.text("/readyz"))[0] == 503)


async def _reopened(node: Any) -> Any:
    results = await node.results(api.OpenRoom())
    return results if results.results[0].answer and results.generation else None


async def test_redis_may_come_after_the_node(start_node: Any, own_redis: Any) -> None:
    own_redis.stop()
    node = await start_node(ready=False, KCS_REDIS__URL=own_redis.url)
    await node.line("lease_not_renewed")
    own_redis.start()
    await node.wait_ready()
    assert await node.answers(api.OpenRoom())


async def test_the_room_of_a_meeting_that_is_over_closes_at_the_next_renewal(
    placement: Placement, node: Any, people: Any
) -> None:
    epoch = await place(placement, MEETING, "ann")
    await people.join("ann", epoch=epoch)
    await placement.end(MEETING, "ended_by_host")
    await node.line("room_is_over", within_s=3)
    assert '"rooms":0' in (await node.text("/v1/node"))[1]


async def test_a_meeting_that_moved_away_is_closed_once_people_had_time_to_follow(
    start_node: Any, redis: Redis, placement: Placement, people_on: Any
) -> None:
    first = await start_node()
    epoch = await place(placement, MEETING, "ann")
    await people_on(first).join("ann", epoch=epoch)
    second = await start_node()
    moved = await placement.evict(MEETING, NodeName(first.name), epoch, "moved")
    assert moved is not None
    assert moved.node == second.name
    await first.line("room_moved_away", within_s=3)
    assert '"rooms":1' in (await first.text("/v1/node"))[1]
    assert await first.answers(api.DescribeParticipant(participant_id=ANN), epoch=epoch)
    await first.line("room_closed", within_s=8)
    assert '"rooms":0' in (await first.text("/v1/node"))[1]


async def test_a_drain_mark_keeps_new_rooms_away_and_lets_people_into_those_there(
    placement: Placement, node: Any, people: Any
) -> None:
    epoch = await place(placement, MEETING, "ann")
    await people.join("ann", epoch=epoch)
    await placement.drain(NodeName(node.name))
    await node.line("drain_mark", within_s=3)
    elsewhere = MeetingId("new-meeting")
    assert await node.refused(api.OpenRoom(), meeting=elsewhere) == (503, "NOT_ADMITTING")
    await people.join("ben", epoch=epoch)
    await placement.undrain(NodeName(node.name))
    await until(lambda: _admits(node, elsewhere), within_s=3)


async def _admits(node: Any, meeting: MeetingId) -> bool:
    return '"ready"' in (await node.text("/v1/node"))[1]


async def test_an_empty_room_and_a_room_without_use_close(start_node: Any, people_on: Any) -> None:
    node = await start_node(KCS_NODE__IDLE_ROOM_SECONDS="1.5")
    await people_on(node).join("ann")
    await asyncio.sleep(3)
    assert '"rooms":1' in (await node.text("/v1/node"))[1]
    await node.answers(api.CloseParticipant(participant_id=ANN))
    await node.line("room_closed", within_s=6)


async def test_sigterm_waits_for_the_rooms_and_then_leaves_nothing_behind(
    start_node: Any, placement: Placement, people_on: Any
) -> None:
    node = await start_node(KCS_DRAIN__DEADLINE_SECONDS="30")
    epoch = await place(placement, MEETING, "ann")
    people = people_on(node)
    await people.join("ann", epoch=epoch)
    workers = node.workers()
    node.process.terminate()
    await node.line("draining")
    assert await node.refused(api.OpenRoom(), meeting=MeetingId("new")) == (503, "NOT_ADMITTING")
    with pytest.raises(NoCapacity):
        await placement.assign(MeetingId("new"), warmup_ms=0)
    await node.answers(api.DescribeParticipant(participant_id=ANN), epoch=epoch)
    await node.answers(api.CloseRoom(), epoch=epoch)
    assert await node.ended() == 0
    assert not any(psutil.pid_exists(worker.pid) for worker in workers)
    (view,) = [v for v in await placement.nodes() if v.node == node.name]
    assert (view.alive, view.draining) == (False, False)


async def test_the_drain_deadline_ends_the_rooms_that_are_left(
    start_node: Any, people_on: Any
) -> None:
    node = await start_node(KCS_DRAIN__DEADLINE_SECONDS="1")
    await people_on(node).join("ann")
    started = time.monotonic()
    node.process.terminate()
    assert await node.ended() == 0
    assert 1 <= time.monotonic() - started < 3


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_drain_at_once(
    start_node: Any, placement: Placement, people_on: Any, second: signal.Signals
) -> None:
    node = await start_node(KCS_DRAIN__DEADLINE_SECONDS="60")
    await people_on(node).join("ann")
    workers = node.workers()
    node.process.terminate()
    await node.line("draining")
    node.process.send_signal(second)
    assert await node.ended(within_s=3) == 0
    assert not any(psutil.pid_exists(worker.pid) for worker in workers)


async def test_a_killed_node_leaves_no_worker_behind(start_node: Any, people_on: Any) -> None:
    node = await start_node(KCS_NODE__WORKERS="2")
    await people_on(node).join("ann")
    workers = node.workers()
    assert len(workers) == 2
    node.process.kill()
    await node.ended()
    await until(lambda: not any(_runs(worker) for worker in workers), within_s=1)


def _runs(process: psutil.Process) -> bool:
    """A zombie has ended: nobody here may reap it, as its parent was killed."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_second_process_of_the_same_name_replaces_the_first(start_node: Any) -> None:
    first = await start_node(KCS_NODE__NAME="twin")
    second = await start_node(KCS_NODE__NAME="twin")
    assert await first.ended() == 1
    assert (await first.line("superseded"))["level"] == "error"
    assert await second.answers(api.OpenRoom())


async def test_a_node_that_cannot_start_its_workers_says_why(
    start_node: Any, tmp_path: Path
) -> None:
    node = await start_node(ready=False, KCS_NODE__WORKER_BIN=str(tmp_path / "absent"))
    assert await node.ended(within_s=15) == 1
    error = (await node.line("node_not_started"))["metadata"]["error"]
    assert str(tmp_path / "absent") in error
    assert os.linesep not in error


async def test_bad_settings_are_named(start_node: Any) -> None:
    node = await start_node(ready=False, KCS_MEDIA__PORT="70000", KCS_NODE__WORKERS="none")
    assert await node.ended(within_s=15) == 2
    named = {line["metadata"]["setting"] for line in node.lines()}
    assert named == {"KCS_MEDIA__PORT", "KCS_NODE__WORKERS"}


async def test_metrics_count_what_is_there_and_carry_no_ids(
    node: Any, people: Any, vp8: Any
) -> None:
    await people.join("ann", "ben")
    camera = await people.produce("ann", Source.CAMERA, vp8)
    (consumed,) = await node.answers(people.consume("ben", camera))
    await node.results(people.consume("ben", "0000"))
    status, text = await node.text("/metrics")
    assert status == 200
    for line in (
        "kcs_sfu_workers 1.0",
        "kcs_sfu_rooms 1.0",
        "kcs_sfu_participants 2.0",
        "kcs_sfu_transports 4.0",
        "kcs_sfu_producers 1.0",
        "kcs_sfu_consumers 1.0",
        'kcs_sfu_operations_total{op="consume",result="ok"} 1.0',
        'kcs_sfu_operations_total{op="consume",result="NOT_FOUND"} 1.0',
        'kcs_sfu_operation_seconds_count{op="produce"} 1.0',
        'kcs_sfu_worker_routers{worker="0"} 1.0',
        'kcs_sfu_worker_transports{worker="0"} 4.0',
        'kcs_sfu_worker_producers{worker="0"} 1.0',
        'kcs_sfu_worker_consumers{worker="0"} 1.0',
    ):
        assert line in text
    assert 'kcs_sfu_worker_cpu_seconds_total{worker="0"}' in text
    for memory in ('kcs_sfu_worker_memory_bytes{worker="0"}', "\nprocess_resident_memory_bytes"):
        assert float(text.split(f"{memory} ")[1].split()[0]) > 1e6
    assert 0 <= float(text.split("\nkcs_sfu_lease_age_seconds ")[1].split()[0]) < 2
    for secret in (MEETING, "ann", "ben", camera, consumed.consumer_id):
        assert secret not in text
