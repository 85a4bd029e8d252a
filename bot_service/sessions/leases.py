"""Which service owns a session; checked before a connect and after a replacement."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from shared import backup_folders
from shared.clock import Clock
from shared.file_lock import FolderLock
from shared.temporary_folders import remove_left, remove_old_parts


class Leases(Protocol):
    """One machine: a lock on the folder. Several: rows of PostgreSQL (bot_service/replicas/lease.py)."""

    def owns(self, session: str) -> bool:
        """By what is in memory."""
        ...

    def supervises(self, session: str) -> bool:
        """Whether this service decides what becomes of the session; false for those of another replica."""
        ...

    async def hold(self, session: str) -> bool:
        """Whether this service may connect the session now."""
        ...


class FolderTaken(Exception):
    """Another bot service works in the same folder."""


class FolderLease:
    """One lock on DATA_DIR stands for all leases; the death of its holder releases it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        # The watchdog may share the data folder, so this service locks a folder of its own.
        self._lock = FolderLock(data_dir / "bot.lock", data_dir / "run")

    def take(self) -> None:
        """Raises :class:`FolderTaken` or ``OSError``."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.take()
        except BlockingIOError:
            raise FolderTaken(f"another bot service already works in {self._data_dir}: stop it first") from None
        backup_folders.prepare(self._data_dir)
        for folder in (self._data_dir, self._data_dir / "engine"):
            remove_left(folder, ".doctor-")

    def release(self) -> None:
        self._lock.release()

    async def keep(self, clock: Clock) -> None:
        """A loop: holds the lock also when its file is deleted. Begins with old unfinished files."""
        await asyncio.to_thread(remove_old_parts, self._data_dir, clock.now())
        await self._lock.keep(clock)

    def owns(self, session: str) -> bool:
        return self._lock.held

    def supervises(self, session: str) -> bool:
        return True

    async def hold(self, session: str) -> bool:
        return self.owns(session)
