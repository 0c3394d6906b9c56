"""Producers, and the media flags that follow them."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import (
    MediaToggled,
    ParticipantChanged,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
)
from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, ProducerId
from kcs_contracts.placement import MayNotSend, NodeLease, NotInMeeting, Placement, StaleEpoch
from kcs_contracts.protocol.roles import senders
from kcs_contracts.rooms import Assignment, Participant, Producer, Role, Source

Person = Callable[..., Participant]
ANN, BOB = ParticipantId("ann"), ParticipantId("bob")
G0 = Generation(0)


@pytest.fixture
async def home(
    placement: Placement,
    lease: Callable[..., NodeLease],
    person: Person,
    meeting: MeetingId,
    ear: Any,
) -> Assignment:
    """A meeting on node `a` with Ann and Bob in it, and nothing left to hear."""
    await placement.renew(lease("a"), [])
    home = await placement.assign(meeting, warmup_ms=0)
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
    await ear.new()
    return home


def producer(name: str, source: Source, *, paused: bool = False) -> Producer:
    return Producer(id=ProducerId(name), participant_id=ANN, source=source, paused=paused)


def toggled(kind: Any, enabled: bool) -> MediaToggled:
    return MediaToggled(participant_id=ANN, kind=kind, enabled=enabled)


def closed(name: str, source: Source, reason: Any = "closed") -> ProducerClosed:
    return ProducerClosed(
        producer_id=ProducerId(name), participant_id=ANN, source=source, reason=reason
    )


async def flags(placement: Placement, meeting: MeetingId) -> tuple[bool, bool, bool]:
    ann = next(p for p in (await placement.snapshot(meeting)).participants if p.id == ANN)
    return ann.audio_enabled, ann.video_enabled, ann.screen_sharing


@pytest.mark.parametrize(
    ("source", "kind", "shown"),
    [
        (Source.MIC, "audio", (True, False, False)),
        (Source.CAMERA, "video", (False, True, False)),
        (Source.SCREEN_AUDIO, None, (False, False, False)),
    ],
)
async def test_the_flags_follow_a_producer_from_opening_to_closing(
    placement: Placement,
    home: Assignment,
    ear: Any,
    source: Source,
    kind: Any,
    shown: tuple[bool, bool, bool],
) -> None:
    meeting, one = home.meeting_id, producer("p1", source)
    on, off = ([toggled(kind, True)], [toggled(kind, False)]) if kind else ([], [])
    assert await placement.open_producer(meeting, one, epoch=home.epoch, generation=G0) is None
    assert await ear.events() == [ProducerOpened(producer=one), *on]
    assert await flags(placement, meeting) == shown
    for paused, more in ((True, off), (False, on)):
        for _ in range(2):  # the second changes nothing
            assert await placement.pause_producer(meeting, one.id, ANN, paused)
        event = ProducerPaused(producer_id=one.id, participant_id=ANN, paused=paused)
        assert await ear.events() == [event, *more]
    assert await placement.close_producer(meeting, one.id, None, "transport_closed")
    assert await ear.events() == [closed("p1", source, "transport_closed"), *off]
    assert await flags(placement, meeting) == (False, False, False)
    assert (await placement.snapshot(meeting)).producers == ()


async def test_a_screen_is_shared_from_opening_to_closing_paused_or_not(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    meeting, one = home.meeting_id, producer("p1", Source.SCREEN, paused=True)

    async def screen(shared: bool) -> ParticipantChanged:
        ann = next(p for p in (await placement.snapshot(meeting)).participants if p.id == ANN)
        assert ann.screen_sharing == shared
        return ParticipantChanged(participant=ann, what="screen_sharing")

    await placement.open_producer(meeting, one, epoch=home.epoch, generation=G0)
    assert await ear.events() == [ProducerOpened(producer=one), await screen(True)]
    for paused in (False, True):
        await placement.pause_producer(meeting, one.id, ANN, paused)
        event = ProducerPaused(producer_id=one.id, participant_id=ANN, paused=paused)
        assert await ear.events() == [event]
    await placement.close_producer(meeting, one.id, ANN)
    assert await ear.events() == [closed("p1", Source.SCREEN), await screen(False)]


async def test_a_producer_opened_paused_leaves_the_flag_off(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    one = producer("p1", Source.MIC, paused=True)
    await placement.open_producer(home.meeting_id, one, epoch=home.epoch, generation=G0)
    assert await ear.events() == [ProducerOpened(producer=one)]
    assert (await placement.snapshot(home.meeting_id)).producers == (one,)


async def test_a_second_producer_of_a_source_takes_the_place_of_the_first(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    meeting, media = home.meeting_id, {"epoch": home.epoch, "generation": G0}
    first, second = producer("p1", Source.MIC), producer("p2", Source.MIC)
    await placement.open_producer(meeting, first, **media)
    await ear.new()
    assert await placement.open_producer(meeting, second, **media) == "p1"
    assert await placement.open_producer(meeting, second, **media) is None
    assert await ear.events() == [closed("p1", Source.MIC), ProducerOpened(producer=second)]
    assert (await placement.snapshot(meeting)).producers == (second,)


async def test_a_producer_of_another_epoch_or_generation_is_refused(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    one = producer("p1", Source.MIC)
    for epoch, generation in ((home.epoch - 1, 0), (home.epoch + 1, 0), (home.epoch, 1)):
        with pytest.raises(StaleEpoch):
            await placement.open_producer(
                home.meeting_id, one, epoch=Epoch(epoch), generation=Generation(generation)
            )
    assert await ear.events() == []


async def test_a_producer_of_somebody_who_is_not_in_the_meeting_is_refused(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    one = Producer(id=ProducerId("p1"), participant_id=ParticipantId("eve"), source=Source.MIC)
    with pytest.raises(NotInMeeting):
        await placement.open_producer(home.meeting_id, one, epoch=home.epoch, generation=G0)
    assert await ear.events() == []


async def test_a_producer_that_the_participants_role_of_now_may_not_send_is_refused(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    meeting, media = home.meeting_id, {"epoch": home.epoch, "generation": G0}
    mic, screen = producer("p1", Source.MIC), producer("p2", Source.SCREEN)

    async def send(one: Producer) -> None:
        await placement.open_producer(meeting, one, roles=senders(one.source), **media)

    with pytest.raises(MayNotSend):
        await send(screen)
    await placement.change_role(meeting, ANN, Role.GUEST, BOB)
    await ear.new()
    with pytest.raises(MayNotSend):
        await send(mic)
    assert await ear.events() == []
    await placement.change_role(meeting, ANN, Role.PRESENTER, BOB)
    for one in (mic, screen):
        await send(one)
    assert set((await placement.snapshot(meeting)).producers) == {mic, screen}


async def test_calls_as_replicas_of_version_4_make_them_work(
    redis: Redis, placement: Placement, home: Assignment
) -> None:
    """They name no roles, and ask whether one answer is true."""
    meeting, mic = home.meeting_id, producer("p1", Source.MIC)
    sent = mic.model_dump_json()
    opened = await redis.fcall("kcs_open_producer", 0, meeting, sent, home.epoch, G0)
    assert opened == [b"ok", b""]
    assert (await placement.snapshot(meeting)).producers == (mic,)
    for name, done in (("ann", True), ("eve", False)):
        for function, *args in (
            ("kcs_change_role", "guest", "bob"),
            ("kcs_mute", "audio", 1, "bob", ""),
        ):
            status, answer = await redis.fcall(function, 0, meeting, name, *args)
            assert (status, bool(answer)) == (b"ok", done)


async def test_nobody_pauses_or_closes_another_ones_producer(
    placement: Placement, home: Assignment, ear: Any
) -> None:
    meeting, one = home.meeting_id, producer("p1", Source.MIC)
    await placement.open_producer(meeting, one, epoch=home.epoch, generation=G0)
    await ear.new()
    assert not await placement.pause_producer(meeting, one.id, BOB, True)
    assert not await placement.close_producer(meeting, one.id, BOB)
    assert not await placement.close_producer(meeting, ProducerId("none"), None)
    assert await ear.events() == []
    assert await placement.close_producer(meeting, one.id, ANN)
