"""Reading incidents in two threads of a process that has read none before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

# Both threads read their first incident at once, each time in a fresh process: it inherits the modules, not their use.
READ_AT_ONCE = """
import collections, os, sqlite3, sys, threading
from watchdog.ledger import incidents
sys.setswitchinterval(1e-6)
ends = collections.Counter()
for _ in range(300):
    if (pid := os.fork()) == 0:
        start = threading.Barrier(2)
        def read():
            connection = sqlite3.connect(":memory:")
            connection.row_factory = sqlite3.Row
            row = connection.execute("SELECT 'a' AS id, 'bot' AS target, 'down' AS kind, 1 AS opened_at_ms,"
                " 2 AS decided_at_ms, 'timeout' AS reason, NULL AS closed_at_ms, 3 AS reminders").fetchone()
            start.wait()
            read = incidents.incident(row)
            if (read.kind, read.reminders) != (incidents.IncidentKind.DOWN, 3):
                os._exit(2)
        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        os._exit(0)
    ends[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])] += 1
print(dict(ends))
"""


@pytest.mark.system
def test_two_threads_read_their_first_incident_at_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", READ_AT_ONCE], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stdout == "{0: 300}\n", ended.stderr
