"""A disk without space, for one real process and without root: no file may grow beyond a few bytes."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator

MOST_BYTES = 512


def fill(pid: int) -> None:
    """From now on every write of the process fails, also to its output when that is a file."""
    _set(pid, MOST_BYTES)


def free(pid: int) -> None:
    """Undo :func:`fill`."""
    _set(pid, resource.RLIM_INFINITY)


def _set(pid: int, most: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))


@contextlib.contextmanager
def filled_at_start() -> Iterator[None]:
    """A process started inside, and what it starts, finds a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
