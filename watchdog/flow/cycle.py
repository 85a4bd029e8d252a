"""A whole cycle: ping decided and ledger committed. Its number and age tell whether the watchdog does its work."""

from __future__ import annotations

from collections.abc import Callable

from shared.clock import Clock
from watchdog.domain.outcome import ProbeResult
from watchdog.flow.pipeline import Decided


class Cycle:
    """``on_end`` are called after every whole cycle and must not block."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended: float | None = None
        self.number = 0
        self.on_end: list[Callable[[], None]] = []

    def take(self, decided: Decided) -> None:
        """A teller of the pipeline, the last one."""
        if not isinstance(decided.fact, ProbeResult):
            return
        self.number += 1
        self._ended = self._clock.monotonic()
        for call in self.on_end:
            call()

    @property
    def age_ms(self) -> int | None:
        """Since the last whole cycle; None before the first."""
        return None if self._ended is None else int((self._clock.monotonic() - self._ended) * 1000)
