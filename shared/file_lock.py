"""Locks a file for one process; the lock ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def lock_file(path: Path) -> int:
    """The descriptor that holds the lock on ``path`` until it is closed; makes the file.

    Raises ``BlockingIOError`` when another process holds the lock, and ``OSError``.
    """
    return _locked(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _locked(descriptor: int) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lock_existing(path: Path) -> int:
    """Like :func:`lock_file` for a file or folder that is there already and may be read-only."""
    return _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
