"""The bus of a replica, through disconnections."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import ActiveSpeaker, Published, bus_channel
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement import Bus, Placement, connect
from kcs_contracts.placement import bus as bus_module
from kcs_dev.processes import free_port

M1, M2 = MeetingId("m1"), MeetingId("m2")


def speaker(number: int) -> ActiveSpeaker:
    return ActiveSpeaker(participant_id=ParticipantId(f"p{number}"))


class Owner:
    """A replica: it notes what its bus tells."""

    def __init__(self) -> None:
        self.heard: list[Published] = []
        self.gaps: list[MeetingId] = []

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not done():
                await asyncio.sleep(0.005)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
async def bus(
    redis: Redis, redis_url: str, owner: Owner, request: pytest.FixtureRequest
) -> AsyncIterator[Bus]:
    client = Redis.from_url(redis_url, protocol=request.param)
    async with Bus(client, owner.gaps.append) as bus:
        yield bus
    await client.aclose()


async def cut(redis: Redis) -> None:
    """Breaks every connection that listens, as a lost network would."""
    await redis.client_kill_filter(_type="pubsub")


async def test_a_subscriber_hears_everything_from_its_subscription_on_in_order(
    bus: Bus, placement: Placement, owner: Owner
) -> None:
    await placement.publish(M1, speaker(0))
    await bus.subscribe(M1, owner.heard.append)
    versions = [await placement.publish(M1, speaker(n)) for n in range(1, 50)]
    await owner.until(lambda: len(owner.heard) == 49)
    assert [one.version for one in owner.heard] == versions
    assert [one.event for one in owner.heard] == [speaker(n) for n in range(1, 50)]
    assert {one.meeting_id for one in owner.heard} == {M1}


async def test_only_the_subscribed_meetings_are_heard(
    bus: Bus, placement: Placement, owner: Owner
) -> None:
    await bus.subscribe(M1, owner.heard.append)
    await bus.subscribe(M2, owner.heard.append)
    bus.unsubscribe(M1)
    await placement.publish(M1, speaker(1))
    await placement.publish(M2, speaker(2))
    await owner.until(lambda: bool(owner.heard))
    assert [one.meeting_id for one in owner.heard] == [M2]


async def test_a_meeting_left_and_entered_again_is_heard(
    bus: Bus, placement: Placement, owner: Owner
) -> None:
    for number in range(20):
        await bus.subscribe(M1, owner.heard.append)
        await placement.publish(M1, speaker(number))
        await owner.until(lambda: len(owner.heard) == number + 1)  # noqa: B023 - awaited here
        bus.unsubscribe(M1)


async def test_many_subscribe_at_once(bus: Bus, placement: Placement, owner: Owner) -> None:
    meetings = [MeetingId(f"m{n}") for n in range(200)]
    await asyncio.gather(*(bus.subscribe(m, owner.heard.append) for m in meetings))
    for meeting in meetings:
        await placement.publish(meeting, speaker(1))
    await owner.until(lambda: len(owner.heard) == 200)


async def test_a_lost_connection_is_told_as_a_gap_once_it_hears_again(
    bus: Bus, redis: Redis, placement: Placement, owner: Owner
) -> None:
    await bus.subscribe(M1, owner.heard.append)
    await bus.subscribe(M2, owner.heard.append)
    for round_ in range(1, 4):
        await cut(redis)
        await owner.until(lambda: len(owner.gaps) == 2 * round_)  # noqa: B023 - awaited here
        await placement.publish(M1, speaker(round_))
        await owner.until(lambda: len(owner.heard) == round_)  # noqa: B023 - awaited here
    assert sorted(owner.gaps) == [M1] * 3 + [M2] * 3


async def test_subscriptions_made_while_connections_break_are_in_force(
    bus: Bus, redis: Redis, placement: Placement, owner: Owner
) -> None:
    async def breaking() -> None:
        for _ in range(10):
            await cut(redis)
            await asyncio.sleep(0.02)

    meetings = [MeetingId(f"m{n}") for n in range(100)]

    async def entering() -> None:
        for meeting in meetings:
            await bus.subscribe(meeting, owner.heard.append)
            await asyncio.sleep(0.002)

    await asyncio.gather(breaking(), entering())
    await bus.subscribe(MeetingId("last"), owner.heard.append)
    for meeting in meetings:
        await placement.publish(meeting, speaker(1))
    await owner.until(lambda: len(owner.heard) == 100)


async def test_a_message_that_cannot_be_read_is_told_as_a_gap(
    bus: Bus, redis: Redis, placement: Placement, owner: Owner
) -> None:
    await bus.subscribe(M1, owner.heard.append)
    message = '{"meeting_id":"m1","version":1,"event":{"type":"from_the_future"}}'
    await redis.publish(bus_channel(M1), message)
    await owner.until(lambda: owner.gaps == [M1])
    await placement.publish(M1, speaker(1))
    await owner.until(lambda: len(owner.heard) == 1)


async def test_a_handler_that_fails_does_not_stop_the_bus(
    bus: Bus, placement: Placement, owner: Owner
) -> None:
    def failing(published: Published) -> None:
        owner.heard.append(published)
        raise ValueError("a bug of the owner's")

    await bus.subscribe(M1, failing)
    for number in range(3):
        await placement.publish(M1, speaker(number))
    await owner.until(lambda: len(owner.heard) == 3)


async def test_a_bus_started_before_redis_waits_for_it(owner: Owner, tmp_path: Path) -> None:
    port = free_port()
    client = connect(f"redis://127.0.0.1:{port}/0")
    async with Bus(client, owner.gaps.append) as bus:
        entering = asyncio.create_task(bus.subscribe(M1, owner.heard.append))
        await asyncio.sleep(0.2)
        assert not entering.done()
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(10):
                await entering
            await Placement(client).publish(M1, speaker(1))
            await owner.until(lambda: len(owner.heard) == 1)
        finally:
            server.terminate()
            server.wait(timeout=10)
    await client.aclose()


async def test_a_bus_that_is_just_asking_whether_redis_is_there_closes_too(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "_QUIET_S", 0.002)  # it asks all the time
    client = connect(redis_url)
    for number in range(100):
        bus = Bus(client, lambda meeting_id: None)
        await bus.start()
        await asyncio.sleep(0.005 + number * 0.0001)
        async with asyncio.timeout(2):
            await bus.close()
    await client.aclose()
