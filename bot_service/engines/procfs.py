"""Reads the resources and identity of a process from /proc; zeros where there is no /proc."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def rss_bytes(pid: int | None = None) -> int:
    """Resident memory in bytes."""
    try:
        return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def descriptors(pid: int | None = None) -> int:
    """Open file descriptors."""
    try:
        return len(os.listdir(f"/proc/{pid or 'self'}/fd"))
    except OSError:
        return 0


def threads(pid: int | None = None) -> int:
    """Threads of the operating system."""
    return int(_stat(pid, 17) or 0)


def start_ticks(pid: int | None = None) -> int:
    """Start time in clock ticks since the boot of the machine; with the pid it is unique."""
    return int(_stat(pid, 19) or 0)


def alive(pid: int, ticks: int) -> bool:
    """True while the process that had ``pid`` and ``ticks`` runs; a zombie does not run."""
    if not Path("/proc/self").exists():
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    return _stat(pid, 0) not in (None, "Z", "X") and start_ticks(pid) == ticks


def _stat(pid: int | None, field: int) -> str | None:
    # The fields after the command's name, which may itself hold blanks and brackets.
    try:
        return Path(f"/proc/{pid or 'self'}/stat").read_text().rpartition(")")[2].split()[field]
    except (OSError, IndexError):
        return None
