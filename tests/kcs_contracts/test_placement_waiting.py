"""Who has to wait for a host, who is let in or kept out, and the marks that say so."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.events import (
    ParticipantJoined,
    ParticipantLeft,
    RoomChanged,
    WaitingJoined,
    WaitingLeft,
)
from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, SessionId
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.placement import (
    Joined,
    MeetingFull,
    MeetingIsLocked,
    MeetingIsOver,
    Placement,
    Presence,
    Waits,
    WasRemoved,
)
from kcs_contracts.rooms import Participant, Role, Waiting

Person = Callable[..., Participant]
ANN, BOB = ParticipantId("ann"), ParticipantId("bob")
S1, S2 = SessionId("s1"), SessionId("s2")
NO_MEDIA = {"epoch": Epoch(0), "generation": Generation(0)}
APPROVAL = RoomSettings(require_host_approval=True)
DAY_MS = 24 * 3600 * 1000
MAX_MARKS = 5000


@pytest.fixture
async def meeting(placement: Placement, meeting: MeetingId, ear: Any) -> MeetingId:
    """Whoever comes in needs a host's approval; nothing is left to hear."""
    await placement.update_settings(meeting, APPROVAL)
    await ear.new()
    return meeting


async def queue(placement: Placement, meeting: MeetingId) -> tuple[Waiting, ...]:
    return (await placement.snapshot(meeting)).waiting


async def full_of_marks(redis: Redis, meeting: MeetingId) -> None:
    marks = {f"admitted:p{n}": "true" for n in range(MAX_MARKS)}
    await redis.hset(f"kcs:live:{meeting}", mapping=marks)


# --- the queue -----------------------------------------------------------------------------------


async def test_whoever_waits_is_told_of_once_and_again_from_another_session(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    first = await placement.join(meeting, person("ann"), limit=9)
    assert await placement.join(meeting, person("ann"), limit=9) == first
    assert isinstance(first, Waits)
    (waits,) = await queue(placement, meeting)
    assert (waits.id, waits.session) == (ANN, S1)
    (told,) = await ear.new()
    assert (told.version, told.event) == (first.version, WaitingJoined(person=waits))
    await placement.join(meeting, person("ann", "s2"), limit=9)
    moved = waits.model_copy(update={"session": S2})
    assert await ear.events() == [WaitingJoined(person=moved)]
    assert await queue(placement, meeting) == (moved,)
    assert (await placement.snapshot(meeting)).participants == ()


async def test_hosts_and_whoever_is_in_already_do_not_wait(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    await placement.update_settings(meeting, RoomSettings())
    await placement.join(meeting, person("ann"), limit=9)
    await placement.update_settings(meeting, APPROVAL)
    for one in (
        person("hal", role=Role.HOST),
        person("cora", role=Role.CO_HOST),
        person("ann", "s2"),
    ):
        assert isinstance(await placement.join(meeting, one, limit=9), Joined)
    assert isinstance(
        await placement.join(meeting, person("pia", role=Role.PRESENTER), limit=9), Waits
    )


async def test_whoever_waits_and_does_not_have_to_any_more_comes_in_and_waits_no_longer(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.update_settings(meeting, RoomSettings())
    await ear.new()
    joined = await placement.join(meeting, person("ann"), limit=9)
    assert isinstance(joined, Joined)
    assert await ear.events() == [
        WaitingLeft(participant_id=ANN, outcome="left"),
        ParticipantJoined(participant=joined.participant, count=1),
    ]
    assert await queue(placement, meeting) == ()


async def test_the_queue_has_an_end(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await redis.hset(f"kcs:waiting:{meeting}", mapping={f"p{n}": "{}" for n in range(1000)})
    with pytest.raises(MeetingFull):
        await placement.join(meeting, person("ann"), limit=9)
    assert await redis.zcard("kcs:presence") == 0


async def test_whoever_waits_is_gone_when_they_leave_or_are_not_touched(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.join(meeting, person("bob"), limit=9, presence_ms=1)
    await ear.new()
    assert await placement.touch([Presence(meeting, ANN, S1)]) == []
    assert await placement.touch([Presence(meeting, ANN, S2)]) == [Presence(meeting, ANN, S2)]
    await asyncio.sleep(0.003)
    assert await placement.sweep() == []
    assert not await placement.leave(meeting, ANN, S2)
    assert not await placement.leave(meeting, ANN, S1)
    assert await ear.events() == [
        WaitingLeft(participant_id=who, outcome="left") for who in (BOB, ANN)
    ]
    assert await queue(placement, meeting) == ()


async def test_a_meeting_is_not_empty_while_somebody_waits(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    live = f"kcs:live:{meeting}"
    assert 0 < await redis.pttl(live) <= DAY_MS
    await placement.join(meeting, person("ann"), limit=9)
    assert await redis.pttl(live) == -1
    assert await redis.zscore("kcs:idle", meeting) is None
    await placement.leave(meeting, ANN, S1)
    assert await redis.zscore("kcs:idle", meeting) is not None
    for key in await redis.keys(f"*:{meeting}"):
        assert 0 < await redis.pttl(key) <= DAY_MS


# --- admitting and turning away ------------------------------------------------------------------


async def test_whoever_is_admitted_comes_in_and_may_come_again(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await ear.new()
    assert await placement.admit(meeting, [BOB, ANN]) == [ANN]
    assert await placement.admit(meeting, [ANN]) == []
    assert await ear.events() == [WaitingLeft(participant_id=ANN, outcome="admitted")]
    for _ in range(2):
        assert isinstance(await placement.join(meeting, person("ann"), limit=9), Joined)
        await placement.leave(meeting, ANN, S1)


async def test_all_are_admitted_where_nobody_is_named(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    names = {f"p{n}" for n in range(9)}
    for name in names:
        await placement.join(meeting, person(name), limit=99)
    assert set(await placement.admit(meeting)) == names
    assert await placement.admit(meeting) == []
    assert await queue(placement, meeting) == ()


async def test_whoever_was_turned_away_may_ask_again(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await ear.new()
    assert await placement.deny(meeting, ANN, "not now")
    assert not await placement.deny(meeting, ANN, "not now")
    assert await ear.events() == [WaitingLeft(participant_id=ANN, outcome="denied", note="not now")]
    assert isinstance(await placement.join(meeting, person("ann"), limit=9), Waits)


async def test_whoever_brings_an_admission_along_does_not_wait(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    mark = {"admitted:ann": "true"}
    joined = await placement.join(meeting, person("ann"), limit=9, live=mark)
    assert isinstance(joined, Joined)
    assert (await ear.events())[0] == RoomChanged(field="admitted:ann", value="true")


# --- removing and welcoming ----------------------------------------------------------------------


async def test_whoever_was_removed_stays_out_until_they_are_welcome(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann", role=Role.HOST), limit=9)
    await ear.new()
    assert await placement.expel(meeting, ANN, "rude")
    assert not await placement.expel(meeting, ANN, "rude")
    when = (await placement.live(meeting)).fields["removed:ann"]
    assert await ear.events() == [
        RoomChanged(field="removed:ann", value=when),
        ParticipantLeft(
            participant_id=ANN, display_name="Ann", reason="removed", count=0, note="rude"
        ),
    ]
    assert abs(int(when) - time.time() * 1000) < 5000
    with pytest.raises(WasRemoved):
        await placement.join(meeting, person("ann", role=Role.HOST), limit=9)
    for _ in range(2):  # the second changes nothing
        await placement.welcome(meeting, [ANN])
    assert await ear.events() == [
        RoomChanged(field="removed:ann", value=None),
        RoomChanged(field="admitted:ann", value="true"),
    ]
    assert isinstance(await placement.join(meeting, person("ann"), limit=9), Joined)


async def test_whoever_waits_is_removed_and_welcome_as_well(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
    await placement.admit(meeting, [BOB])
    await ear.new()
    assert await placement.expel(meeting, ANN, "no")
    assert (await ear.events())[-1] == WaitingLeft(participant_id=ANN, outcome="denied", note="no")
    assert not await placement.expel(meeting, BOB)
    assert await placement.expel(meeting, BOB, absent=True)
    for name in ("ann", "bob"):
        with pytest.raises(WasRemoved):
            await placement.join(meeting, person(name), limit=9)
    await placement.welcome(meeting, [ANN])
    await placement.join(meeting, person("cy"), limit=9)
    await placement.welcome(meeting, [ParticipantId("cy")])
    assert await queue(placement, meeting) == ()


async def test_nobody_is_put_back_who_was_removed_or_waits(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    hal = person("hal", role=Role.HOST)
    await placement.join(meeting, hal, limit=9)
    await placement.expel(meeting, hal.id)
    with pytest.raises(WasRemoved):
        await placement.restore(meeting, hal, [], **NO_MEDIA)
    await placement.join(meeting, person("ann", "s2"), limit=9)
    assert not await placement.restore(meeting, person("ann"), [], **NO_MEDIA)
    assert (await placement.snapshot(meeting)).participants == ()


async def test_what_a_replica_remembers_keeps_the_removed_out_after_a_flush(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.expel(meeting, ANN, absent=True)
    live = (await placement.live(meeting)).fields
    await redis.flushall()
    with pytest.raises(WasRemoved):
        await placement.restore(meeting, person("ann"), [], live=live, **NO_MEDIA)
    assert await placement.restore(meeting, person("bob"), [], live=live, **NO_MEDIA)
    with pytest.raises(WasRemoved):
        await placement.join(meeting, person("ann"), limit=9)


async def test_a_locked_meeting_lets_hosts_in_and_whoever_is_in_already(
    placement: Placement, person: Person, meeting: MeetingId
) -> None:
    await placement.update_settings(meeting, RoomSettings())
    await placement.join(meeting, person("ann"), limit=9)
    await placement.update_settings(meeting, RoomSettings(locked=True))
    for one in (person("ann", "s2"), person("cora", role=Role.CO_HOST)):
        assert isinstance(await placement.join(meeting, one, limit=9), Joined)
    with pytest.raises(MeetingIsLocked):
        await placement.join(meeting, person("pia", role=Role.PRESENTER), limit=9)


async def test_whoever_waits_and_is_let_in_passes_the_lock_and_nobody_passes_it_twice(
    placement: Placement, person: Person, meeting: MeetingId, redis: Redis
) -> None:
    for name in ("ann", "bob"):
        assert isinstance(await placement.join(meeting, person(name), limit=9), Waits)
    locked = APPROVAL.model_copy(update={"locked": True})
    await placement.update_settings(meeting, locked)
    with pytest.raises(MeetingIsLocked):
        await placement.join(meeting, person("ann", "s2"), limit=9)

    assert set(await placement.admit(meeting)) == {ANN, BOB}
    assert isinstance(await placement.join(meeting, person("ann"), limit=9), Joined)
    assert 0 < await redis.pttl(f"kcs:let_in:{meeting}") <= 120_000

    await placement.leave(meeting, ANN, S1)
    with pytest.raises(MeetingIsLocked):
        await placement.join(meeting, person("ann"), limit=9)
    await placement.expel(meeting, BOB, absent=True)
    await placement.welcome(meeting, [BOB])
    with pytest.raises(MeetingIsLocked):
        await placement.join(meeting, person("bob"), limit=9)


async def test_whoever_waits_in_a_locked_meeting_and_is_welcome_comes_in(
    placement: Placement, person: Person, meeting: MeetingId, ear: Any
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.update_settings(meeting, APPROVAL.model_copy(update={"locked": True}))
    await ear.new()
    await placement.welcome(meeting, [ANN, BOB])
    assert WaitingLeft(participant_id=ANN, outcome="admitted") in await ear.events()
    assert isinstance(await placement.join(meeting, person("ann"), limit=9), Joined)
    with pytest.raises(MeetingIsLocked):  # who did not wait has asked nobody
        await placement.join(meeting, person("bob"), limit=9)


async def test_a_meeting_remembers_so_many_people_and_no_more(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await full_of_marks(redis, meeting)
    fields = await redis.hlen(f"kcs:live:{meeting}")
    mark = {"admitted:cy": "true"}
    assert isinstance(await placement.join(meeting, person("cy"), limit=9, live=mark), Waits)
    assert await queue(placement, meeting) != ()
    assert await redis.hlen(f"kcs:live:{meeting}") == fields
    await placement.change_live(meeting, "layout", "grid")
    assert (await placement.live(meeting)).layout == "grid"


async def test_people_are_let_in_however_many_the_meeting_remembers(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    names = ["ann", "bob", *(f"w{n}" for n in range(50))]
    for name in names:
        await placement.join(meeting, person(name), limit=99)
    await full_of_marks(redis, meeting)

    assert await placement.admit(meeting, [ANN]) == [ANN]
    assert {*await placement.admit(meeting), ANN} == set(names)
    await placement.welcome(meeting, [ParticipantId("dan")], Role.CO_HOST)

    assert await redis.hlen(f"kcs:live:{meeting}") == MAX_MARKS
    for name in (*names, "dan"):
        assert isinstance(await placement.join(meeting, person(name), limit=99), Joined)
    assert (await placement.person(meeting, ParticipantId("dan"))).given is Role.CO_HOST


async def test_whoever_was_just_let_in_is_forgotten_last(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    assert await placement.admit(meeting) == [ANN]
    marks = {f"role:p{n}": '"guest"' for n in range(MAX_MARKS)}
    await redis.hset(f"kcs:live:{meeting}", mapping=marks)
    await placement.join(meeting, person("bob"), limit=9)
    assert await placement.admit(meeting) == [BOB]
    for name in ("ann", "bob"):
        assert isinstance(await placement.join(meeting, person(name), limit=9), Joined)


async def test_what_hosts_do_holds_however_many_people_the_meeting_remembers(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.update_settings(meeting, RoomSettings())
    for name in ("ann", "bob"):
        await placement.join(meeting, person(name), limit=9)
    await full_of_marks(redis, meeting)
    fields = await redis.hlen(f"kcs:live:{meeting}")

    assert await placement.expel(meeting, ANN)
    assert await placement.expel(meeting, ParticipantId("dan"), absent=True)
    await placement.mute(meeting, BOB, "audio", True)
    await placement.leave(meeting, BOB, S1)

    await placement.join(meeting, person("cy"), limit=9)
    assert await placement.change_role(meeting, ParticipantId("cy"), Role.GUEST, BOB)

    now = await placement.live(meeting)
    assert now.was_removed(ANN)
    assert now.was_removed(ParticipantId("dan"))
    assert now.role_of(ParticipantId("cy")) is Role.GUEST
    assert "muted_audio:bob" in now.fields
    assert len(now.fields) <= MAX_MARKS < fields
    for name in ("ann", "dan"):
        with pytest.raises(WasRemoved):
            await placement.join(meeting, person(name), limit=9)


async def test_where_all_were_removed_who_was_so_first_gives_way(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    marks = {f"removed:p{n}": str(1000 + n) for n in range(MAX_MARKS - 1)} | {"removed:p7": "1"}
    await redis.hset(f"kcs:live:{meeting}", mapping=marks)
    await placement.expel(meeting, ANN, absent=True)
    now = await placement.live(meeting)
    assert now.was_removed(ANN)
    forgotten = set(marks) - set(now.fields)
    assert forgotten == {"removed:p7"}


async def test_nothing_is_left_by_what_comes_after_the_end(
    placement: Placement, redis: Redis, person: Person, meeting: MeetingId
) -> None:
    await placement.join(meeting, person("ann"), limit=9)
    await placement.end(meeting, "ended_by_host")
    assert await placement.admit(meeting) == []
    assert not await placement.deny(meeting, ANN)
    assert not await placement.expel(meeting, ANN, absent=True)
    for refused in (
        placement.welcome(meeting, [ANN]),
        placement.join(meeting, person("ann"), limit=9, live={"host_id": as_json("ann")}),
        placement.change_live(meeting, "layout", "grid"),
    ):
        with pytest.raises(MeetingIsOver):
            await refused
    assert await redis.keys("*") == [f"kcs:ended:{meeting}".encode()]
