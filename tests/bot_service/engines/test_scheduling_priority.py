"""A worker has a lower priority than the API process from its first moment on."""

from __future__ import annotations

import os
import subprocess

from structlog.testing import capture_logs

from bot_service.engines.pool.scheduling_priority import NICER_BY, lower_priority


def test_a_process_that_was_started_gives_way() -> None:
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as child:
        try:
            lower_priority(child.pid)
            assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICER_BY)
            assert os.sched_getscheduler(child.pid) == os.SCHED_BATCH
        finally:
            child.kill()


def test_a_process_that_is_gone_is_no_error() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with capture_logs() as logs:
        lower_priority(child.pid)
    assert logs == []
