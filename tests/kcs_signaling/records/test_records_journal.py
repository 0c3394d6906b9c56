"""The journal: calls never wait for SQL, and what they said is there in the end, in order."""

import asyncio
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from tests.conftest import Postgres

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.rooms import Role
from kcs_signaling.records import Records, open_records
from kcs_signaling.records.journal import Journal
from kcs_signaling.records.sessions import Session
from kcs_signaling.records.stats import StatsSample

M1, ADA = MeetingId("m-1"), UserId("ada")


def come(journal: Journal, who: str, at: float, meeting: str = "m-1") -> None:
    journal.opened(MeetingId(meeting), UserId(who), who.title(), Role.PRESENTER, at)


def sample(at: float, who: str = "ada") -> StatsSample:
    rates = {"rtt_ms": 40.0, "jitter_ms": 2.0, "loss_percent": 0.5, "bitrate_bps": 1e6}
    return StatsSample.model_validate({"meeting_id": "m-1", "user_id": who, "at": at, **rates})


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("kcs_signaling_journal_lost_total", {"kind": kind}) or 0


async def sessions(records: Records, meeting: str = "m-1") -> list[Session]:
    found, after = [], None
    while True:
        page = await records.sessions.of_meeting(MeetingId(meeting), after=after, limit=200)
        found += page.items
        after = page.next
        if after is None:
            return found


async def until(records: Records, count: int) -> list[Session]:
    async with asyncio.timeout(20):
        while len(found := await sessions(records)) < count:
            await asyncio.sleep(0.05)
    return found


async def test_comings_and_goings_are_written_in_their_order(records: Records, now: float) -> None:
    for n in range(0, 60, 2):
        come(records.journal, "ada", now + n)
        come(records.journal, "bob", now + n)
        records.journal.closed(M1, ADA, now + n + 1)
        records.journal.closed(M1, UserId("cy"), now + n + 1)  # was never there
    await records.journal.flush()
    stays = await sessions(records)
    ada = [
        (each.opened_at - now, (each.closed_at or 0) - now)
        for each in stays
        if each.user_id == "ada"
    ]
    assert ada == [(n, n + 1) for n in range(0, 60, 2)]
    assert [(each.opened_at, each.closed_at) for each in stays if each.user_id != "ada"] == [
        (now, None)
    ]


async def test_the_task_writes_without_being_asked(records: Records, now: float) -> None:
    come(records.journal, "ada", now)
    (session,) = await until(records, 1)
    assert (session.user_id, session.user_name, session.role) == ("ada", "Ada", Role.PRESENTER)


async def test_nothing_that_was_said_is_lost_at_a_graceful_end(sql_url: str, now: float) -> None:
    people = [f"user-{n}" for n in range(1500)]
    async with open_records(sql_url) as records:
        for n, who in enumerate(people):
            come(records.journal, who, now + n / 1000)
            records.journal.sampled(sample(now // 60 * 60, who))
            if n % 50 == 0:
                records.journal.audited("person.removed", ADA, UserId(who), M1, {"n": n}, now)
        await asyncio.sleep(0.25)  # it is in the middle of its work
        records.journal.closed(M1, UserId(people[0]), now + 9)
    async with open_records(sql_url) as again:
        stays = await sessions(again)
        assert [each.user_id for each in stays] == people
        assert [each.user_id for each in stays if each.closed_at] == people[:1]
        exported = await again.persons.export(UserId(people[-1]))
        assert [row["samples"] for row in exported["tables"]["stats"]] == [1]
        page = await again.audit.of_meeting(M1, limit=200)
        assert [entry.details["n"] for entry in page.items] == list(range(1450, -1, -50))
        assert page.items[0].subject == "user-1450"
        assert (await again.audit.verify()).broken is None


async def test_replicas_whose_sessions_overlap_write_each_once(
    records: Records, now: float
) -> None:
    journals = [Journal(records.database) for _ in range(3)]
    people = [f"user-{n:03}" for n in range(300)]
    for shift, journal in enumerate(journals):
        for who in people[shift * 70 :] + people[: shift * 70]:
            come(journal, who, now + shift)
    await asyncio.gather(*(journal.flush(10) for journal in journals))
    assert sorted(str(each.user_id) for each in await sessions(records)) == people


async def test_a_going_that_comes_late_does_not_end_a_newer_stay(
    records: Records, now: float
) -> None:
    come(records.journal, "ada", now + 60)
    records.journal.closed(M1, ADA, now + 10)  # of another replica, which had no database
    await records.journal.flush()
    (session,) = await sessions(records)
    assert session.closed_at is None


async def test_a_meetings_end_closes_the_stays_in_its_breakout_rooms(
    records: Records, now: float
) -> None:
    for meeting in ("m-1", "m-1:1", "m-1:50", "m-11", "m-1:1:1"):
        come(records.journal, "ada", now, meeting)
    records.journal.ended(M1, now + 5)
    await records.journal.flush()
    over = [
        meeting
        for meeting in ("m-1", "m-1:1", "m-1:50", "m-11", "m-1:1:1")
        if (await sessions(records, meeting))[0].closed_at == now + 5
    ]
    assert over == ["m-1", "m-1:1", "m-1:50"]


async def test_an_entry_that_cannot_be_written_holds_up_no_other(
    records: Records, now: float
) -> None:
    lost = counted("entries")
    come(records.journal, "ada", now)
    records.journal.audited("odd", ADA, None, M1, {"n": math.nan})  # no JSON
    records.journal.audited("fine", ADA, None, M1)
    come(records.journal, "bob", now)
    records.journal.sampled(sample(now))
    with capture_logs() as logs:
        await records.journal.flush()
    assert len(await sessions(records)) == 2
    assert [entry.action for entry in (await records.audit.of_meeting(M1)).items] == ["fine"]
    assert (await records.persons.export(ADA))["tables"]["stats"]
    assert counted("entries") == lost + 1
    assert [line["entries"] for line in logs if line["event"] == "journal_lost"] == [1]


async def test_when_too_much_waits_the_oldest_statistics_go_first(
    records: Records, now: float
) -> None:
    journal = Journal(records.database, capacity=10)
    lost = {kind: counted(kind) for kind in ("samples", "entries")}
    for n in range(6):
        journal.sampled(sample(now, f"s-{n}"))
    for n in range(12):
        come(journal, f"user-{n:02}", now)
        assert journal.waiting <= 10
    with capture_logs() as logs:
        await journal.flush()
    assert [each.user_id for each in await sessions(records)] == [
        f"user-{n:02}" for n in range(2, 12)
    ]
    assert (await records.stats.of_meeting(M1)).items == ()
    gone = {kind: counted(kind) - lost[kind] for kind in lost}
    assert gone == {"samples": 6, "entries": 2}
    told = [line for line in logs if line["event"] == "journal_lost"]
    assert [(line["samples"], line["entries"]) for line in told] == [(6, 2)]


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Somebody else writes to the database all the while."""
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        locker.rollback()
        locker.close()


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Postgres]:
    """PostgreSQL, running again after the test."""
    yield postgres
    postgres.stop()
    postgres.start()


async def test_postgresql_that_is_away_for_a_while_loses_nothing(
    server: Postgres, now: float
) -> None:
    async with open_records(server.new_database()) as records:
        come(records.journal, "first", now)
        await until(records, 1)
        server.stop()
        began = time.monotonic()
        for n in range(2000):
            come(records.journal, f"user-{n}", now + 1 + n)
        records.journal.closed(M1, UserId("first"), now + 5000)
        assert time.monotonic() - began < 1
        await asyncio.sleep(1)
        assert records.journal.waiting == 2001
        server.start()
        stays = await until(records, 2001)
        async with asyncio.timeout(20):
            while (await sessions(records))[0].closed_at != now + 5000:
                await asyncio.sleep(0.05)
    assert [each.user_id for each in stays] == ["first", *(f"user-{n}" for n in range(2000))]


async def test_a_locked_sqlite_is_waited_for(tmp_path: Path, now: float) -> None:
    path = tmp_path / "embedded.sqlite"
    async with open_records(f"sqlite+aiosqlite:///{path}") as records:
        with holding(path):
            come(records.journal, "ada", now)
            await asyncio.sleep(3)  # longer than one transaction waits
        await until(records, 1)


async def test_an_end_with_a_locked_sqlite_is_bounded(tmp_path: Path, now: float) -> None:
    path = tmp_path / "embedded.sqlite"
    with ExitStack() as held, capture_logs() as logs:
        async with open_records(f"sqlite+aiosqlite:///{path}") as records:
            held.enter_context(holding(path))
            come(records.journal, "ada", now)
            began = time.monotonic()
        assert time.monotonic() - began < 10
    assert [line["entries"] for line in logs if line["event"] == "journal_lost"] == [1]


async def test_an_end_without_the_database_is_bounded_and_says_what_is_lost(
    server: Postgres, now: float
) -> None:
    with capture_logs() as logs:
        async with open_records(server.new_database()) as records:
            server.stop()
            come(records.journal, "ada", now)
            records.journal.sampled(sample(now))
            began = time.monotonic()
        assert time.monotonic() - began < 8
    (lost,) = [line for line in logs if line["event"] == "journal_lost"]
    assert (lost["entries"], lost["samples"]) == (1, 1)
    assert "ada" not in str(logs).lower()
