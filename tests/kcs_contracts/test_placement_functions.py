"""The library in Redis, and the connection to it, when things go wrong."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from kcs_contracts.events import ActiveSpeaker
from kcs_contracts.ids import MeetingId, ParticipantId, ProducerId
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import NodeLease, Placement, connect
from kcs_contracts.placement.functions import SOURCE, VERSION
from kcs_contracts.rooms import Participant, Producer, Source

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]


@pytest.fixture
async def fresh(redis: Redis) -> AsyncIterator[Redis]:
    """A Redis without functions."""
    await redis.function_flush("SYNC")
    yield redis
    await redis.function_flush("SYNC")


def at_version(version: int) -> str:
    return SOURCE.replace(f"local VERSION = {VERSION}\n", f"local VERSION = {version}\n")


async def test_a_call_brings_back_a_library_that_redis_lost(
    fresh: Redis, placement: Placement, lease: Lease
) -> None:
    await fresh.function_flush("SYNC")
    await placement.renew(lease("a"), [])
    assert await fresh.fcall("kcs_version", 0) == VERSION


async def test_loading_replaces_an_older_library_and_leaves_a_newer_one(
    fresh: Redis, placement: Placement
) -> None:
    for there, after in ((VERSION - 1, VERSION), (VERSION + 1, VERSION + 1)):
        await fresh.function_load(at_version(there), replace=True)
        await placement.load()
        assert await fresh.fcall("kcs_version", 0) == after


async def test_many_that_load_at_once_do_not_disturb_each_other(fresh: Redis) -> None:
    await asyncio.gather(*(Placement(fresh).load() for _ in range(20)))
    assert await fresh.fcall("kcs_version", 0) == VERSION


async def test_a_cancelled_call_never_gives_its_answer_to_another(
    redis_url: str, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    client = connect(redis_url)
    placement = Placement(client)
    await placement.load()
    chance = random.Random(7)

    async def answered(number: int, patience_s: float) -> str | None:
        try:
            async with asyncio.timeout(patience_s):
                joined = await placement.join(meeting, person(f"p{number}"), limit=1000)
        except TimeoutError:
            return None
        return joined.participant.id

    patience_s = [chance.choice([chance.uniform(0, 0.05), 30]) for _ in range(600)]
    names = await asyncio.gather(*(answered(n, s) for n, s in enumerate(patience_s)))
    gave_up = 0
    for number, name in enumerate(names):
        gave_up += name is None
        assert name == f"p{number}" or (name is None and patience_s[number] < 1)
    assert gave_up > 50
    await placement.settle()
    assert len((await placement.snapshot(meeting)).participants) == 600
    assert not client.connection_pool._in_use_connections
    await client.aclose()


async def test_a_call_whose_caller_gave_up_while_redis_was_stuck_still_happens(
    redis_url: str, redis: Redis, lease: Lease, meeting: MeetingId
) -> None:
    client = connect(redis_url)
    placement = Placement(client)
    await placement.renew(lease("a"), [])
    await redis.client_pause(300)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await placement.assign(meeting, warmup_ms=0)
    other = asyncio.create_task(placement.nodes())
    await placement.settle()
    assert [view.node for view in await other] == ["a"]
    home = await placement.assignment(meeting)
    assert home is not None
    await client.aclose()


async def test_calls_as_replicas_of_version_1_make_them_work_or_change_nothing(
    redis: Redis, placement: Placement, person: Person, meeting: MeetingId
) -> None:
    """A rolling update: version 2 of the library is there, and a replica of before still runs."""
    new = {"hand_raised_at_ms", "audio_muted", "video_muted", "quality"}
    ann, bob = (person(name).model_dump_json(exclude=new) for name in ("ann", "bob"))
    mic = Producer(id=ProducerId("p1"), participant_id=ParticipantId("ann"), source=Source.MIC)

    joined = await redis.fcall("kcs_join", 0, meeting, ann, 9, 30000)
    assert (joined[0], len(joined)) == (b"ok", 6)
    for producers in ([], [mic.model_dump_json()]):
        answer = await redis.fcall("kcs_restore", 0, meeting, ann, 30000, 0, 0, *producers)
        assert answer == [b"ok", 1]
    speaker = ActiveSpeaker(participant_id=None).model_dump_json()
    assert (await redis.fcall("kcs_publish", 0, meeting, speaker))[0] == b"ok"
    snapshot = await placement.snapshot(meeting)
    assert [p.model_copy(update={"joined_at_ms": 1}) for p in snapshot.participants] == [
        person("ann")
    ]
    assert snapshot.producers == (mic,)
    assert await placement.mute(meeting, mic.participant_id, "audio", False)
    assert await placement.hand(meeting, mic.participant_id, False)
    assert (await placement.snapshot(meeting)).version == snapshot.version

    # what version 1 has no word for is an error there, and the meeting is as it was
    await placement.update_settings(meeting, RoomSettings(locked=True))
    assert await redis.fcall("kcs_join", 0, meeting, bob, 9, 30000) == [b"locked"]
    await placement.update_settings(meeting, RoomSettings(require_host_approval=True))
    waits = await redis.fcall("kcs_join", 0, meeting, bob, 9, 30000)
    assert (waits[0], len(waits)) == (b"waiting", 2)
    assert len((await placement.snapshot(meeting)).participants) == 1
    await placement.end(meeting, "expired")
    assert await redis.fcall("kcs_restore", 0, meeting, ann, 30000, 0, 0) == [b"ended"]


async def test_a_call_with_text_that_is_no_json_changes_nothing(
    redis: Redis, placement: Placement, person: Person, meeting: MeetingId
) -> None:
    ann = person("ann").model_dump_json()
    for function, *args in (
        ("kcs_join", "{", 9, 30000),
        ("kcs_restore", "{", 30000, 0, 0, 0),
        ("kcs_restore", ann, 30000, 0, 0, 0, "{"),
        ("kcs_restore", ann, 30000, 0, 0, 2, "settings", "{}", "{"),
        ("kcs_open_producer", "{", 0, 0),
    ):
        with pytest.raises(ResponseError):
            await redis.fcall(function, 0, meeting, *args)
    assert await redis.keys("*") == []
