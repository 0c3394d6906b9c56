"""The database: the only module that knows which one it is.

Calls run through `Database.begin`, which bounds their time and turns the driver's errors into
`Unavailable`, so that a caller meets one error for "not now".
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kcs_signaling.errors import Unavailable
from kcs_signaling.records.tables import Base

_TIMEOUT_S = 3.0
"""For a whole transaction, waiting for a connection and for SQLite's write lock included."""


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
        except (TimeoutError, PoolTimeout, OperationalError, InterfaceError, OSError) as error:
            raise Unavailable("the database does not answer", retry_after_s=1) from error

    async def ping(self) -> None:
        """Raises `Unavailable` unless the database answers."""
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))

    async def create_tables(self) -> None:
        """Makes the tables that are not there."""
        async with self.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """The database at a SQLAlchemy URL, with its tables; closes its connections at the end."""
    engine = create_async_engine(url, pool_timeout=_TIMEOUT_S, pool_pre_ping=True)
    if make_url(url).get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
    try:
        database = Database(engine)
        await database.create_tables()
        yield database
    finally:
        await engine.dispose()


def _configure_sqlite(connection: Any, _record: object) -> None:
    """WAL lets readers and one writer work at once; NORMAL is as safe as WAL needs."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=2500"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
