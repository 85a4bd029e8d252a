"""Watches the event loop from a thread: dumps all stacks of a stalled loop, then ends the process.

Docker and Railway restart a process that ends, but not one that runs and does not answer.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from shared.hooks import Hook
from shared.log_writer import write_bounded

EXIT_STALLED = 70


def _stacks() -> str:
    """The stacks of all threads. To a file first: faulthandler would write to a full pipe for ever."""
    try:
        with (
            tempfile.TemporaryFile()
            if not hasattr(os, "memfd_create")
            else open(os.memfd_create("stacks"), "w+b") as file
        ):
            faulthandler.dump_traceback(file=file, all_threads=True)
            file.seek(0)
            return file.read().decode(errors="replace")
    except OSError as error:
        return f"no stacks: {error.strerror}\n"


def _end_process(code: int) -> NoReturn:
    os._exit(code)


class LoopGuard:
    """Dumps stacks after a stall of ``dump_s`` seconds, ends the process after ``kill_s``."""

    def __init__(
        self,
        *,
        stamp_s: float = 0.5,
        dump_s: float = 20.0,
        kill_s: float = 60.0,
        end: Callable[[int], object] = _end_process,
    ) -> None:
        self._stamp_s = stamp_s
        self._dump_s = dump_s
        self._kill_s = kill_s
        self._end = end
        self._stamp = time.monotonic()
        self._lag_s = 0.0
        self._worst_lag_s = 0.0
        self._stalls: deque[tuple[float, float]] = deque(maxlen=16)
        self._handle: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.turned: Hook[[]] = Hook()
        """Notified in the loop about every ``stamp_s`` seconds: a loop that does not turn notifies no listener."""

    def start(self) -> None:
        """Start to watch the running loop."""
        self._stamp = time.monotonic()
        self._tick(asyncio.get_running_loop(), None)
        self._thread = threading.Thread(target=self._watch, name="loop-guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._handle is not None:
            self._handle.cancel()

    @property
    def age_s(self) -> float:
        """Seconds since the last turn of the loop; any thread may read it."""
        return time.monotonic() - self._stamp

    @property
    def lag_s(self) -> float:
        """Seconds by which the last stamp was late, or by which the next one is."""
        return max(self._lag_s, self.age_s - self._stamp_s, 0.0)

    def take_worst_lag_s(self) -> float:
        """The worst lag in seconds since the last call."""
        worst, self._worst_lag_s = max(self._worst_lag_s, self.lag_s), 0.0
        return worst

    def worst_stall_s(self, since: float) -> float:
        """The longest stall in seconds that ended after ``since`` (monotonic) or still lasts."""
        ended = [length for end, length in self._stalls if end >= since]
        return max([*ended, self.lag_s])

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float | None) -> None:
        self._stamp = time.monotonic()
        self._lag_s = 0.0 if due is None else max(0.0, loop.time() - due)
        self._worst_lag_s = max(self._worst_lag_s, self._lag_s)
        if self._lag_s > 0.05:
            self._stalls.append((self._stamp, self._lag_s))
        # On whole multiples, so that other regular loops can wake together with this one.
        next_due = (loop.time() // self._stamp_s + 1) * self._stamp_s
        self._handle = loop.call_at(next_due, self._tick, loop, next_due)
        self.turned()

    def _look_in_s(self) -> float:
        """Seconds to the next look: after a recent turn the loop cannot be stalled for long."""
        first_s = min(self._dump_s, self._kill_s)
        return first_s / 4 if self.age_s < first_s / 2 else min(1.0, first_s / 4)

    def _watch(self) -> None:
        dumped = False
        last_look = time.monotonic()
        while not self._stopped.wait(self._look_in_s()):
            now = time.monotonic()
            if now - last_look > self._dump_s / 2:
                # This thread did not run either: the process was stopped or the machine slept.
                self._stamp = now
            last_look = now
            age = self.age_s
            if age < self._dump_s:
                dumped = False
            elif not dumped:
                dumped = True
                # Bounded: the log may have no reader, and the process must end all the same.
                write_bounded(
                    f'{{"message":"Event loop has not turned for {age:.0f} s, stacks follow",'
                    f'"level":"critical","event":"loop.stalled"}}\n{_stacks()}'
                )
                last_look = time.monotonic()
            if age >= self._kill_s:
                self._end(EXIT_STALLED)
                return
