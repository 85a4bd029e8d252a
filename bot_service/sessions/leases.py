"""Which service owns a session; checked before a connect and after a replacement."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from shared import backup_folders
from shared.file_lock import lock_file


class Leases(Protocol):
    """One machine today. With several, a row per session with expiry and fencing number."""

    def owns(self, session: str) -> bool:
        """By what is in memory."""
        ...

    async def hold(self, session: str) -> bool:
        """Whether this service may connect the session now."""
        ...


class FolderTaken(Exception):
    """Another bot service works in the same folder."""


class FolderLease:
    """One lock on DATA_DIR stands for all leases; the death of its holder releases it."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "bot.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Raises :class:`FolderTaken` or ``OSError``."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._descriptor = lock_file(self._file)
        except BlockingIOError:
            raise FolderTaken(f"another bot service already works in {self._file.parent}: stop it first") from None
        backup_folders.prepare(self._file.parent)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def owns(self, session: str) -> bool:
        return self._descriptor is not None

    async def hold(self, session: str) -> bool:
        return self.owns(session)
