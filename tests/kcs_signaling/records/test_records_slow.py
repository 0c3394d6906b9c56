"""A database that cannot do all in the time of a transaction: less at once, all in the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import Engine, event, insert, make_url, text
from structlog.testing import capture_logs
from tests.support.slow_link import slow_link

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.rooms import Role
from kcs_signaling.records import Records, Retention
from kcs_signaling.records.database import Database, open_database
from kcs_signaling.records.journal import Journal
from kcs_signaling.records.migrate import migrate
from kcs_signaling.records.tables import RefreshTokenRow
from kcs_signaling.settings import RetentionSettings

M1, ADA = MeetingId("m-1"), UserId("ada")


@pytest.fixture
async def slow(records: Records, sql_url: str) -> AsyncIterator[Database]:
    """The database of `records`, where some hundred statements are too much for a transaction."""
    url, timeout_s = make_url(sql_url), 0.05
    async with AsyncExitStack() as until_the_end:
        if url.port is not None:
            port = await until_the_end.enter_async_context(slow_link(url.port, 0.002))
            url, timeout_s = url.set(port=port), 0.5
        address = url.render_as_string(hide_password=False)
        yield await until_the_end.enter_async_context(open_database(address, timeout_s))


def live_through(journal: Journal, people: int, now: float) -> None:
    """One after the other comes, is put out and has gone: each a statement or two of its own."""
    for n in range(people):
        who = UserId(f"user-{n:03}")
        journal.opened(M1, who, "Somebody", Role.ATTENDEE, now + n)
        journal.audited("person.removed", ADA, who, M1, {"n": n}, now + n)
        journal.closed(M1, who, now + n + 0.5)


async def on_record(records: Records) -> tuple[list[str], list[str]]:
    """Who came and left, and who was put out, in the order of the log.

    Of a transaction that came to an unknown end there may be everything twice.
    """
    query = "SELECT user_id FROM sessions WHERE closed_at IS NOT NULL ORDER BY opened_at"
    log = "SELECT user_id FROM audit JOIN persons ON pseudonym = subject ORDER BY seq"
    async with records.database.begin() as connection:
        stays = (await connection.execute(text(query))).scalars().all()
        put_out = (await connection.execute(text(log))).scalars().all()
    return list(dict.fromkeys(stays)), list(dict.fromkeys(put_out))


async def test_what_is_too_much_at_once_is_written_in_order_all_the_same(
    records: Records, slow: Database, now: float
) -> None:
    journal = Journal(slow)
    live_through(journal, 200, now)
    with capture_logs() as logs:
        writing = asyncio.create_task(journal.run())
        async with asyncio.timeout(60):
            while journal.waiting:
                await asyncio.sleep(0.05)
        writing.cancel()
        await asyncio.wait([writing])
        await journal.flush()
    assert any(line["event"] == "journal_put_off" for line in logs), "it was not too much"
    people = [f"user-{n:03}" for n in range(200)]
    assert await on_record(records) == (people, people)
    assert (await records.audit.verify()).broken is None


async def test_what_is_too_much_at_once_is_not_lost_at_the_end(
    records: Records, slow: Database, now: float
) -> None:
    journal = Journal(slow)
    with capture_logs() as logs:
        async with journal.running():
            live_through(journal, 120, now)
    assert [line for line in logs if line["event"] == "journal_lost"] == []
    people = [f"user-{n:03}" for n in range(120)]
    assert await on_record(records) == (people, people)
    assert (await records.audit.verify()).broken is None


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is sent to databases meanwhile, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_the_log_is_held_for_a_handful_of_statements_however_much_there_is_to_write(
    records: Records, now: float
) -> None:
    await records.audit.write("person.removed", at=now, actor=UserId("user-1"))
    journal = Journal(records.database)
    for n in range(200):
        who = UserId(f"user-{n}")
        journal.audited("person.removed", who, UserId(f"user-{n % 7}"), M1, {"n": n}, now)
    with statements() as sent:
        await journal.flush()
    assert len(sent) <= 5
    verdict = await records.audit.verify()
    assert (verdict.rows, verdict.broken) == (201, None)
    entries = (await records.audit.of_meeting(M1, limit=200)).items
    assert [entry.details["n"] for entry in reversed(entries)] == list(range(200))
    assert {(entry.actor, entry.subject) for entry in entries} == {
        (f"user-{n}", f"user-{n % 7}") for n in range(200)
    }


async def test_a_name_that_no_database_keeps_as_it_is_has_one_pseudonym(
    records: Records, now: float
) -> None:
    odd, same = UserId("a\0b"), UserId("a\N{REPLACEMENT CHARACTER}b")
    for _ in range(2):
        await records.audit.write("odd", at=now, actor=odd, subject=same, meeting_id=M1)
    entries = (await records.audit.of_meeting(M1)).items
    assert {(entry.actor, entry.subject) for entry in entries} == {(same, same)}


# --- retention ------------------------------------------------------------------------------------

PAUSE_S = 0.01
SLOW_ROWS = {
    "sqlite": ["CREATE TRIGGER slow BEFORE DELETE ON refresh_tokens BEGIN SELECT pause(); END"],
    "postgresql": [
        f"""CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep({PAUSE_S}); RETURN OLD; END $$""",
        """CREATE TRIGGER slow BEFORE DELETE ON refresh_tokens
        FOR EACH ROW EXECUTE FUNCTION pause()""",
    ],
}


@pytest.fixture
def pausing() -> Iterator[None]:
    """SQLite knows `pause()`."""

    def teach(connection: Any, _record: object) -> None:
        if hasattr(connection, "create_function"):
            connection.create_function("pause", 0, lambda: time.sleep(PAUSE_S))

    event.listen(Engine, "connect", teach)
    yield
    event.remove(Engine, "connect", teach)


async def fill_logins(database: Database, count: int) -> None:
    rows = [
        {"family": str(n), "user_id": ADA, "token_hash": "x", "expires_at": 1.0}
        for n in range(count)
    ]
    async with database.begin() as connection:
        await connection.execute(insert(RefreshTokenRow), rows)


async def test_a_sweep_that_finds_too_much_for_a_transaction_takes_less_and_ends(
    pausing: None, sql_url: str, redis: Redis, now: float
) -> None:
    await migrate(sql_url)
    async with open_database(sql_url, 0.4) as database:
        await fill_logins(database, 100)
        async with database.begin() as connection:
            for statement in SLOW_ROWS[connection.dialect.name]:
                await connection.execute(text(statement))
        done = await Retention(RetentionSettings(), database, redis, lambda: now).sweep()
        async with database.begin() as connection:
            left = await connection.execute(text("SELECT count(*) FROM refresh_tokens"))
            assert left.scalar_one() == 0
    assert done["steps_failed"] == 0


COUNT = {
    "sqlite": """(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 40000)
        SELECT n FROM c)""",
    "postgresql": "generate_series(1, 40000) AS c(n)",
}
MEASURES = ("rtt_ms", "jitter_ms", "loss_percent", "bitrate_bps")
ZEROS = [f"{each}_{what}" for each in MEASURES for what in ("sum", "max")]
MOSTLY_ANONYMOUS = [
    f"""INSERT INTO stats (meeting_id, user_id, minute, samples, {", ".join(ZEROS)})
    SELECT 'm-' || n, CASE WHEN n > 30000 THEN 'u-' || n END, :stale - 30000 + n,
    1, {", ".join("0" for _ in ZEROS)} FROM {{rows}} ORDER BY random()""",
    """INSERT INTO sessions (meeting_id, user_id, user_name, role, opened_at, closed_at)
    SELECT 'm-' || n, CASE WHEN n > 30000 THEN 'u-' || n END, '', 'guest',
    :stale - 30000 + n, :stale + n FROM {rows} ORDER BY random()""",
    "ANALYZE",
]


async def test_a_sweep_does_not_walk_over_rows_that_are_anonymous_already(
    records: Records, redis: Redis, now: float
) -> None:
    stale = int(now) - RetentionSettings().analytics_days * 24 * 3600
    async with records.database.begin() as connection:
        rows = COUNT[connection.dialect.name]
        for statement in MOSTLY_ANONYMOUS:
            query = text(statement.format(rows=rows))
            await connection.execute(query, {"stale": stale} if ":stale" in statement else {})
    with statements() as sent:
        await Retention(RetentionSettings(), records.database, redis, lambda: now).sweep()
    for table in ("sessions", "stats"):
        (anonymising,) = [each for each in sent if each[0].startswith(f"UPDATE {table} ")]
        plan = await explained(records, *anonymising)
        assert f"ix_{table}_named" in plan, plan


async def explained(records: Records, statement: str, parameters: Any) -> str:
    """How the database would go about a statement."""
    async with records.database.begin() as connection:
        verb = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        rows = await connection.exec_driver_sql(f"{verb} {statement}", parameters)
        return "\n".join(str(row) for row in rows)
