"""Lets the API process have the core first: what answers people and the watchdog is never the one that waits."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICER_BY = 5


def give_way() -> None:
    """For the calling process, for good. Where the system does not allow it, everything stays as it was."""
    with contextlib.suppress(OSError):
        os.nice(NICER_BY)
    # A worker is a session of its own, and Linux may share cores out by session before it looks at the nice value.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICER_BY))
