"""Retention: what is too old goes, what is not stays, and one replica at a time does it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import REGISTRY
from redis.asyncio import Redis
from sqlalchemy import insert, text

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.rooms import Role
from kcs_signaling.ports import Meeting
from kcs_signaling.records import Records, Retention
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.records.stats import StatsSample
from kcs_signaling.records.tables import RefreshTokenRow
from kcs_signaling.settings import RetentionSettings

MakeMeeting = Callable[..., Meeting]
DAY = 24 * 3600.0
ADA = UserId("ada")
GUIDE = RetentionSettings()


async def live_through(records: Records, meeting: Meeting) -> None:
    """What a meeting of one hour leaves, with its end on record."""
    await records.meetings.create(meeting)
    start, end = meeting.created_at, meeting.created_at + 3600
    await records.sessions.open(meeting.id, ADA, user_name="Ada", role=Role.HOST, at=start)
    await records.chat.add(
        ChatMessage(
            id=f"c-{meeting.id}",
            meeting_id=meeting.id,
            sender_id=ADA,
            sender_name="Ada",
            text="hello",
            at=start,
        )
    )
    measured = {"rtt_ms": 1.0, "jitter_ms": 1.0, "loss_percent": 0.0, "bitrate_bps": 1.0}
    await records.stats.add([StatsSample(meeting_id=meeting.id, user_id=ADA, at=start, **measured)])
    await records.sessions.close_all_of(meeting.id, at=end)
    await records.meetings.end(meeting.id, now=end)


async def names_in(records: Records, meeting_id: str) -> list[tuple[str | None, str | None]]:
    """Whom a meeting's sessions and statistics name."""
    sessions = await records.sessions.of_meeting(MeetingId(meeting_id))
    stats = await records.stats.of_meeting(MeetingId(meeting_id))
    return [
        (stay.user_id, minute.user_id)
        for stay, minute in zip(sessions.items, stats.items, strict=True)
    ]


def login(n: int) -> dict[str, object]:
    """A row of a login that is long over."""
    return {"family": str(n), "user_id": ADA, "token_hash": "x", "expires_at": 1.0}


async def test_the_guides_periods_are_the_defaults() -> None:
    assert (GUIDE.metadata_days, GUIDE.analytics_days) == (365, 90)


async def test_meetings_go_after_a_year_and_analytics_name_nobody_after_ninety_days(
    records: Records, redis: Redis, meeting: MakeMeeting, now: float
) -> None:
    for days in (89, 91, 364, 366):
        await live_through(records, meeting(f"d-{days}", created_at=now - days * DAY))
    done = await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    assert done["meetings_deleted"] == 1
    assert done["sessions_anonymised"] == done["stats_anonymised"] == 2
    assert await records.meeting(MeetingId("d-366")) is None
    assert await names_in(records, "d-366") == []
    assert await names_in(records, "d-364") == await names_in(records, "d-91") == [(None, None)]
    assert await names_in(records, "d-89") == [("ada", "ada")]
    for days, there in ((89, 1), (364, 1), (366, 0)):
        page = await records.chat.history(MeetingId(f"d-{days}"), ADA, is_host=False)
        assert len(page.items) == there
    again = await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    assert set(again.values()) == {0}


async def test_a_meeting_that_never_ends_stays_while_people_come_and_loses_old_messages(
    records: Records, redis: Redis, meeting: MakeMeeting, now: float
) -> None:
    old = {"created_at": now - 400 * DAY, "starts_at": None}
    for name in ("weekly", "forgotten"):
        await records.meetings.create(meeting(name, **old))
        await records.chat.add(
            ChatMessage(
                id=f"c-{name}",
                meeting_id=MeetingId(name),
                sender_id=ADA,
                sender_name="Ada",
                text="long ago",
                at=now - 390 * DAY,
            )
        )
    await records.meetings.create(meeting("planned", **(old | {"starts_at": now + DAY})))
    await records.sessions.open(
        MeetingId("weekly"), ADA, user_name="Ada", role=Role.HOST, at=now - 7 * DAY
    )
    await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    left = await records.meetings.of_host(ADA)
    assert {each.id for each in left.items} == {"weekly", "planned"}
    assert await records.chat.read(MeetingId("weekly"), "c-weekly") is None
    (stay,) = (await records.sessions.of_meeting(MeetingId("weekly"))).items
    assert stay.user_id == "ada"


async def test_what_is_of_breakout_rooms_goes_with_their_meeting_and_by_its_own_age(
    records: Records, redis: Redis, meeting: MakeMeeting, now: float
) -> None:
    async def breakout(meeting_id: str, days: int) -> None:
        room, at = MeetingId(f"{meeting_id}:1"), now - days * DAY
        await records.sessions.open(room, ADA, user_name="Ada", role=Role.GUEST, at=at)
        await records.sessions.close(room, ADA, at=at + 60)
        said = {"sender_id": ADA, "sender_name": "Ada", "text": "hello", "at": at}
        await records.chat.add(
            ChatMessage.model_validate({"id": f"c-{room}", "meeting_id": room} | said)
        )
        measured = {"rtt_ms": 1.0, "jitter_ms": 1.0, "loss_percent": 0.0, "bitrate_bps": 1.0}
        sample = StatsSample(meeting_id=room, user_id=ADA, at=at, **measured)
        await records.stats.add([sample])

    await live_through(records, meeting("long-ago", created_at=now - 400 * DAY))
    await breakout("long-ago", 300)  # of a row that came late: gone with its meeting all the same
    await records.meetings.create(meeting("weekly", created_at=now - 400 * DAY))
    await records.sessions.open(
        MeetingId("weekly"), ADA, user_name="Ada", role=Role.HOST, at=now - 100 * DAY
    )
    await breakout("weekly", 100)
    await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    assert await names_in(records, "long-ago:1") == []
    assert await records.chat.read(MeetingId("long-ago:1"), "c-long-ago:1") is None
    assert await names_in(records, "weekly:1") == [(None, None)]


async def test_more_rows_than_one_transaction_takes_all_go(
    records: Records, redis: Redis, now: float
) -> None:
    async with records.database.begin() as connection:
        await connection.execute(insert(RefreshTokenRow), [login(n) for n in range(1201)])
    done = await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    assert done["logins_deleted"] == 1201


async def test_a_step_that_fails_stops_no_other(
    records: Records, redis: Redis, meeting: MakeMeeting, now: float
) -> None:
    def failed(step: str) -> float:
        labels = {"step": step}
        return REGISTRY.get_sample_value("kcs_signaling_retention_failed_total", labels) or 0

    await live_through(records, meeting(created_at=now - 91 * DAY))
    before = {step: failed(step) for step in ("chat_messages_deleted", "stats_anonymised")}
    async with records.database.begin() as connection:
        await connection.execute(insert(RefreshTokenRow), [login(1)])
        await connection.execute(text("ALTER TABLE chat_messages RENAME TO gone"))  # the first step
    done = await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    assert (done["steps_failed"], done["stats_anonymised"], done["logins_deleted"]) == (1, 1, 1)
    assert await names_in(records, "m-1") == [(None, None)]
    assert failed("chat_messages_deleted") == before["chat_messages_deleted"] + 1
    assert failed("stats_anonymised") == before["stats_anonymised"]


async def test_the_audit_log_stays_and_names_nobody_who_was_not_seen_for_a_year(
    records: Records, redis: Redis, now: float
) -> None:
    room = MeetingId("m-1")
    bob = UserId("bob")
    await records.audit.write("old", at=now - 366 * DAY, actor=ADA, subject=bob, meeting_id=room)
    await records.audit.write("new", at=now - 1, actor=bob, meeting_id=room)
    done = await Retention(GUIDE, records.database, redis, lambda: now).sweep()
    assert done["persons_deleted"] == 1
    assert (await records.audit.verify()).rows == 2
    new, old = (await records.audit.of_meeting(room)).items
    assert (old.actor, old.subject, new.actor) == (None, "bob", "bob")


class Counted(Retention):
    """A sweeper that notes when it sweeps, and takes a moment for it."""

    at_work = 0
    rounds = 0
    most = 0

    async def sweep(self) -> dict[str, int]:
        kind = Counted
        kind.at_work += 1
        kind.rounds += 1
        kind.most = max(kind.most, kind.at_work)
        try:
            await asyncio.sleep(0.1)
            return await super().sweep()
        finally:
            kind.at_work -= 1


@asynccontextmanager
async def running(*sweepers: Retention) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in sweepers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_many_replicas_one_sweeps_once_in_an_interval(
    records: Records, redis: Redis, meeting: MakeMeeting, now: float
) -> None:
    await live_through(records, meeting(created_at=now - 366 * DAY))
    Counted.rounds = Counted.most = 0
    settings = RetentionSettings(sweep_minutes=3 / 60)
    sweepers = [Counted(settings, records.database, redis, lambda: now) for _ in range(5)]
    began = time.monotonic()
    async with running(*sweepers), asyncio.timeout(30):
        while Counted.rounds < 2:
            await asyncio.sleep(0.05)
    assert time.monotonic() - began > 2.9, "the first two do not follow each other sooner"
    assert Counted.most == 1
    assert await records.meetings.read(MeetingId("m-1")) is None


async def test_a_sweeper_that_is_cancelled_at_any_moment_ends(
    records: Records, redis: Redis, now: float
) -> None:
    settings = RetentionSettings(sweep_minutes=0.2 / 60)
    for n in range(20):
        await redis.delete("kcs:retention")  # so that it is at work
        sweeping = asyncio.create_task(
            Retention(settings, records.database, redis, lambda: now).run()
        )
        await asyncio.sleep(0.002 * n)
        sweeping.cancel()
        done, _ = await asyncio.wait([sweeping], timeout=20)
        assert done
    assert set((await Retention(GUIDE, records.database, redis).sweep()).values()) == {0}


async def test_a_sweeper_outlives_a_redis_and_a_database_that_are_away(
    records: Records, redis: Redis, meeting: MakeMeeting, now: float
) -> None:
    settings = RetentionSettings(sweep_minutes=0.2 / 60)
    await redis.set("kcs:retention", "a dead replica's", px=300)
    nowhere = Redis.from_url("redis://127.0.0.1:1/0")
    cut_off = Retention(settings, records.database, nowhere, lambda: now)
    sweeper = Retention(settings, records.database, redis, lambda: now)
    async with running(cut_off, sweeper):
        await asyncio.sleep(0.2)
        await live_through(records, meeting(created_at=now - 366 * DAY))
        async with asyncio.timeout(20):
            while await records.meetings.read(MeetingId("m-1")) is not None:
                await asyncio.sleep(0.02)
    await nowhere.aclose()
