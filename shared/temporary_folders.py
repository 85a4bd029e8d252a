"""Folders for intermediate files: removed at the end, and also after the process was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

_UNLOCKED = ".making-"


@contextlib.contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in ``parent`` that only this user may read, removed at the end.

    Its name begins with ``prefix``. It is locked, so that :func:`remove_left` knows that it is in
    use. Raises ``OSError``.
    """
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED, dir=parent))
    try:
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It gets its name with the lock: without it another process would take it for a left one.
            made = made.rename(parent / f"{prefix}{made.name.removeprefix(_UNLOCKED)}")
            yield made
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def left(parent: Path, prefix: str) -> list[Path]:
    """The folders of :func:`temporary_folder` with processes that do not run any more."""
    return [path for path in sorted(parent.glob(f"{prefix}*")) if path.is_dir() and not _in_use(path)]


def remove_left(parent: Path, prefix: str) -> None:
    """Removes the folders that killed processes left."""
    for path in left(parent, prefix):
        shutil.rmtree(path, ignore_errors=True)


def remove_old_parts(folder: Path, now: datetime, *, older_than_s: float = 3600.0) -> None:
    """Removes the unfinished ``.part`` files below ``folder`` that killed processes left.

    Newer ones may still be written by another process.
    """
    newest_s = now.timestamp() - older_than_s
    for path in folder.rglob("*.part"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < newest_s:
                path.unlink()


def _in_use(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
