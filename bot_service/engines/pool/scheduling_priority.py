"""Lowers the scheduling priority of workers below that of the API process."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICER_BY = 5


def lower_priority(pid: int) -> None:
    """For the new worker ``pid``. Where the system does not allow it, nothing changes.

    Called right after the start: the imports of a worker take a sixth of a second of a core, and
    its threads inherit the priority.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER_BY)
    # A batch process gets the same share of a core, but does not preempt others when it wakes up.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
    # A worker is a process session, and Linux may divide cores by session before the nice value.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICER_BY))
