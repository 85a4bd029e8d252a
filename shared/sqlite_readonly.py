"""Looks at a SQLite file and leaves nothing behind: a program that refuses a database has not touched its folder."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def looking_at(file: Path, timeout_s: float) -> Iterator[sqlite3.Connection]:
    """A connection that reads ``file``, which nobody else may write meanwhile. Raises ``sqlite3.Error``."""
    # Reading a file in WAL mode makes the two side files, and a reader may not take them away again. Without a
    # write-ahead log there is nothing in it to miss, so the file can be read as one that never changes.
    log = file.with_name(file.name + "-wal")
    how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True, timeout=timeout_s)
    try:
        yield connection
    finally:
        connection.close()
