"""The ledger: one writer thread, one reader thread, IMMEDIATE transactions in WAL mode.

Refuses a database that is damaged, newer than this program, or in use by another watchdog.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from shared import backup_folders
from shared.file_lock import lock_file
from shared.sqlite_readonly import open_readonly
from watchdog.ledger import schema

T = TypeVar("T")
BUSY_TIMEOUT_S = 5.0


class LedgerRefused(Exception):
    """The database cannot be used; the text says why and what to do, in one line."""


class Ledger:
    """``write(fn)`` runs ``fn(connection)`` in one transaction, ``read(fn)`` on a snapshot.

    A write that is not ``durable`` survives a crash of the process, but a power cut may lose it
    until the next durable write. An exception of ``fn`` rolls back and is raised again.
    """

    def __init__(self, writer: sqlite3.Connection, reader: sqlite3.Connection, lock: int) -> None:
        self._writer, self._reader, self._lock = writer, reader, lock
        self._durable = True
        self._writer_thread = ThreadPoolExecutor(1, "ledger-writer")
        self._reader_thread = ThreadPoolExecutor(1, "ledger-reader")

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._transact, fn, durable)

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader_thread, self._snapshot, fn)

    def close(self) -> None:
        """Finish running calls, checkpoint the write-ahead log, close the file. Blocks."""
        self._writer_thread.shutdown()
        self._reader_thread.shutdown()
        self._reader.close()
        self._writer.close()
        os.close(self._lock)

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
    """Open or create the ledger. Blocks. Raises :class:`LedgerRefused`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerRefused(f"The folder {path.parent} cannot be made: {error.strerror}") from error
    lock = _lock(path)
    try:
        backup_folders.prepare(path.parent)
        _refuse_unusable(path)
        writer = connect(path)
        schema.bring_up_to_date(writer)
        reader = connect(path)
        reader.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        os.close(lock)
        raise LedgerRefused(f"The database {path} cannot be used: {error}. Nothing was changed") from error
    except (LedgerRefused, OSError):
        os.close(lock)
        raise
    return Ledger(writer, reader, lock)


def connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # a decision with notices must survive a power cut
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -1024")
    return connection


def _lock(path: Path) -> int:
    """Lock the ledger against a second watchdog, which would send everything twice."""
    name = path.with_suffix(path.suffix + ".lock")
    try:
        return lock_file(name)
    except BlockingIOError as error:
        raise LedgerRefused(
            f"The database {path} is in use by another watchdog: stop it or set DATA_DIR to another folder"
        ) from error
    except OSError as error:
        raise LedgerRefused(f"The folder {path.parent} cannot be written: {error.strerror}") from error


def _refuse_unusable(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        with open_readonly(path, BUSY_TIMEOUT_S) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            problem = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.Error as error:
        raise _damaged(path, error) from error
    if problem != "ok":
        raise _damaged(path, problem)
    if version > schema.NEWEST:
        raise LedgerRefused(
            f"The database {path} was written by a newer version (schema {version}, this program knows {schema.NEWEST})."
            " Nothing was changed: install the newer version again, or move the file away"
        )
    if version == 0 and tables:
        raise LedgerRefused(f"The database {path} is not a ledger of the watchdog. Nothing was changed: set DATA_DIR")


def _damaged(path: Path, why: object) -> LedgerRefused:
    return LedgerRefused(
        f"The database {path} is damaged ({why}). Nothing was changed: restore a backup, or move it away to start empty"
    )
