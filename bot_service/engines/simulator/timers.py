"""One event-loop timer and a heap for all sessions of a simulator."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from shared import logs
from shared.clock import Clock

log = logs.get(__name__)

CALLS_PER_TURN = 200


class Timers:
    """Calls functions when they are due, in order. Without a loop, a test calls :meth:`run_due`."""

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._clock, self._loop = clock, loop
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = itertools.count()
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for: float | None = None
        self._closed = False

    def after(self, delay_s: float, call: Callable[..., None], *args: Any) -> None:
        """Calls ``call(*args)`` in ``delay_s`` seconds; this cannot be cancelled."""
        if self._closed:
            return
        due = self._clock.monotonic() + max(0.0, delay_s)
        heapq.heappush(self._heap, (due, next(self._count), call, args))
        self._arm()

    def run_due(self) -> None:
        """Makes the calls that are due, a bounded number at once."""
        now = self._clock.monotonic()
        for _ in range(CALLS_PER_TURN):
            if not self._heap or self._heap[0][0] > now:
                break
            _, _, call, args = heapq.heappop(self._heap)
            try:
                call(*args)
            except Exception:
                log.exception("A simulated event failed", event_name="simulator.event.failed")

    def close(self) -> None:
        self._closed = True
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        if self._loop is None or not self._heap:
            return
        due = self._heap[0][0]
        if self._handle is not None:
            if self._armed_for is not None and self._armed_for <= due:
                return
            self._handle.cancel()
        self._armed_for = due
        self._handle = self._loop.call_later(max(0.0, due - self._clock.monotonic()), self._fire)

    def _fire(self) -> None:
        self._handle = None
        self.run_due()
        self._arm()
