"""The ledger's file: opened, checked, read without being changed, or kept aside when it is damaged."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from shared.file_lock import FolderLock
from shared.sqlite_readonly import open_readonly
from watchdog.ledger import schema

T = TypeVar("T")
BUSY_TIMEOUT_S = 2.0
WAL_LIMIT_BYTES = 4 * 2**20
_ROOM_BYTES = 64 * 1024
_MOST_ASIDE = 5
_COPIED_BYTES = 256 * 1024 * 1024
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DEFECTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an input/output error",
    sqlite3.SQLITE_BUSY: "another program has locked the database",
    sqlite3.SQLITE_LOCKED: "another program has locked the database",
    sqlite3.SQLITE_READONLY: "the database cannot be written",
    sqlite3.SQLITE_PERM: "the database cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the database is damaged",
}
_ERRNO_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a limit for the size of files is reached",
    errno.EIO: "the disk reports an input/output error",
    errno.EROFS: "the folder cannot be written",
    errno.EACCES: "the folder cannot be written",
    errno.EPERM: "the folder cannot be written",
    errno.ENOENT: "the file is gone",
    errno.ENOTDIR: "the folder cannot be made",
}


class LedgerRefused(Exception):
    """The database must not be used; the text says why and what to do, in one line."""


class Damaged(Exception):
    """The file is no whole database; the text says what is wrong."""


class Connections(NamedTuple):
    """``inode`` names the open file. ``is_new``: it held nothing before."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection
    inode: int
    is_new: bool


def refuses(error: BaseException) -> bool:
    """Whether the storage failed, and not a value that was written."""
    return isinstance(error, OSError | sqlite3.DatabaseError | Damaged) and not isinstance(error, _DEFECTS)


def is_damage(error: BaseException) -> bool:
    return isinstance(error, Damaged) or (isinstance(error, sqlite3.Error) and _primary(error) in _DAMAGE)


def why(error: BaseException) -> str:
    """A failure of the storage in a few words, without a path."""
    if isinstance(error, Damaged):
        return "the database is damaged"
    if isinstance(error, TimeoutError):
        return "the disk does not answer"
    if isinstance(error, sqlite3.Error):
        return _WORDS.get(_primary(error), f"{type(error).__name__}: {error}")
    return _ERRNO_WORDS.get(getattr(error, "errno", None) or 0, "the file cannot be used")


def _primary(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def connect(
    path: Path | str,
    *,
    busy_s: float = BUSY_TIMEOUT_S,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False, factory=factory)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # a decision with notices must survive a power cut
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # after a burst, the write-ahead log is cut to this size
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA cache_size = -1024")
    except BaseException:
        connection.close()
        raise
    return connection


def open_file(path: Path, *, busy_s: float = BUSY_TIMEOUT_S) -> Connections:
    """Open or create the file for writing. Raises ``OSError`` and ``sqlite3.Error``."""
    _need_room(path)
    is_new = not path.exists() or path.stat().st_size == 0
    with contextlib.ExitStack() as opened:
        writer = opened.enter_context(contextlib.closing(connect(path, busy_s=busy_s)))
        schema.bring_up_to_date(writer)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("ROLLBACK")
        reader = opened.enter_context(contextlib.closing(connect(path, busy_s=busy_s)))
        reader.execute("PRAGMA query_only = ON")
        opened.pop_all()
        return Connections(writer, reader, path.stat().st_ino, is_new)


def _need_room(path: Path) -> None:
    """Write a little file beside the database and remove it.

    SQLite maps a side file into memory; on a full disk or in a folder that refuses writes, touching
    that memory ends the process (SIGBUS). So the folder is tried first.
    """
    probe = path.with_name(f".{path.name}.room")
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            left = _ROOM_BYTES
            while left > 0:
                left -= os.write(descriptor, bytes(left))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def lock(path: Path) -> FolderLock | None:
    """Lock the ledger against a second watchdog, which would send everything twice.

    Where no lock file can be made, the lock on the folder is enough. None when nothing is there.
    Raises :class:`LedgerRefused` when another watchdog holds it.
    """
    found = FolderLock(path.with_suffix(path.suffix + ".lock"), path.parent)
    try:
        found.take()
    except BlockingIOError as error:
        raise LedgerRefused(
            f"The database {path} is in use by another watchdog: stop it or set DATA_DIR to another folder"
        ) from error
    except OSError:
        return None
    return found


def check(path: Path) -> None:
    """Raises :class:`Damaged` for a broken file, :class:`LedgerRefused` for one of another program
    or a newer version, and ``sqlite3.Error`` when it cannot be read now.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        version, tables, problem = read_only(path, _look)
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise
    if problem != "ok":
        raise Damaged(problem)
    if version > schema.NEWEST:
        raise LedgerRefused(
            f"The database {path} was written by a newer version (schema {version}, this program knows {schema.NEWEST})."
            " Nothing was changed: install the newer version again, or move the file away"
        )
    if version == 0 and tables:
        raise LedgerRefused(f"The database {path} is not a ledger of the watchdog. Nothing was changed: set DATA_DIR")


def _look(connection: sqlite3.Connection) -> tuple[int, int, str]:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    problem = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return version, int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]), problem


def read_only(path: Path, fn: Callable[[sqlite3.Connection], T]) -> T:
    """``fn(connection)`` on a file in a folder that may refuse writes. Raises ``sqlite3.Error``."""
    try:
        with open_readonly(path, BUSY_TIMEOUT_S) as connection:
            connection.row_factory = sqlite3.Row
            return fn(connection)
    except sqlite3.Error as error:
        log = path.with_name(path.name + "-wal")
        if is_damage(error) or not log.exists() or path.stat().st_size + log.stat().st_size > _COPIED_BYTES:
            raise
        return _read_copy(path, log, fn, error)


def _read_copy(path: Path, log: Path, fn: Callable[[sqlite3.Connection], T], error: sqlite3.Error) -> T:
    """A write-ahead log is read with side files: where none can be made, read a copy elsewhere."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            for file in (path, log):
                (Path(folder) / file.name).write_bytes(file.read_bytes())
            with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as connection:
                connection.row_factory = sqlite3.Row
                return fn(connection)
    except OSError:
        raise error from None


def keep_aside(path: Path, stamp: str) -> Path:
    """Rename a damaged database and its side files. Returns the new name; raises ``OSError``."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    earlier = sorted(path.parent.glob(f"{path.name}.damaged-*[0-9]Z"))
    if len(earlier) >= _MOST_ASIDE:
        # A disk that damages every new file must not be filled with them: the first ones stay.
        for suffix in ("", "-wal", "-shm"):
            earlier[-1].with_name(earlier[-1].name + suffix).unlink(missing_ok=True)
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
