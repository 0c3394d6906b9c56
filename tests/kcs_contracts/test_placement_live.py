"""What holds in a meeting, the news that it keeps, and when it is idle or forgotten."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import (
    ActiveSpeaker,
    ChatDeleted,
    ChatPosted,
    ParticipantJoined,
    Reacted,
    RoomChanged,
)
from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, SessionId
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import Joined, MeetingIsLocked, NodeLease, Placement
from kcs_contracts.rooms import Breakouts, Participant

Person = Callable[..., Participant]
ANN, HAL = ParticipantId("ann"), ParticipantId("hal")
S1 = SessionId("s1")
NO_MEDIA = {"epoch": Epoch(0), "generation": Generation(0)}
MINUTE_MS, DAY_MS = 60_000, 24 * 3600 * 1000


# --- fields --------------------------------------------------------------------------------------


async def test_a_field_is_told_when_it_changes_and_goes(
    placement: Placement, meeting: MeetingId, ear: Any
) -> None:
    for layout in ("grid", "grid", "speaker"):
        assert await placement.change_live(meeting, "layout", layout, HAL)
    for _ in range(2):
        assert await placement.change_live(meeting, "layout", None)
    assert await ear.events() == [
        RoomChanged(field="layout", value='"grid"', by=HAL),
        RoomChanged(field="layout", value='"speaker"', by=HAL),
        RoomChanged(field="layout", value=None),
    ]
    assert (await placement.live(meeting)).fields == {}


async def test_a_field_is_set_only_where_it_is_what_was_expected(
    placement: Placement, meeting: MeetingId, ear: Any
) -> None:
    first, second, third = (Breakouts(rooms=(), closes_at_ms=n) for n in (1, 2, 3))
    assert await placement.change_live(meeting, "breakouts", first, expected=None)
    assert not await placement.change_live(meeting, "breakouts", second, expected=None)
    assert not await placement.change_live(meeting, "breakouts", third, expected=second)
    assert await placement.change_live(meeting, "breakouts", second, expected=first)
    # redis-py may send a call twice: what is so already has been done
    assert await placement.change_live(meeting, "breakouts", second, expected=first)
    assert await placement.breakouts(meeting) == second
    assert len(await ear.new()) == 2


async def test_what_the_records_say_holds_where_nobody_has_said_anything_and_is_told(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    live = {"settings": as_json(RoomSettings()), "record": '{"v":1}'}
    await placement.update_settings(meeting, RoomSettings(guest_chat=True))
    await ear.new()
    joined = await placement.join(meeting, person("ann"), limit=9, live=live)
    assert isinstance(joined, Joined)
    assert await ear.events() == [
        RoomChanged(field="record", value='{"v":1}'),
        ParticipantJoined(participant=joined.participant, count=1),
    ]
    await placement.join(meeting, person("bob"), limit=9, live=live | {"record": '{"v":2}'})
    now = await placement.live(meeting)
    assert (now.settings.guest_chat, now.record) == (True, '{"v":2}')


async def test_a_field_of_null_is_one_that_nobody_has_said(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    live = dict.fromkeys(("settings", "parent", "acting", "role:ann"), "null")
    assert isinstance(await placement.join(meeting, person("ann"), limit=9, live=live), Joined)
    assert await placement.leave(meeting, ANN, S1)


# --- news ----------------------------------------------------------------------------------------


def said(number: int, text: str = "hi") -> ChatPosted:
    return ChatPosted(
        message_id=f"m{number}", sender_id=ANN, sender_name="Ann", text=text, at_ms=number
    )


async def test_news_are_kept_in_order_and_those_above_a_version_are_answered(
    placement: Placement, meeting: MeetingId, redis: Redis
) -> None:
    events = [
        said(1, 'line\nbreak, "quotes", \x00 and 😀'),
        ActiveSpeaker(participant_id=ANN),
        Reacted(participant_id=ANN, emoji="👍", at_ms=2),
        ChatDeleted(message_id="m1", by=HAL),
    ]
    versions = [await placement.publish(meeting, event) for event in events]
    kept = await placement.kept_news(meeting, 0)
    assert [(each.version, each.event) for each in kept] == [
        (version, event) for version, event in zip(versions, events, strict=True)
    ][:1] + list(zip(versions[2:], events[2:], strict=True))
    assert [each.version for each in await placement.kept_news(meeting, versions[2])] == [
        versions[3]
    ]
    assert await placement.kept_news(meeting, versions[3]) == []
    assert 0 < await redis.pttl(f"kcs:log:{meeting}") <= 2 * MINUTE_MS


async def test_no_more_than_200_news_are_kept(placement: Placement, meeting: MeetingId) -> None:
    for number in range(205):
        await placement.publish(meeting, said(number))
    kept = await placement.kept_news(meeting, 0)
    assert [each.event.at_ms for each in kept] == list(range(5, 205))


async def test_no_more_than_a_mebibyte_of_news_is_kept_but_always_the_last(
    placement: Placement, meeting: MeetingId, redis: Redis
) -> None:
    for number in range(100):
        await placement.publish(meeting, said(number, "😀" * 4000))
    log = await redis.lrange(f"kcs:log:{meeting}", 0, -1)
    assert 0.9 < sum(map(len, log)) / 2**20 < 1.05
    kept = await placement.kept_news(meeting, 0)
    assert [each.event.at_ms for each in kept] == list(range(100 - len(log), 100))
    await placement.publish(meeting, said(100, "x" * 2**21))
    (last,) = await placement.kept_news(meeting, 0)
    assert last.event.at_ms == 100


async def test_news_are_kept_for_two_minutes_however_much_is_said_since(
    placement: Placement, meeting: MeetingId, redis: Redis
) -> None:
    log = f"kcs:log:{meeting}"
    for number in range(3):
        await placement.publish(meeting, said(number))
    for index in (1, 2):  # as if they had been said three minutes ago
        at, rest = (await redis.lindex(log, index)).split(b" ", 1)
        await redis.lset(log, index, b"%d %s" % (int(at) - 3 * MINUTE_MS, rest))
    assert [each.event.at_ms for each in await placement.kept_news(meeting, 0)] == [2]
    await placement.publish(meeting, said(3))
    assert await redis.llen(log) == 2


# --- idle and forgotten --------------------------------------------------------------------------


async def due_in_minutes(redis: Redis, meeting: MeetingId) -> float:
    seconds, microseconds = await redis.time()
    due = await redis.zscore("kcs:idle", meeting)
    assert due is not None
    return (due - seconds * 1000 - microseconds / 1000) / MINUTE_MS


async def test_a_meeting_is_idle_from_when_its_last_person_left(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.update_settings(meeting, RoomSettings(idle_minutes=7))
    assert await redis.zcard("kcs:idle") == 0
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
    await placement.leave(meeting, ANN, S1)
    assert await redis.zcard("kcs:idle") == 0
    await placement.leave(meeting, ParticipantId("bob"), S1)
    assert 6.9 < await due_in_minutes(redis, meeting) <= 7
    assert await placement.idle_meetings() == []
    await placement.join(meeting, person("ann"), limit=9)
    assert await redis.zcard("kcs:idle") == 0


async def test_whoever_is_put_back_ends_the_idleness(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.leave(meeting, ANN, S1)
    assert await placement.restore(meeting, person("ann"), [], **NO_MEDIA)
    assert await redis.zcard("kcs:idle") == 0


async def test_idle_meetings_are_answered_again_a_minute_later_and_only_while_they_are_empty(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    other = MeetingId("other")
    await placement.join(other, person("ann"), limit=9)
    await redis.zadd("kcs:idle", {meeting: 1, other: 1})
    assert await placement.idle_meetings() == [meeting]
    assert await placement.idle_meetings() == []
    assert 0.9 < await due_in_minutes(redis, meeting) <= 1
    assert await redis.zscore("kcs:idle", other) is None
    await placement.end(meeting, "idle")
    assert await redis.zcard("kcs:idle") == 0


async def test_a_join_that_is_refused_leaves_nothing_for_longer_than_a_day(
    placement: Placement,
    redis: Redis,
    lease: Callable[..., NodeLease],
    person: Person,
    meeting: MeetingId,
) -> None:
    await placement.renew(lease("a"), [])
    await placement.assign(meeting, warmup_ms=0)
    live = {"settings": as_json(RoomSettings(locked=True)), "host_id": as_json("hal")}
    with pytest.raises(MeetingIsLocked):
        await placement.join(meeting, person("ann"), limit=9, live=live)
    keys = await redis.keys(f"*:{meeting}")
    assert set(keys) == {f"kcs:{kind}:{meeting}".encode() for kind in ("home", "live")}
    for key in keys:
        assert 0 < await redis.pttl(key) <= DAY_MS


async def test_changes_of_a_meeting_with_nobody_in_it_are_forgotten_within_a_day(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.change_live(meeting, "layout", "grid")
    await placement.welcome(meeting, [ANN])
    await placement.publish(meeting, said(1))
    await placement.expel(meeting, ANN, absent=True)
    for key in await redis.keys(f"*:{meeting}"):
        assert 0 < await redis.pttl(key) <= DAY_MS
    await placement.join(meeting, person("bob"), limit=9)
    assert await redis.pttl(f"kcs:live:{meeting}") == -1


# --- the spotlight -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["leaves", "is removed"])
async def test_the_light_goes_out_with_whoever_was_in_it(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any, how: str
) -> None:
    for name in ("ann", "hal"):
        await placement.join(meeting, person(name), limit=9)
    await placement.change_live(meeting, "spotlight", ANN, HAL)
    await placement.leave(meeting, HAL, S1)
    assert (await placement.live(meeting)).spotlight == ANN
    await ear.new()

    if how == "leaves":
        await placement.leave(meeting, ANN, S1)
    else:
        await placement.expel(meeting, ANN)

    assert RoomChanged(field="spotlight", value=None) in await ear.events()
    assert (await placement.live(meeting)).spotlight is None
