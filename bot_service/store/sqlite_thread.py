"""A connection to SQLite in its own thread, with one round trip to that thread for each statement.

It replaces aiosqlite's connection below SQLAlchemy (``async_creator``). With aiosqlite, making a
cursor, executing, fetching and closing are four round trips, and each is a turn of the event loop.
Here one trip returns a statement's rows, and an empty rollback needs none. See docs/decisions/0094.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

T = TypeVar("T")

_Work = tuple[asyncio.Future[Any], Callable[[], Any]]


async def connect(file: Path, *, busy_timeout_s: float = 5.0, alone: bool = False) -> SqliteThread:
    """A connection to ``file``, created if missing. Raises ``sqlite3.Error``.

    ``alone``: without the shared memory file, which needs space on the disk; no other process can
    read the database then.
    """
    made = SqliteThread()
    try:
        await made.open(file, busy_timeout_s, alone=alone)
    except BaseException:
        made.stop()
        raise
    return made


class SqliteThread:
    """What SQLAlchemy's adapter needs of an aiosqlite connection. Results hold all rows."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        # A daemon, so that a disk that hangs does not keep the process alive.
        self._thread = threading.Thread(target=_run, args=(self._work,), name="sqlite", daemon=True)
        self._thread.start()

    async def open(self, file: Path, busy_timeout_s: float, *, alone: bool = False) -> None:
        """Once, before anything else."""
        name = f"file:{quote(str(file))}?vfs=unix-excl" if alone else file
        # Statements of one connection never overlap, so it may be touched from both threads.
        open_file = partial(sqlite3.connect, name, timeout=busy_timeout_s, check_same_thread=False, uri=alone)
        self._connection = await self.do(open_file)

    async def do(self, work: Callable[[], T]) -> T:
        """Run ``work()`` in the thread and return its result."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.put((future, work))
        return await future

    @property
    def opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("no active connection")  # the adapter knows this sentence
        return self._connection

    @property
    def isolation_level(self) -> str | None:
        return self.opened.isolation_level

    async def create_function(self, *args: Any, **kwargs: Any) -> None:
        await self.do(partial(self.opened.create_function, *args, **kwargs))

    def cursor(self) -> Statement:
        return Statement(self)

    async def commit(self) -> None:
        await self.do(self.opened.commit)

    async def rollback(self) -> None:
        if self.opened.in_transaction:
            await self.do(self.opened.rollback)

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                await self.do(connection.close)
            finally:
                self.stop()

    def stop(self) -> None:
        """End the thread after the work it already has."""
        self._work.put(None)


class Statement:
    """A cursor that is made, executed and read in one trip."""

    arraysize = 1

    def __init__(self, connection: SqliteThread) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Self:
        await self._connection.do(partial(self._execute, sql, parameters))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> Self:
        await self._connection.do(partial(self._executemany, sql, parameters))
        return self

    async def fetchall(self) -> Sequence[Any]:
        rows, self._rows = self._rows, ()
        return rows

    async def close(self) -> None:
        self._rows = ()

    def _execute(self, sql: str, parameters: Any) -> None:
        cursor = self._connection.opened.execute(sql, parameters)
        self.description = cursor.description
        # Rows before the count: of an UPDATE with RETURNING it is known only at the end.
        self._rows = cursor.fetchall() if cursor.description is not None else ()
        self._end(cursor)

    def _executemany(self, sql: str, parameters: Any) -> None:
        self._end(self._connection.opened.executemany(sql, parameters))

    def _end(self, cursor: sqlite3.Cursor) -> None:
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()


def _run(work: queue.SimpleQueue[_Work | None]) -> None:
    while (item := work.get()) is not None:
        future, call = item
        result, error = None, None
        try:
            result = call()
        except BaseException as caught:
            error = caught
        try:
            future.get_loop().call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            pass  # the loop has ended, and the caller with it
        del item, future, call, result, error  # nothing of the last statement stays in memory


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
