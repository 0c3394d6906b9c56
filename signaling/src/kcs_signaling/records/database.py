"""The database: with `migrations`, the only module that knows which one it is.

Calls run through `Database.begin`, which bounds their time and turns the driver's errors into
`Unavailable`, so that a caller meets one error for "not now".
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from asyncpg.exceptions import PostgresError
from sqlalchemy import URL, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kcs_signaling.errors import Unavailable
from kcs_signaling.records.tables import Base

_AT_ONCE = 500
"""Rows in one transaction that could be split, at most."""
_TIMEOUT_S = 3.0
"""For a whole transaction, waiting for a connection and for SQLite's write lock included."""
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_AWAY = ("08", "40", "53", "55P03", "57")
"""SQLSTATEs of a server that is gone, stops, is out of means or undid a transaction for another."""


class BatchSize:
    """How much of a long work goes into one transaction, so that it ends in time: half as much
    after one that did not, down to a single row, and slowly more again."""

    def __init__(self) -> None:
        self.rows = _AT_ONCE

    def done(self) -> None:
        """The transaction is committed."""
        self.rows = min(self.rows + self.rows // 4 + 1, _AT_ONCE)

    def failed(self) -> None:
        """The transaction was not committed in time."""
        self.rows = max(self.rows // 2, 1)


class Database:
    """Transactions, each bounded in time."""

    def __init__(self, engine: AsyncEngine, timeout_s: float = _TIMEOUT_S):
        self._engine, self._timeout_s = engine, timeout_s

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end of the block, rolled back when it raises.

        Raises:
            Unavailable: the database does not answer in time, or cannot be reached.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._engine.begin() as connection:
                yield connection
        except (TimeoutError, PoolTimeout, OSError) as error:
            raise Unavailable("the database does not answer", retry_after_s=1) from error
        except (DBAPIError, PostgresError) as error:  # the latter, where it refuses to connect
            if not _is_away(error):
                raise
            raise Unavailable("the database does not answer", retry_after_s=1) from error

    async def scrub(self) -> None:
        """Takes what was deleted out of SQLite's files too, as far as nobody reads it just now.

        What remains in the log of writes is overwritten by later ones. PostgreSQL does this by
        itself (autovacuum), and keeps no such promise about its log and backups.
        """
        if self._engine.dialect.name == "sqlite":
            async with self.begin() as connection:
                await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    async def ping(self) -> None:
        """Raises `Unavailable` unless the database answers."""
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_database(url: str, timeout_s: float = _TIMEOUT_S) -> AsyncIterator[Database]:
    """The database at a SQLAlchemy URL, as it is; closes its connections at the end.

    Args:
        timeout_s: what a transaction may take.
    """
    parsed = async_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    engine = create_async_engine(
        parsed,
        pool_timeout=timeout_s,
        pool_pre_ping=not is_file,  # a file does not go away, and a ping is three turns of a thread
        hide_parameters=True,  # errors are logged, and people's data is not
    )
    if is_file:
        event.listen(engine.sync_engine, "connect", configure_sqlite)
        event.listen(engine.sync_engine, "invalidate", _unlock_sqlite)
    try:
        yield Database(engine, timeout_s)
    finally:
        await engine.dispose()


def async_url(url: str) -> URL:
    """The URL with the driver that we have, where it names none: `postgresql://...`."""
    parsed = make_url(url)
    return parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))


def insert_of(connection: AsyncConnection, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT: each dialect has its own."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def configure_sqlite(connection: Any, _record: object) -> None:
    """WAL lets readers and one writer work at once; NORMAL is as safe as WAL needs.

    With secure_delete what is deleted is overwritten in the file.
    """
    cursor = connection.cursor()
    for pragma in (
        "busy_timeout=2500",
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _unlock_sqlite(connection: Any, _record: object, _error: object) -> None:
    """Rolls back what ran out of time: a closed connection keeps the write lock for as long as
    anybody knows a cursor of it, as the error's traceback does."""
    with suppress(Exception, asyncio.CancelledError):  # whatever it was, the close comes next
        connection.rollback()


def _is_away(error: DBAPIError | PostgresError) -> bool:
    cause: object = error
    if isinstance(error, DBAPIError):
        if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
            return True
        cause = error.orig
    return str(getattr(cause, "sqlstate", None) or "").startswith(_AWAY)
