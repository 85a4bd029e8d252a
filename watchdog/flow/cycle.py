"""Number and age of whole cycles: ping decided, ledger committed."""

from __future__ import annotations

from shared.clock import Clock
from shared.hooks import Hook
from watchdog.domain.decision import Decided
from watchdog.domain.outcome import ProbeResult


class Cycle:
    """``ended`` notifies after every whole cycle; its listeners must not block."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended_s: float | None = None
        self.number = 0
        self.ended: Hook[[]] = Hook()

    def end(self, decided: Decided) -> None:
        """The last listener of the pipeline."""
        if isinstance(decided.fact, ProbeResult):
            self.number += 1
            self._ended_s = self._clock.monotonic()
            self.ended()

    @property
    def age_ms(self) -> int | None:
        """Since the last whole cycle; None before the first."""
        return None if self._ended_s is None else int((self._clock.monotonic() - self._ended_s) * 1000)
