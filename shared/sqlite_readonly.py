"""Opens a SQLite file for reading only and leaves nothing behind in its folder."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_readonly(file: Path, timeout_s: float) -> Iterator[sqlite3.Connection]:
    """A connection that reads ``file``, which no program may write. Raises ``sqlite3.Error``."""
    # A reader of a file in WAL mode makes two side files and may not remove them. Without a
    # write-ahead log nothing is missed by reading the file as one that never changes.
    log = file.with_name(file.name + "-wal")
    how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?{how}", uri=True, timeout=timeout_s)
    with contextlib.closing(connection):
        yield connection
