"""Brings a database to today's tables, with Alembic, before anything else reads it.

Replicas that start at once take turns: PostgreSQL by an advisory lock of the migration's
transaction, SQLite by an exclusive transaction. Whoever comes second finds nothing to do. The
whole way is one transaction: a migration that fails leaves the database as it was. There is only
a way forward.
"""

import asyncio
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from asyncpg.exceptions import PostgresError
from sqlalchemy import Connection, event, inspect, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from kcs_signaling.errors import Unavailable
from kcs_signaling.records.database import async_url

_TIMEOUT_S = 30
_LOCK = 0x6B637301
"""The advisory lock's number: `kcs`, 1."""
_FIRST = "0001"


def config_for(connection: Connection) -> Config:
    """Alembic's configuration over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(url: str) -> None:
    """Brings the database at a SQLAlchemy URL to today's tables; only looks where it is there.

    Raises:
        Unavailable: the database does not answer, refuses us or the migration, is held for 30 s by
            somebody, or was migrated by a newer version of the service.
    """
    engine = create_async_engine(async_url(url), poolclass=pool.NullPool)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            async with engine.connect() as connection:
                if await connection.run_sync(_is_up_to_date):
                    return
            if engine.dialect.name == "sqlite":
                event.listen(engine.sync_engine, "connect", _leave_transactions_to_us)
                event.listen(engine.sync_engine, "begin", _begin_exclusive)
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade)
    except (TimeoutError, DBAPIError, PostgresError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error) or f"no answer in {_TIMEOUT_S} s"
        raise Unavailable(f"the database (KCS_SQL__URL) cannot be used: {reason}") from error
    finally:
        await engine.dispose()


def _is_up_to_date(connection: Connection) -> bool:
    at = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(config_for(connection))
    known = {script.revision for script in scripts.walk_revisions()}
    if at is not None and at not in known:
        raise Unavailable(
            f"the database (KCS_SQL__URL) is at revision {at}, of a newer version: start that one"
        )
    return at == scripts.get_current_head()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = config_for(connection)
    at = MigrationContext.configure(connection).get_current_revision()
    if at is None and inspect(connection).has_table("meetings"):
        command.stamp(config, _FIRST)  # made before there were migrations
    command.upgrade(config, "head")


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    """The driver begins none by itself, so that tables are made within ours; and it waits."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_TIMEOUT_S * 1000}")
    cursor.close()


def _begin_exclusive(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN EXCLUSIVE")
