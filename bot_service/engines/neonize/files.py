"""The files of a session: one SQLite file and two small ones beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bot_service.engines.registry import safe_name

# The library appends "?_foreign_keys=on" to whatever it is given; the last option swallows that.
DSN_OPTIONS = "?_foreign_keys=on&_journal_mode=WAL&_busy_timeout=5000&_cache_size=-256&_z=1"


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """All names begin alike, so that one pattern deletes a session."""

    store: Path
    marks: Path
    sent: Path

    @property
    def dsn(self) -> str:
        """The data source for the library: its SQLite file with write-ahead log."""
        return f"{self.store}{DSN_OPTIONS}"

    @classmethod
    def of(cls, data_dir: Path, session: str) -> DeviceFiles:
        """The files of one session; the folder exists afterwards, readable by the owner only."""
        folder = data_dir / "devices"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = safe_name(session)
        store = folder / f"{name}.db"
        if not store.exists():
            os.close(os.open(store, os.O_CREAT | os.O_RDWR, 0o600))
        return cls(store, folder / f"{name}.db.marks", folder / f"{name}.db.sent")
