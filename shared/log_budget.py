"""Limits what one cause may write to the log, so that an attack or a fault cannot flood it.

A cause is the event name of a line, or its source when it has none. Each has a budget of bytes
that refills with time. What is left out is counted and said.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

CAUSES = 256
# Warnings and errors; a line has some 250 bytes, a traceback some thousand.
BURST_BYTES = 64 * 1024
BYTES_PER_S = 512.0
# Lines of level info tell what happened to each session: many at a start of thousands.
CALM_FACTOR = 16
SAID_AFTER_S = 10.0


class _Cause:
    __slots__ = ("left", "left_out", "since")

    def __init__(self, left: float, now: float) -> None:
        self.left, self.since, self.left_out = left, now, 0


class LogBudget:
    """``clock()`` in seconds. Not exact when threads log at the same time, and needs no lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._causes: OrderedDict[str, _Cause] = OrderedDict()
        self._said_at = clock()

    def allows(self, name: str, *, calm: bool) -> bool:
        """Whether another line of cause ``name`` may be written; counts it when not."""
        now, factor = self._clock(), CALM_FACTOR if calm else 1
        cause = self._causes.get(name)
        if cause is None:
            cause = self._causes[name] = _Cause(BURST_BYTES * factor, now)
            if len(self._causes) > CAUSES:
                self._causes.popitem(last=False)
        cause.left = min(BURST_BYTES * factor, cause.left + (now - cause.since) * BYTES_PER_S * factor)
        cause.since = now
        if cause.left <= 0:
            cause.left_out += 1
            return False
        return True

    def spend(self, name: str, size: int) -> None:
        """Take ``size`` bytes from the budget of ``name``."""
        cause = self._causes.get(name)
        if cause is not None:
            cause.left -= size

    def take_left_out(self) -> dict[str, int]:
        """The number of lines left out by cause since the last call; at most every few seconds."""
        now = self._clock()
        if now - self._said_at < SAID_AFTER_S:
            return {}
        self._said_at = now
        found = {name: cause.left_out for name, cause in self._causes.items() if cause.left_out}
        for name in found:
            self._causes[name].left_out = 0
        return found
