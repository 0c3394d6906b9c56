"""Migrations: a database of any age becomes today's, whoever starts first."""

import asyncio
import sys

import pytest
from alembic import command
from sqlalchemy import Connection, inspect, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from kcs_contracts.ids import MeetingId
from kcs_signaling.errors import Unavailable
from kcs_signaling.records import open_records
from kcs_signaling.records.migrate import config_for, migrate
from kcs_signaling.records.tables import Base

FIRST_MEETING = """INSERT INTO meetings (id, display_name, host_id, max_participants,
    expected_participants, region, default_role, created_at)
    VALUES ('m-1', 'Lab', 'ada', 10, 3, 'eu', 'attendee', 5)"""


async def on(url: str, work: object, *statements: str) -> object:
    """Runs Alembic's or the inspector's synchronous work, and statements, on a connection."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    try:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
            return await connection.run_sync(work) if callable(work) else None
    finally:
        await engine.dispose()


async def test_models_and_migrations_agree(sql_url: str) -> None:
    await migrate(sql_url)
    await on(sql_url, lambda connection: command.check(config_for(connection)))  # raises if not

    def tables(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    assert await on(sql_url, tables) == {*Base.metadata.tables, "alembic_version"}


async def test_a_database_made_before_there_were_migrations_keeps_its_rows(sql_url: str) -> None:
    await on(sql_url, lambda connection: command.upgrade(config_for(connection), "0001"))
    await on(sql_url, None, "DROP TABLE alembic_version", FIRST_MEETING)
    async with open_records(sql_url) as records:
        meeting = await records.meeting(MeetingId("m-1"))
    assert meeting is not None
    assert (meeting.host_id, meeting.settings, meeting.version) == ("ada", {}, 1)


async def test_replicas_that_start_at_once_migrate_once(sql_url: str) -> None:
    code = "import asyncio, sys; from kcs_signaling.records.migrate import migrate"
    code += "; asyncio.run(migrate(sys.argv[1]))"
    replicas = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, sql_url, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    for replica in replicas:
        _, errors = await replica.communicate()
        assert replica.returncode == 0, errors.decode()
    async with open_records(sql_url) as records:
        assert (await records.audit.verify()).broken is None  # one head, as one migration makes


async def test_a_migration_that_fails_leaves_the_database_as_it_was(sql_url: str) -> None:
    await on(sql_url, lambda connection: command.upgrade(config_for(connection), "0001"))
    await on(sql_url, None, "CREATE TABLE accounts (x INTEGER)")  # the last one of 0002
    with pytest.raises(Exception, match="already exists"):
        await migrate(sql_url)

    def tables(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    assert await on(sql_url, tables) == {
        "accounts",
        "alembic_version",
        "meetings",
        "refresh_tokens",
    }
    await on(sql_url, None, "DROP TABLE accounts")
    await migrate(sql_url)


async def test_the_database_of_a_newer_version_is_left_alone(sql_url: str) -> None:
    await migrate(sql_url)
    await on(sql_url, None, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match=r"9999.*newer"):
        await migrate(sql_url)


async def test_an_url_need_not_name_the_driver(sql_url: str) -> None:
    plain = sql_url.replace("+aiosqlite", "").replace("+asyncpg", "")
    async with open_records(plain) as records:
        await records.ping()
