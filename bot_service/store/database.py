"""Opens the store: checks it, migrates it to the newest schema, refuses a corrupt or newer one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot_service.store import schema, sqlite_thread
from bot_service.store.damage import StoreDamaged, look, reason_of, report_damage
from bot_service.store.errors import is_unfit, why
from shared import logs
from shared.sqlite_readonly import open_readonly

log = logs.get(__name__)

_MAGIC = b"SQLite format 3\0"
# A full check reads the whole file; above this size it is left out, so that a start stays short.
_CHECK_WHOLE_BELOW_BYTES = 256 * 1024 * 1024
_ADVICE = "move it away to start with an empty one, or put a backup in its place"
# After a burst, the write-ahead log is cut to this size.
WAL_LIMIT_BYTES = 4 * 2**20
# Connections of one service to PostgreSQL. Writers leave some to readers, because a writer may read.
POSTGRESQL_POOL, POSTGRESQL_WRITERS = 10, 7

# What the transaction of the present task calls after its commit.
_after_commit: ContextVar[list[Callable[[], None]]] = ContextVar("after_commit")


class StoreRefused(Exception):
    """The store cannot be used; the text says why and what to do. Nothing was changed."""


class Database:
    """A pool of connections. With SQLite writers take turns, because it allows only one.

    ``file`` is None unless the store is SQLite.
    """

    def __init__(self, engine: AsyncEngine, file: SqliteFile | None = None) -> None:
        self.engine = engine
        self._file = file
        # Why the store is damaged: final until a restart.
        self.damaged: str | None = None
        if file is not None:
            report_damage(engine.sync_engine, self._is_damaged)
        self._turn = asyncio.Semaphore(1 if file is not None else POSTGRESQL_WRITERS)
        # Why the store refused a write; StoreWriteCheck clears it after a successful one.
        self.failing: str | None = None

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end of the block, rolled back on any error.

        Raises :class:`StoreDamaged` once the store is known to be damaged.
        """
        async with self._turn:
            if self.damaged is not None:
                # A write could spread the damage, and what it stores could not be trusted.
                raise StoreDamaged(f"the database is damaged: {self.damaged}")
            after: list[Callable[[], None]] = []
            outer = _after_commit.set(after)
            try:
                async with self.engine.begin() as connection:
                    yield connection
            except (IntegrityError, ProgrammingError):
                raise  # the statement was wrong, not the store
            except (DBAPIError, ConnectionError) as error:
                if not is_unfit(error):
                    self.failing = why(error)
                raise
            finally:
                _after_commit.reset(outer)
        for call in after:
            call()

    def after_commit(self, call: Callable[[], None]) -> None:
        """In a block of :meth:`write`: call ``call`` after the commit, never after a rollback."""
        _after_commit.get().append(call)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for queries; it waits for no writer."""
        return self.engine.connect()

    async def look_for_damage(self) -> None:
        """Read the whole file once, unless it is large."""
        if self._file is not None and self.damaged is None:
            found = await asyncio.to_thread(self._file.look)
            if found is not None:
                self._is_damaged(found)

    def _is_damaged(self, reason: str) -> None:
        self.damaged = self.damaged or reason[:200]

    async def works_again(self) -> None:
        """After a refused write that succeeded now: let other programs read the file again."""
        self.failing = None
        if self._file is not None and self._file.alone:
            async with self._turn:
                self._file.alone = False
                await self.engine.dispose()

    async def close(self) -> None:
        await self.engine.dispose()


class SqliteFile:
    """The file of a store. ``alone``: opened without shared memory, because the disk is full."""

    def __init__(self, path: Path) -> None:
        self.path, self.alone = path, False

    async def connect(self) -> sqlite_thread.SqliteThread:
        return await sqlite_thread.connect(self.path, alone=self.alone)

    def look(self) -> str | None:
        """Blocks. What is wrong with the file, or None."""
        return look(self.path) if self.path.stat().st_size < _CHECK_WHOLE_BELOW_BYTES and not self.alone else None


def lease_database(url: str, name: str) -> Database:
    """One connection to PostgreSQL that nothing else uses: a lease is renewed while all others are busy."""
    from bot_service.store import postgresql

    return Database(postgresql.pool(url, size=1, name=name))


async def notifications(url: str, name: str, channels: Mapping[str, Callable[[], object]]) -> None:
    """Call what belongs to a channel at once, and whenever PostgreSQL says so; returns when the connection ended.

    Raises ``OSError`` when there is none.
    """
    from bot_service.store import postgresql

    await postgresql.listen(url, channels, name=name)


async def application_names(url: str, names: Sequence[str]) -> list[str]:
    """By which names PostgreSQL knows connections by ``url`` that call themselves ``names``. Raises ``OSError``."""
    from bot_service.store import postgresql

    return await postgresql.application_names(url, names)


async def is_shared(url: str) -> bool:
    """Whether two clients of ``url`` use one connection to PostgreSQL. Raises ``OSError``."""
    from bot_service.store import postgresql

    return await postgresql.is_shared(url)


async def open_database(url: str, *, name: str | None = None) -> Database:
    """The store at ``url`` with the newest schema. Raises :class:`StoreRefused`.

    ``name``: by which PostgreSQL knows the connections.
    """
    parsed = make_url(url)
    file: SqliteFile | None = None
    if parsed.get_backend_name() == "sqlite":
        file = SqliteFile(Path(parsed.database or ""))
        await asyncio.to_thread(_check_file, file.path)
        engine = create_async_engine(
            parsed.set(drivername="sqlite+aiosqlite"),
            pool_size=4,
            max_overflow=0,
            async_creator=file.connect,
        )
        event.listen(engine.sync_engine, "connect", _sqlite_pragmas)
    else:
        from bot_service.store import postgresql

        engine = postgresql.pool(url, size=POSTGRESQL_POOL, name=name or postgresql.NAME)
    try:
        await _upgraded(engine, file)
    except schema.UnknownRevision as error:
        await engine.dispose()
        raise StoreRefused(f"The database is newer than this program: {error}") from None
    except schema.UnknownTables:
        await engine.dispose()
        raise StoreRefused(f"The database {parsed.database} has tables of an unknown program: {_ADVICE}") from None
    except (SQLAlchemyError, OSError) as error:
        await engine.dispose()
        name = parsed.database or "of DATABASE_URL"
        raise StoreRefused(f"The database {name} cannot be opened: {why(error)}") from error
    except BaseException:
        await engine.dispose()
        raise
    database = Database(engine, file)
    if file is not None and file.alone:
        database.failing = "the disk is full"
    return database


async def _upgraded(engine: AsyncEngine, file: SqliteFile | None) -> None:
    try:
        async with engine.connect() as connection:
            await connection.run_sync(schema.upgrade)
            await connection.commit()
    except DBAPIError:
        # A full disk has no room for the shared memory of several programs. An existing store can
        # still be read by this one: sessions connect, and writes are tried until they succeed.
        if file is None or file.alone or not file.path.exists() or file.path.stat().st_size == 0:
            raise
        file.alone = True
        await engine.dispose()
        await _upgraded(engine, file)
        log.error("The database cannot be written: the service starts all the same", event_name="store.alone")


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    pragmas = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")
    for pragma in (*pragmas, f"journal_size_limit={WAL_LIMIT_BYTES}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _check_file(file: Path) -> None:
    """Check a SQLite file without changing it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreRefused(f"The folder {file.parent} cannot be made: {error.strerror}") from None
    if not file.exists() or file.stat().st_size == 0:
        return
    with file.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise StoreRefused(f"The database {file} is corrupt (not an SQLite file): {_ADVICE}")
    try:
        with open_readonly(file, timeout_s=5) as connection:
            if file.stat().st_size < _CHECK_WHOLE_BELOW_BYTES:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise StoreRefused(f"The database {file} is corrupt ({found}): {_ADVICE}")
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            version = None
            if "alembic_version" in tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                version = row[0] if row else None
    except sqlite3.DatabaseError as error:
        if reason_of(error) is None:
            return  # a full disk, a lock: opening it says more
        raise StoreRefused(f"The database {file} is corrupt ({error}): {_ADVICE}") from None
    if version is None and tables - {"alembic_version"}:
        raise StoreRefused(f"The database {file} has tables of an unknown program: {_ADVICE}")
    if version is not None and not schema.known(version):
        raise StoreRefused(
            f"The database {file} is newer than this program (schema {version}): install the program that wrote it"
        )
