"""Keeps the file of a worker's standard error short: native code and engines print there for months."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024
KEPT_BYTES = 1024 * 1024


def shorten(path: Path) -> bool:
    """Keep the newest ``KEPT_BYTES`` of a file that exceeds ``LIMIT_BYTES``. Returns whether it did.

    Its writers must append: they go on at the new end. What they write at the same time may be lost. Never raises.
    """
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        if size > LIMIT_BYTES:
            with path.open("rb") as file:
                file.seek(size - KEPT_BYTES)
                newest = file.read(KEPT_BYTES)
            os.truncate(path, 0)
            with path.open("ab", buffering=0) as file:
                file.write(newest)
            return True
    return False
