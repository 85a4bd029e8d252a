"""Locks a file for one process; the lock ends with the process, however that ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path
from typing import Never

from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

CHECK_EVERY_S = 1.0


def lock_file(path: Path) -> int:
    """The descriptor that holds the lock on ``path`` until it is closed; makes the file.

    Raises ``BlockingIOError`` when another process holds the lock, and ``OSError``.
    """
    return _locked(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def lock_existing(path: Path) -> int:
    """Like :func:`lock_file` for a file or folder that is there already and may be read-only."""
    return _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock on ``path``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(_locked(descriptor))
    except BlockingIOError:
        return True
    return False


class FolderLock:
    """A lock on ``file`` and on ``folder``: the second one holds when somebody deletes the file.

    Programs that share a data folder lock different folders.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self._file, self._folder = file, folder
        self._held: dict[Path, int] = {}
        self._had: set[Path] = set()

    @property
    def held(self) -> bool:
        return bool(self._held)

    def take(self) -> None:
        """Makes folder and file; where no file can be made, one of the two locks is enough.

        Raises ``BlockingIOError`` when another process holds one of them, and ``OSError``.
        """
        try:
            self._lock_folder()
            self._lock_file()
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def renew(self) -> list[Path]:
        """Locks again what was removed or replaced since, and returns it.

        Raises ``BlockingIOError`` when another process has the new one, and ``OSError``.
        """
        self._had.update(self._held)
        for path in [path for path, descriptor in self._held.items() if not _is_at(descriptor, path)]:
            os.close(self._held.pop(path))
        lost = [path for path in self._had if path not in self._held]
        if self._folder in lost:
            self._lock_folder()
        if self._file in lost:
            self._lock_file()
        return [path for path in lost if path in self._held]

    async def keep(self, clock: Clock) -> Never:
        """A loop: renews the lock; ends this program in order when another one has taken it."""
        while True:
            await clock.sleep(CHECK_EVERY_S)
            try:
                for path in self.renew():
                    log.error(
                        "A lock was removed while in use; it is made again",
                        event_name="lock.replaced",
                        file=path.name,
                    )
            except BlockingIOError:
                log.critical(
                    "The lock was removed and another process has taken it; this one ends",
                    event_name="lock.lost",
                    file=self._file.name,
                )
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.Event().wait()
            except OSError as error:
                log.error("A lock cannot be made again", event_name="lock.failed", error=error.strerror)

    def _lock_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._held[self._folder] = lock_existing(self._folder)
        except BlockingIOError:
            raise
        except OSError:
            pass  # a file system that locks files only: the lock on the file is enough

    def _lock_file(self) -> None:
        try:
            self._held[self._file] = lock_file(self._file)
        except BlockingIOError:
            raise
        except OSError:
            try:
                self._held[self._file] = lock_existing(self._file)
            except BlockingIOError:
                raise
            except OSError:
                if not self._held:
                    raise


def _locked(descriptor: int) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
