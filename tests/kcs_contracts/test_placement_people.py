"""Joining, leaving, presence, and who speaks for a participant."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import (
    MediaToggled,
    ParticipantJoined,
    ParticipantLeft,
    ProducerOpened,
    SessionReplaced,
)
from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, ProducerId, SessionId
from kcs_contracts.placement import MeetingFull, MeetingIsOver, NodeLease, Placement, Presence
from kcs_contracts.rooms import Participant, Producer, Source

Lease = Callable[..., NodeLease]
Person = Callable[..., Participant]
ANN = ParticipantId("ann")
S1, S2 = SessionId("s1"), SessionId("s2")
NO_MEDIA = {"epoch": Epoch(0), "generation": Generation(0)}


async def people(placement: Placement, meeting: MeetingId) -> set[str]:
    return {p.id for p in (await placement.snapshot(meeting)).participants}


async def test_a_join_is_published_and_timed_by_redis(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    joined = await placement.join(meeting, person("ann"), limit=2)
    assert (joined.resumed, joined.replaced, joined.count) == (False, None, 1)
    assert abs(joined.participant.joined_at_ms - time.time() * 1000) < 5000
    (published,) = await ear.new()
    assert published.version == joined.version
    assert published.event == ParticipantJoined(participant=joined.participant, count=1)


async def test_a_name_with_any_characters_arrives_as_it_was(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    name = 'Ünï "q" </script> \\ \u2028\x00\x1f 😀'
    odd = person("ann").model_copy(update={"display_name": name})
    assert (await placement.join(meeting, odd, limit=2)).participant.display_name == name
    assert (await placement.snapshot(meeting)).participants[0].display_name == name
    await placement.leave(meeting, ANN, S1)
    assert [getattr(e, "display_name", name) for e in await ear.events()] == [name, name]


async def test_the_same_session_joins_again_without_news(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    first = await placement.join(meeting, person("ann"), limit=1)
    await ear.new()
    again = await placement.join(meeting, person("ann"), limit=1)
    assert again == first.model_copy(update={"resumed": True})
    assert await ear.events() == []


async def test_a_newer_session_replaces_the_older_and_keeps_what_the_participant_had(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    first = await placement.join(meeting, person("ann"), limit=1)
    await placement.toggle_media(meeting, ANN, S1, "video", True)
    await ear.new()
    await asyncio.sleep(0.002)
    second = await placement.join(meeting, person("ann", "s2"), limit=1)
    assert (second.resumed, second.replaced, second.count) == (True, "s1", 1)
    assert second.participant.joined_at_ms == first.participant.joined_at_ms
    assert second.participant.video_enabled
    (published,) = await ear.new()
    assert published.version == second.version
    assert published.event == SessionReplaced(participant_id=ANN, old_session=S1, new_session=S2)


async def test_no_more_than_the_limit_get_in_however_many_come_at_once(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    joins = [placement.join(meeting, person(f"p{n}"), limit=7) for n in range(40)]
    outcomes = await asyncio.gather(*joins, return_exceptions=True)
    assert sum(isinstance(outcome, MeetingFull) for outcome in outcomes) == 33
    assert len(await people(placement, meeting)) == 7


async def test_a_stale_leave_removes_nothing(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann", "s1"), limit=2)
    await placement.join(meeting, person("ann", "s2"), limit=2)
    await ear.new()
    assert not await placement.leave(meeting, ANN, S1)
    assert not await placement.leave(meeting, ParticipantId("bob"), S1)
    assert not await placement.away(meeting, ANN, S1, 0)
    assert not await placement.toggle_media(meeting, ANN, S1, "audio", True)
    assert await placement.sweep() == []
    assert await people(placement, meeting) == {"ann"}
    assert await ear.events() == []


async def test_a_leave_takes_the_producers_along_in_one_event(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
        for source in Source:
            producer = Producer(
                id=ProducerId(f"{name}-{source}"),
                participant_id=ParticipantId(name),
                source=source,
            )
            await placement.open_producer(
                meeting, producer, epoch=home.epoch, generation=Generation(0)
            )
    await ear.new()
    assert await placement.leave(meeting, ANN, S1, "removed")
    assert await ear.events() == [
        ParticipantLeft(participant_id=ANN, display_name="Ann", reason="removed", count=1)
    ]
    left = (await placement.snapshot(meeting)).producers
    assert {p.id for p in left} == {f"bob-{source}" for source in Source}
    assert not await placement.close_producer(meeting, ProducerId("ann-mic"), None)


async def test_a_presence_that_is_not_touched_is_swept_with_the_reason_timeout(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9, presence_ms=1)
    await placement.join(meeting, person("bob"), limit=9)
    await placement.join(meeting, person("eve"), limit=9, presence_ms=1)
    assert await placement.touch([Presence(meeting, ParticipantId("eve"), S1)]) == []
    await ear.new()
    await asyncio.sleep(0.005)
    assert await placement.sweep() == [(meeting, ANN)]
    assert await placement.sweep() == []
    assert await ear.events() == [
        ParticipantLeft(participant_id=ANN, display_name="Ann", reason="timeout", count=2)
    ]


async def test_a_sweep_takes_no_more_than_its_limit(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    for n in range(5):
        await placement.join(meeting, person(f"p{n}"), limit=9, presence_ms=1)
    await asyncio.sleep(0.005)
    assert [len(await placement.sweep(limit=3)) for _ in range(3)] == [3, 2, 0]


async def test_somebody_away_is_gone_after_the_grace_unless_a_join_resumes_it(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=2)
        assert await placement.away(meeting, ParticipantId(name), S1, 1)
    resumed = await placement.join(meeting, person("bob", "s2"), limit=2)
    assert resumed.resumed
    await asyncio.sleep(0.005)
    assert await placement.sweep() == [(meeting, ANN)]
    assert await people(placement, meeting) == {"bob"}


async def test_a_touch_answers_those_who_are_not_there_under_that_session(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    await placement.join(meeting, person("ann", "s2"), limit=9)
    old, new = Presence(meeting, ANN, S1), Presence(meeting, ANN, S2)
    bob = Presence(meeting, ParticipantId("bob"), S1)
    assert await placement.touch([bob, new, old]) == [bob, old]
    assert await placement.touch([]) == []


async def test_a_flushed_participant_is_restored_with_its_producers(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId, ear: Any
) -> None:
    ann = (await placement.join(meeting, person("ann"), limit=9)).participant
    mic = Producer(id=ProducerId("p1"), participant_id=ANN, source=Source.MIC)
    await redis.flushall()
    await ear.new()
    for _ in range(2):  # the second changes nothing
        assert await placement.restore(meeting, ann, [mic], **NO_MEDIA)
    assert await ear.events() == [
        ParticipantJoined(participant=ann, count=1),
        ProducerOpened(producer=mic),
    ]
    snapshot = await placement.snapshot(meeting)
    assert (snapshot.participants, snapshot.producers) == ((ann,), (mic,))
    assert await placement.touch([Presence(meeting, ANN, S1)]) == []


async def test_producers_of_an_older_media_plane_are_not_restored(
    placement: Placement, lease: Lease, person: Person, meeting: MeetingId
) -> None:
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    mic = Producer(id=ProducerId("p1"), participant_id=ANN, source=Source.MIC)
    stale = {"epoch": Epoch(home.epoch - 1), "generation": Generation(0)}
    assert await placement.restore(meeting, person("ann"), [mic], **stale)
    assert (await placement.snapshot(meeting)).producers == ()


async def test_nobody_is_restored_over_a_newer_session_or_into_an_ended_meeting(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    await placement.join(meeting, person("ann", "s2"), limit=9)
    assert not await placement.restore(meeting, person("ann", "s1"), [], **NO_MEDIA)
    assert (await placement.snapshot(meeting)).participants[0].session == "s2"
    await placement.end(meeting, "expired")
    with pytest.raises(MeetingIsOver):
        await placement.restore(meeting, person("ann", "s2"), [], **NO_MEDIA)


async def test_a_toggle_is_news_only_when_it_changes_something(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await ear.new()
    for enabled in (True, True, False):
        assert await placement.toggle_media(meeting, ANN, S1, "audio", enabled)
    assert await ear.events() == [
        MediaToggled(participant_id=ANN, kind="audio", enabled=True),
        MediaToggled(participant_id=ANN, kind="audio", enabled=False),
    ]
