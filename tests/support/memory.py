"""The peak of a process's memory over a stretch of time: what was held and given back counts too."""

from __future__ import annotations

import os
import re
from pathlib import Path


class Peak:
    """Begins where it is made. The highest mark of ``getrusage`` would be that of earlier tests."""

    def __init__(self, pid: int | None = None) -> None:
        self._folder = Path(f"/proc/{pid or os.getpid()}")
        (self._folder / "clear_refs").write_text("5")  # the peak is now what is held now
        self._before = self._most()

    def grown_bytes(self) -> int:
        """How much more than at the beginning was held at some time since then."""
        return self._most() - self._before

    def _most(self) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", (self._folder / "status").read_text())
        assert found is not None
        return int(found[1]) * 1024
