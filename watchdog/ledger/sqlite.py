"""The ledger's door: one writer thread, one reader thread, every write one IMMEDIATE transaction in WAL mode.

A database that is corrupt, newer than this program, or in use by another watchdog is refused before anything is touched.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from shared.sqlite_readonly import looking_at
from watchdog.ledger import schema

T = TypeVar("T")
BUSY_TIMEOUT_S = 5.0


class LedgerRefused(Exception):
    """The database cannot be used; the text says why and what to do, in one line."""


class Ledger:
    """``await write(fn)`` runs ``fn(connection)`` in one transaction, ``await read(fn)`` beside it on a snapshot.

    A write that is not ``durable`` survives the end of the process like any other, but a power cut may take it; it is on
    the disk with the next durable one at the latest. Whatever ``fn`` raises rolls the transaction back and is raised again. Calls may come from any task.
    """

    def __init__(
        self, writer: sqlite3.Connection, reader: sqlite3.Connection, lock: int | None, *, inline: bool
    ) -> None:
        self._writer, self._reader, self._lock = writer, reader, lock
        self._durable = True
        self._threads = (
            None if inline else (ThreadPoolExecutor(1, "ledger-writer"), ThreadPoolExecutor(1, "ledger-reader"))
        )

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        if self._threads is None:
            return self._transact(fn, durable)
        return await asyncio.get_running_loop().run_in_executor(self._threads[0], self._transact, fn, durable)

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        if self._threads is None:
            return fn(self._reader)
        return await asyncio.get_running_loop().run_in_executor(self._threads[1], self._snapshot, fn)

    def close(self) -> None:
        """Finish what was begun, fold the write-ahead log into the database and let the file go. Blocks."""
        for thread in self._threads or ():
            thread.shutdown(wait=True)
        if self._reader is not self._writer:
            self._reader.close()
        self._writer.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _transact(self, fn: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        if durable is not self._durable:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            value = fn(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        return value

    def _snapshot(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        self._reader.execute("BEGIN")
        try:
            return fn(self._reader)
        finally:
            self._reader.execute("ROLLBACK")


def open_ledger(path: Path) -> Ledger:
    """The ledger in ``path``, made when it is not there. Blocks. Raises :class:`LedgerRefused`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerRefused(f"The folder {path.parent} cannot be made: {error.strerror}") from error
    lock = _lock(path)
    try:
        _refuse_unusable(path)
        writer = _connect(path)
        schema.bring_up_to_date(writer)
        reader = _connect(path)
        reader.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        os.close(lock)
        raise LedgerRefused(f"The database {path} cannot be used: {error}. Nothing was changed") from error
    except LedgerRefused:
        os.close(lock)
        raise
    return Ledger(writer, reader, lock, inline=False)


def open_in_memory() -> Ledger:
    """A ledger that lives as long as the object and runs in the caller's thread: for simulations and tests."""
    connection = _connect(":memory:")
    schema.bring_up_to_date(connection)
    return Ledger(connection, connection, None, inline=True)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a decision that was told must survive a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -1024")
    return connection


def _lock(path: Path) -> int:
    """Two watchdogs on one ledger would tell everything twice; the lock goes with the process, however it ends."""
    name = path.with_suffix(path.suffix + ".lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerRefused(f"The folder {path.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise LedgerRefused(
            f"The database {path} is in use by another watchdog: stop it or set DATA_DIR to another folder"
        ) from error
    return descriptor


def _refuse_unusable(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with looking_at(path, BUSY_TIMEOUT_S) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.Error as error:
        raise LedgerRefused(
            f"The database {path} is damaged ({error}). Nothing was changed: restore a backup, or move it away to start anew"
        ) from error
    if verdict != "ok":
        raise LedgerRefused(
            f"The database {path} is damaged ({verdict}). Nothing was changed: restore a backup, or move it away to start anew"
        )
    if version > schema.NEWEST:
        raise LedgerRefused(
            f"The database {path} was written by a newer version (schema {version}, this program knows {schema.NEWEST})."
            " Nothing was changed: install the newer version again, or move the file away"
        )
    if version == 0 and tables:
        raise LedgerRefused(f"The database {path} is not a ledger of the watchdog. Nothing was changed: set DATA_DIR")
