"""Inside a node: who speaks, how loudly, and what that means for everybody's bandwidth."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby, pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts import node_api as api
from kcs_contracts.events import PUBLISHED, ActiveSpeaker, AudioLevels, bus_channel
from kcs_contracts.ids import ParticipantId
from kcs_contracts.rooms import Source
from kcs_sfu.agent.priorities import OTHER, SCREEN, SPEAKER

from .inside import MEETING, Inside, consume, until
from .streams import microphone, produce, speaking

ANN, BEN, CLEO = (ParticipantId(name) for name in ("ann", "ben", "cleo"))


@pytest.fixture
async def inside(start_inside: Any) -> Inside:
    """A node with an open room."""
    started: Inside = await start_inside()
    await started.answers(api.OpenRoom())
    return started


@asynccontextmanager
async def news(redis: Redis) -> AsyncIterator[tuple[list[Any], list[Any]]]:
    """Who spoke, and how loud all were, as the bus tells from now on."""
    speakers: list[Any] = []
    levels: list[Any] = []
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(bus_channel(MEETING))

    async def listen() -> None:
        async for message in pubsub.listen():
            event = PUBLISHED.validate_json(message["data"]).event
            if isinstance(event, ActiveSpeaker):
                speakers.append(event.participant_id)
            elif isinstance(event, AudioLevels):
                levels.append((asyncio.get_running_loop().time(), event.levels))

    listener = asyncio.create_task(listen())
    try:
        yield speakers, levels
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await pubsub.aclose()


async def test_the_bus_tells_who_speaks_and_when_nobody_does(
    redis: Redis, inside: Inside, opus: Any
) -> None:
    anns = await microphone(inside, ANN, 111, opus)
    bens = await microphone(inside, BEN, 222, opus)
    async with news(redis) as (heard, _):
        async with speaking(anns, 111):
            await until(lambda: heard[-1:] == [ANN], within_s=10)
        await until(lambda: heard[-1] is None, within_s=10)
        async with speaking(bens, 222):
            await until(lambda: heard[-1] == BEN, within_s=10)
        await until(lambda: heard[-1] is None, within_s=10)
        async with speaking(bens, 222):  # dominant all the time: only the levels tell
            await until(lambda: heard[-1] == BEN, within_s=10)
        assert all(one != next_ for one, next_ in pairwise(heard)), "changes alone are told"
        assert [who for who, _ in groupby(filter(None, heard))] == [ANN, BEN]


async def test_the_bus_tells_how_loud_the_five_loudest_are_twice_a_second_until_silence(
    redis: Redis, inside: Inside, opus: Any
) -> None:
    people = [ParticipantId(f"p{n}") for n in range(7)]
    mics = [await microphone(inside, who, 100 + n, opus) for n, who in enumerate(people)]
    async with news(redis) as (_, told):

        def levels() -> list[Any]:
            return [each for _, each in told]

        await asyncio.sleep(0.7)
        assert told == []  # nobody was heard: nothing to tell
        loud = {"p0": -10}  # p1 is below the threshold
        async with speaking(mics[0], 100, 10), speaking(mics[1], 101, 70):
            await until(lambda: levels().count(loud) >= 6, within_s=20)
        now = asyncio.get_running_loop().time
        await until(lambda: levels()[-1] == {} and now() - told[-1][0] > 1.2, within_s=10)
        assert all(each in (loud, {}) for each in levels())
        assert ({}, {}) not in pairwise(levels()), "silence is told once"
        times = [at for at, _ in told]
        assert len(times) <= 2 * (times[-1] - times[0]) + 3  # the first may have come late
        loudest = {f"p{n}": -20 - n for n in range(5)}
        async with AsyncExitStack() as all_speak:
            for n, mic in enumerate(mics):
                await all_speak.enter_async_context(speaking(mic, 100 + n, 20 + n))
            await until(lambda: loudest in levels(), within_s=10)
        assert all(len(each) <= 5 for each in levels())


async def test_screens_come_before_the_speaker_and_the_speaker_before_the_others(
    inside: Inside, opus: Any, vp8: Any
) -> None:
    opened, *_ = await inside.answers(
        api.OpenRoom(), api.CreateTransport(participant_id=BEN, direction="recv")
    )
    screen = await produce(inside, CLEO, Source.SCREEN, 50, vp8)
    cameras = {
        who: await produce(inside, who, Source.CAMERA, n, vp8) for n, who in ((10, ANN), (20, CLEO))
    }
    mics = {who: await microphone(inside, who, n, opus) for n, who in ((111, ANN), (222, CLEO))}
    streams = [screen, *cameras.values(), *mics.values()]
    await inside.answers(*(consume(BEN, producer, opened) for producer in streams))
    ben = inside.room.participants[BEN]

    async def priorities() -> list[int]:
        dumps = [await ben.consumer_of(producer.id).dump() for producer in streams]
        return [dump["priority"] for dump in dumps]

    async def become(*wanted: int) -> None:
        """Waits for them: whoever stumbles is silent for a moment."""
        async with asyncio.timeout(10):
            while await priorities() != list(wanted):
                await asyncio.sleep(0.02)

    assert await priorities() == [SCREEN, OTHER, OTHER, OTHER, OTHER]
    async with speaking(mics[ANN], 111):
        await become(SCREEN, SPEAKER, OTHER, OTHER, OTHER)
        await inside.answers(consume(BEN, cameras[ANN], opened))  # one that comes later
        await become(SCREEN, SPEAKER, OTHER, OTHER, OTHER)
        ben.consumer_of(cameras[CLEO].id).close()  # one that is gone is left alone
        streams.remove(cameras[CLEO])
    async with speaking(mics[CLEO], 222):
        await until(lambda: inside.room.speaker == CLEO, within_s=10)
        await become(SCREEN, OTHER, OTHER, OTHER)
        streams.insert(2, cameras[CLEO])
        await inside.answers(consume(BEN, cameras[CLEO], opened))
        await become(SCREEN, OTHER, SPEAKER, OTHER, OTHER)
