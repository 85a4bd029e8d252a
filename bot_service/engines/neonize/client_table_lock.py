"""The lock that the library's client tables lack: starts and stops run alone.

The library reads the tables at the beginning of every call and writes them at start and stop. A
write beside a read aborts the process. So a start or stop waits until the newest call is past its
look-up, and no call begins while it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.clock import Clock

LOOK_UP_S = 0.02


class ClientTableLock:
    """One per process; used from threads only."""

    def __init__(self, clock: Clock, *, look_up_s: float = LOOK_UP_S) -> None:
        self._clock = clock
        self._look_up_s = look_up_s
        self._lock = threading.Lock()
        self._newest_call = float("-inf")
        self._pause = threading.Event()

    def before_call(self) -> None:
        """Returns when a call may look up its client."""
        with self._lock:
            self._newest_call = self._clock.monotonic()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Inside, the tables may be written: no call looks anything up."""
        with self._lock:
            left = self._newest_call + self._look_up_s - self._clock.monotonic()
            if left > 0:
                self._pause.wait(left)
            yield
