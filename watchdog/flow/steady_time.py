"""Turns the clock into the moments that decisions take: wall time for people, steady time for durations."""

from __future__ import annotations

from shared.clock import Clock
from watchdog.domain.policy import Now


class SteadyTime:
    """The steady time starts at the wall time of this object's making and never steps afterwards."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steady_at_zero_ms = clock.now().timestamp() * 1000 - clock.monotonic() * 1000

    def now(self) -> Now:
        return Now(
            wall_ms=int(self._clock.now().timestamp() * 1000),
            steady_ms=int(self._steady_at_zero_ms + self._clock.monotonic() * 1000),
        )
