"""Lets the API process have the core first: what answers people and the watchdog is never the one that waits."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICER_BY = 5


def give_way(pid: int) -> None:
    """For the worker ``pid`` that was just started, for good. Where the system does not allow it, nothing changes.

    Done by who starts it: interpreter and imports are a sixth of a second of a core, in every worker of a start at once.
    Threads inherit all of it, so it comes before the worker's first.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER_BY)
    # A batch process gets the same share of a core, but does not interrupt others when it wakes up.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
    # A worker is a session of its own, and Linux may share cores out by session before it looks at the nice value.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER_BY))
