"""What hosts do about people, what people do about themselves, and who is host after the host."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import (
    MediaToggled,
    ParticipantChanged,
    ParticipantLeft,
    ProducerOpened,
    ProducerPaused,
    RoomChanged,
    WaitingLeft,
)
from kcs_contracts.ids import Generation, MeetingId, ParticipantId, ProducerId, SessionId
from kcs_contracts.live import Acting, as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import Joined, NodeLease, NotInMeeting, Placement, ScreensTaken, Waits
from kcs_contracts.rooms import Assignment, Participant, Producer, Role, Source

Person = Callable[..., Participant]
Join = Callable[..., Any]
ANN, BOB, CY, HAL = (ParticipantId(name) for name in ("ann", "bob", "cy", "hal"))
S1, S2 = SessionId("s1"), SessionId("s2")


@pytest.fixture
def join(placement: Placement, person: Person, meeting: MeetingId) -> Join:
    """Lets somebody in: `await join("hal", role=Role.HOST)`."""

    async def joined(name: str, **fields: Any) -> Participant:
        await asyncio.sleep(0.002)  # who came first is told by the millisecond
        outcome = await placement.join(meeting, person(name, **fields), limit=9)
        assert isinstance(outcome, Joined)
        return outcome.participant

    return joined


@pytest.fixture
async def home(
    placement: Placement, lease: Callable[..., NodeLease], meeting: MeetingId
) -> Assignment:
    """The meeting's, on node `a`."""
    await placement.renew(lease("a"), [])
    return await placement.assign(meeting, warmup_ms=0)


async def now(placement: Placement, meeting: MeetingId, who: ParticipantId) -> Participant:
    return next(p for p in (await placement.snapshot(meeting)).participants if p.id == who)


async def roles(placement: Placement, meeting: MeetingId) -> dict[str, Role]:
    return {p.id: p.role for p in (await placement.snapshot(meeting)).participants}


# --- roles ---------------------------------------------------------------------------------------


async def test_a_role_that_was_given_is_told_once_and_stays_theirs_when_they_come_again(
    placement: Placement, join: Join, meeting: MeetingId, ear: Any
) -> None:
    await join("ann")
    await ear.new()
    for _ in range(2):  # the second changes nothing
        assert await placement.change_role(meeting, ANN, Role.PRESENTER, HAL)
    ann = await now(placement, meeting, ANN)
    assert await ear.events() == [
        RoomChanged(field="role:ann", value='"presenter"', by=HAL),
        ParticipantChanged(participant=ann, what="role", old_role=Role.ATTENDEE, by=HAL),
    ]
    await placement.leave(meeting, ANN, S1)
    assert (await join("ann")).role is Role.PRESENTER
    assert not await placement.change_role(meeting, BOB, Role.HOST, HAL)


async def test_whoever_joins_again_keeps_their_role_and_has_the_name_that_they_say_now(
    placement: Placement, join: Join, meeting: MeetingId, ear: Any
) -> None:
    await join("ann", role=Role.CO_HOST)
    await ear.new()
    renamed = await join("ann", display_name="Anna")
    assert (renamed.role, renamed.display_name) == (Role.CO_HOST, "Anna")
    assert await ear.events() == [ParticipantChanged(participant=renamed, what="display_name")]


# --- mutes, hands --------------------------------------------------------------------------------


async def test_a_mute_marks_pauses_and_switches_off_and_its_end_only_takes_the_mark_away(
    placement: Placement, join: Join, home: Assignment, ear: Any
) -> None:
    meeting, media = home.meeting_id, {"epoch": home.epoch, "generation": Generation(0)}
    await join("ann")
    mic = Producer(id=ProducerId("p1"), participant_id=ANN, source=Source.MIC)
    await placement.open_producer(meeting, mic, **media)
    await ear.new()
    for _ in range(2):  # the second changes nothing
        assert await placement.mute(meeting, ANN, "audio", True, HAL, "noise")
    muted = (await now(placement, meeting, ANN)).model_copy(update={"audio_enabled": True})
    assert await ear.events() == [
        ParticipantChanged(participant=muted, what="audio_muted", by=HAL, note="noise"),
        ProducerPaused(producer_id=mic.id, participant_id=ANN, paused=True),
        MediaToggled(participant_id=ANN, kind="audio", enabled=False),
    ]
    assert await placement.mute(meeting, ANN, "audio", False)
    ann = await now(placement, meeting, ANN)
    assert (ann.audio_muted, ann.audio_enabled) == (False, False)
    assert await ear.events() == [ParticipantChanged(participant=ann, what="audio_muted")]
    assert not await placement.mute(meeting, BOB, "audio", True)


async def test_whoever_is_muted_stays_off_whatever_was_under_way(
    placement: Placement, join: Join, home: Assignment, ear: Any
) -> None:
    meeting, media = home.meeting_id, {"epoch": home.epoch, "generation": Generation(0)}
    await join("ann")
    camera = Producer(id=ProducerId("p1"), participant_id=ANN, source=Source.CAMERA)
    await placement.open_producer(meeting, camera, **media)
    await placement.mute(meeting, ANN, "video", True, HAL)
    await ear.new()
    assert await placement.toggle_media(meeting, ANN, S1, "video", True)
    assert await placement.pause_producer(meeting, camera.id, ANN, False)
    assert await ear.events() == []
    again = camera.model_copy(update={"id": ProducerId("p2")})
    await placement.open_producer(meeting, again, **media)
    held = again.model_copy(update={"paused": True})
    assert (await ear.events())[1:] == [ProducerOpened(producer=held)]
    assert not (await now(placement, meeting, ANN)).video_enabled
    for source in (Source.MIC, Source.SCREEN):  # a mute of the camera is of the camera
        other = Producer(id=ProducerId(source), participant_id=ANN, source=source)
        await placement.open_producer(meeting, other, **media)
    ann = await now(placement, meeting, ANN)
    assert (ann.audio_enabled, ann.screen_sharing) == (True, True)
    await placement.mute(meeting, ANN, "video", False)
    assert await placement.pause_producer(meeting, again.id, ANN, False)
    assert (await now(placement, meeting, ANN)).video_enabled


async def test_whoever_goes_muted_comes_back_muted_unless_they_were_removed_and_added(
    placement: Placement, join: Join, meeting: MeetingId
) -> None:
    for who in (ANN, BOB):
        await join(who)
        await placement.mute(meeting, who, "audio", True, HAL)
    await placement.leave(meeting, ANN, S1)
    await placement.expel(meeting, BOB)
    await placement.welcome(meeting, [BOB])
    assert [(await join(who)).audio_muted for who in (ANN, BOB)] == [True, False]
    await placement.mute(meeting, ANN, "audio", False, HAL)
    await placement.leave(meeting, ANN, S1)
    assert not (await join("ann")).audio_muted


async def test_a_hand_is_up_since_it_was_raised_until_anybody_lowers_it(
    placement: Placement, join: Join, meeting: MeetingId, ear: Any
) -> None:
    await join("ann")
    await ear.new()
    for _ in range(2):
        assert await placement.hand(meeting, ANN, True)
    up = await now(placement, meeting, ANN)
    assert up.hand_raised_at_ms is not None
    assert up.hand_raised_at_ms >= up.joined_at_ms
    for _ in range(2):
        assert await placement.hand(meeting, ANN, False, HAL)
    down = await now(placement, meeting, ANN)
    assert await ear.events() == [
        ParticipantChanged(participant=up, what="hand_raised_at_ms"),
        ParticipantChanged(participant=down, what="hand_raised_at_ms", by=HAL),
    ]
    assert down.hand_raised_at_ms is None
    assert not await placement.hand(meeting, BOB, True)


async def test_what_somebody_shows_is_kept_when_another_session_takes_over(
    placement: Placement, join: Join, meeting: MeetingId
) -> None:
    await join("ann")
    await placement.hand(meeting, ANN, True)
    await placement.mute(meeting, ANN, "audio", True, HAL)
    await placement.report_stats(meeting, ANN, {}, "fair")
    before = await now(placement, meeting, ANN)
    assert await join("ann", session="s2") == before.model_copy(update={"session": S2})


# --- screens -------------------------------------------------------------------------------------


async def test_two_screens_are_shared_at_once_and_no_more(
    placement: Placement, join: Join, meeting: MeetingId
) -> None:
    for name in ("ann", "bob", "cy"):
        await join(name)
    for _ in range(2):  # whoever has a place has it
        for who in (ANN, BOB):
            await placement.start_screen(meeting, who, S1)
    with pytest.raises(ScreensTaken):
        await placement.start_screen(meeting, CY, S1)
    assert not (await now(placement, meeting, CY)).screen_sharing
    assert await placement.stop_screen(meeting, BOB)
    await placement.start_screen(meeting, CY, S1)
    await placement.leave(meeting, ANN, S1)
    await placement.start_screen(meeting, BOB, S1)
    assert not await placement.stop_screen(meeting, ANN)


async def test_one_screen_is_shared_where_the_settings_say_so(
    placement: Placement, join: Join, home: Assignment
) -> None:
    meeting = home.meeting_id
    for name in ("ann", "bob"):
        await join(name)
    await placement.update_settings(meeting, RoomSettings(several_screens=False))
    await placement.start_screen(meeting, ANN, S1)
    screen = Producer(id=ProducerId("p1"), participant_id=BOB, source=Source.SCREEN)
    with pytest.raises(ScreensTaken):
        await placement.open_producer(meeting, screen, epoch=home.epoch, generation=Generation(0))
    assert (await placement.snapshot(meeting)).producers == ()
    await placement.stop_screen(meeting, ANN)
    await placement.open_producer(meeting, screen, epoch=home.epoch, generation=Generation(0))
    await placement.close_producer(meeting, screen.id, None, "transport_closed")
    await placement.start_screen(meeting, ANN, S1)


async def test_nobody_takes_a_screen_who_is_not_there_under_that_session(
    placement: Placement, join: Join, meeting: MeetingId, redis: Redis
) -> None:
    await join("ann", session="s2")
    for who in (ANN, BOB):
        with pytest.raises(NotInMeeting):
            await placement.start_screen(meeting, who, S1)
    assert await redis.exists(f"kcs:screens:{meeting}") == 0


# --- statistics ----------------------------------------------------------------------------------


async def test_what_clients_report_is_kept_a_minute_and_told_when_the_word_for_it_changes(
    placement: Placement, join: Join, meeting: MeetingId, redis: Redis, ear: Any
) -> None:
    await join("ann")
    await ear.new()
    for rtt in (20.5, 30.25):
        assert await placement.report_stats(meeting, ANN, {"rtt": rtt}, "good")
    ann = await now(placement, meeting, ANN)
    assert await ear.events() == [ParticipantChanged(participant=ann, what="quality")]
    assert await placement.reported_stats(meeting) == ['{"rtt":30.25}']
    assert 0 < await redis.pttl(f"kcs:stats:{meeting}") <= 60_000
    await placement.leave(meeting, ANN, S1)
    assert await placement.reported_stats(meeting) == []
    assert not await placement.report_stats(meeting, ANN, {}, "good")
    assert await placement.reported_stats(meeting) == []


# --- the host's succession -----------------------------------------------------------------------


async def test_a_co_host_is_host_when_the_host_has_left_until_the_host_is_back(
    placement: Placement, join: Join, meeting: MeetingId, ear: Any
) -> None:
    await join("hal", role=Role.HOST)
    await join("ann", role=Role.PRESENTER)
    await join("bob", role=Role.CO_HOST)
    await ear.new()
    await placement.leave(meeting, HAL, S1)
    bob = await now(placement, meeting, BOB)
    acting = as_json(Acting(id=BOB, was=Role.CO_HOST))
    assert await ear.events() == [
        ParticipantLeft(participant_id=HAL, display_name="Hal", reason="left", count=2),
        RoomChanged(field="acting", value=acting),
        ParticipantChanged(participant=bob, what="role", old_role=Role.CO_HOST),
    ]
    assert bob.role is Role.HOST
    await join("hal", role=Role.HOST)
    assert await roles(placement, meeting) == {
        "hal": Role.HOST,
        "ann": Role.PRESENTER,
        "bob": Role.CO_HOST,
    }
    assert (await placement.live(meeting)).acting is None


async def test_without_co_hosts_the_presenter_who_is_there_longest_is_host(
    placement: Placement, join: Join, meeting: MeetingId
) -> None:
    await join("hal", role=Role.HOST)
    await join("cy", role=Role.ATTENDEE)
    await join("bob", role=Role.PRESENTER)
    await join("ann", role=Role.PRESENTER)
    await placement.leave(meeting, HAL, S1)
    assert (await roles(placement, meeting))["bob"] is Role.HOST
    await placement.leave(meeting, BOB, S1)
    assert (await roles(placement, meeting))["ann"] is Role.HOST
    await placement.leave(meeting, ANN, S1)
    assert await roles(placement, meeting) == {"cy": Role.ATTENDEE}
    assert (await placement.live(meeting)).acting is None


@pytest.mark.parametrize("why", ["the settings say so", "there is another host"])
async def test_nobody_takes_the_hosts_place_where(
    placement: Placement, join: Join, meeting: MeetingId, why: str
) -> None:
    await join("hal", role=Role.HOST)
    await join("bob", role=Role.CO_HOST)
    if why == "the settings say so":
        await placement.update_settings(meeting, RoomSettings(host_succession=False))
    else:
        await join("ann", role=Role.HOST)
    await placement.leave(meeting, HAL, S1)
    assert (await roles(placement, meeting))["bob"] is Role.CO_HOST


async def test_whoever_is_lost_with_the_host_does_not_take_their_place(
    placement: Placement, join: Join, meeting: MeetingId, ear: Any
) -> None:
    await join("hal", role=Role.HOST)
    await join("bob", role=Role.CO_HOST)
    await join("ann", role=Role.PRESENTER)
    for who in (HAL, BOB):
        await placement.away(meeting, who, S1, 0)
    await asyncio.sleep(0.003)
    await ear.new()
    assert set(await placement.sweep()) == {(meeting, HAL), (meeting, BOB)}
    told = [event for event in await ear.events() if isinstance(event, ParticipantChanged)]
    assert [(event.participant.id, event.participant.role) for event in told] == [
        ("ann", Role.HOST)
    ]


async def test_another_host_who_leaves_does_not_make_the_hosts_place_theirs_who_hold_it(
    placement: Placement, join: Join, meeting: MeetingId
) -> None:
    await join("hal", role=Role.HOST)
    await join("bob", role=Role.CO_HOST)
    await join("ann")
    await placement.leave(meeting, HAL, S1)
    await placement.change_role(meeting, ANN, Role.HOST, BOB)
    await placement.leave(meeting, ANN, S1)
    await join("hal", role=Role.HOST)
    assert (await roles(placement, meeting))["bob"] is Role.CO_HOST


async def test_whoever_is_made_host_while_in_the_hosts_place_stays_host(
    placement: Placement, join: Join, meeting: MeetingId
) -> None:
    await join("hal", role=Role.HOST)
    await join("bob", role=Role.CO_HOST)
    await placement.leave(meeting, HAL, S1)
    assert await placement.change_role(meeting, BOB, Role.HOST, BOB)
    await join("hal", role=Role.HOST)
    assert (await roles(placement, meeting))["bob"] is Role.HOST


# --- erasing -------------------------------------------------------------------------------------


async def traces(redis: Redis, who: str) -> list[str]:
    """Keys that hold that name."""
    found = []
    async for key in redis.scan_iter("kcs:*"):
        match await redis.type(key):
            case b"hash":
                held = repr(await redis.hgetall(key))
            case b"list":
                held = repr(await redis.lrange(key, 0, -1))
            case b"set":
                held = repr(await redis.smembers(key))
            case b"zset":
                held = repr(await redis.zrange(key, 0, -1))
            case _:
                held = repr(await redis.get(key))
        if who in held:
            found.append(key.decode())
    return found


async def test_every_trace_of_a_person_goes_and_nothing_of_others(
    placement: Placement, join: Join, meeting: MeetingId, redis: Redis, ear: Any
) -> None:
    host = ParticipantId("host")  # an id may be a word that stands in the fields
    for name in ("zoe", "bob", "host"):
        await join(name, role=Role.PRESENTER)
    zoe = ParticipantId("zoe")
    await placement.start_screen(meeting, zoe, S1)
    await placement.report_stats(meeting, zoe, {}, "good")
    await placement.change_role(meeting, zoe, Role.CO_HOST, BOB)
    await placement.change_live(meeting, "spotlight", zoe)
    await placement.change_live(meeting, "acting", Acting(id=BOB, was=Role.PRESENTER))
    await ear.new()
    await placement.forget_person(meeting, host)
    assert (await placement.live(meeting)).acting is not None
    await placement.forget_person(meeting, zoe)
    assert await traces(redis, "zoe") == []
    left = [type(event) for event in await ear.events()]
    assert left == [ParticipantLeft, ParticipantLeft, RoomChanged, RoomChanged]
    assert await roles(placement, meeting) == {"bob": Role.PRESENTER}


async def test_marks_and_a_place_in_the_queue_are_traces_too(
    placement: Placement, join: Join, person: Person, meeting: MeetingId, redis: Redis, ear: Any
) -> None:
    await join("bob", role=Role.HOST)
    zoe = ParticipantId("zoe")
    await placement.expel(meeting, zoe, absent=True)
    assert await traces(redis, "zoe")
    await placement.forget_person(meeting, zoe)
    assert await traces(redis, "zoe") == []
    await placement.update_settings(meeting, RoomSettings(require_host_approval=True))
    assert isinstance(await placement.join(meeting, person("zoe"), limit=9), Waits)
    await ear.new()
    await placement.forget_person(meeting, zoe)
    assert await ear.events() == [WaitingLeft(participant_id=zoe, outcome="denied")]
    assert await traces(redis, "zoe") == []


async def test_erasing_somebody_of_an_unknown_meeting_leaves_nothing_behind(
    placement: Placement, meeting: MeetingId, redis: Redis
) -> None:
    await placement.forget_person(meeting, ANN)
    assert await redis.keys("*") == []
