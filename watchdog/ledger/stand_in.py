"""A ledger in memory that stands in while the file cannot be written.

Decisions, outbox and deliveries run on it with the same code. What it holds is bounded.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from watchdog.ledger import essentials, schema, storage
from watchdog.ledger.essentials import Essentials

T = TypeVar("T")
_PRUNE_EVERY = 500
_MOST_ROWS = 20_000
_MOST_NOTICES = 2000


class StandInConnection(sqlite3.Connection):
    """Marks the connection: what is written here may be lost."""


class Moved(Exception):
    """The file can be written again and holds everything: use it."""


class StandIn:
    """``seed`` is what it began with."""

    def __init__(self, seed: Essentials) -> None:
        self.seed = seed
        self._thread = ThreadPoolExecutor(1, "ledger-stand-in")
        self._connection = storage.connect(":memory:", factory=StandInConnection)
        schema.bring_up_to_date(self._connection)
        self._connection.execute("BEGIN")
        essentials.write(self._connection, seed)
        self._connection.execute("COMMIT")
        self._writes = 0
        self._moved = False

    async def write(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Raises :class:`Moved`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, fn)

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Raises :class:`Moved`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._snapshot, fn)

    async def move(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """``fn(connection)`` copies everything to the file; when it returns, this ledger ends."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.move_now, fn)

    def move_now(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        value = fn(self._connection)
        self._moved = True
        return value

    def close(self) -> None:
        """Finish what runs. Blocks for a moment; keeps the connection for :meth:`move_now`."""
        self._thread.shutdown()

    def _transact(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        if self._moved:
            raise Moved
        connection = self._connection
        connection.execute("BEGIN")
        try:
            value = fn(connection)
            self._writes += 1
            if self._writes % _PRUNE_EVERY == 0:
                _prune(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return value

    def _snapshot(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        if self._moved:
            raise Moved
        connection = self._connection
        connection.execute("PRAGMA query_only = ON")
        try:
            return fn(connection)
        finally:
            connection.execute("PRAGMA query_only = OFF")


def _prune(connection: sqlite3.Connection) -> None:
    for table in ("result", "delivery", "flip", "event"):
        connection.execute(
            f"DELETE FROM {table} WHERE id <= (SELECT id FROM {table} ORDER BY id DESC LIMIT 1 OFFSET {_MOST_ROWS})"  # noqa: S608
        )
    connection.execute(
        "DELETE FROM notice WHERE id NOT IN (SELECT notice_id FROM outbox WHERE state IN ('waiting', 'leased'))"
        " AND id IN (SELECT id FROM notice ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        (_MOST_NOTICES,),
    )
