"""The clock as decisions see it: wall time for people, steady time for durations."""

from __future__ import annotations

from shared.clock import Clock, epoch_ms
from watchdog.domain.policy import Now


class SteadyTime:
    """Steady time starts at the wall time of this object's creation and never steps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steady_at_zero_ms = clock.now().timestamp() * 1000 - clock.monotonic() * 1000

    def now(self) -> Now:
        return Now(epoch_ms(self._clock), int(self._steady_at_zero_ms + self._clock.monotonic() * 1000))
