"""Copies a SQLite database while another process writes to it, and checks a copy."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

# Beside a database; what they hold is in a copy.
SIDE_FILES = ("-wal", "-shm", "-journal")
_PAGES_AT_ONCE = 1024


def is_database(path: Path) -> bool:
    """Whether ``path`` is a readable SQLite file with content."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def copy(source: Path, target: Path) -> None:
    """``source`` as one whole file at ``target``, for this user only. Raises ``sqlite3.Error``, ``OSError``."""
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
        ) as live,
        contextlib.closing(sqlite3.connect(target)) as copied,
    ):
        # One read transaction: what others write does not begin the copy again. In
        # steps, so that a signal can end it.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copied, pages=_PAGES_AT_ONCE, progress=lambda _status, _left, _all: None, sleep=0.01)
        live.execute("ROLLBACK")
        copied.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)


def damage(path: Path) -> str | None:
    """What is wrong with the database at ``path``; None when it is whole."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            found = str(database.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found
