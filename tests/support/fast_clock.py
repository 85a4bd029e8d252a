"""Real time, but more of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class FastClock:
    """Satisfies ``shared.clock.Clock``: a second of real time is ``factor`` seconds of it.

    ``run_at`` changes the factor, for sleepers too: a test prepares in real time what an outside program takes part in,
    and lets the hours pass afterwards.
    """

    def __init__(self, factor: float = 1) -> None:
        self.factor = factor
        self._wall = datetime.now(UTC)
        self._begun = self._real = self._shown = time.monotonic()
        self._changed = asyncio.Event()

    def run_at(self, factor: float) -> None:
        """From now on a second is ``factor`` seconds; time never jumps."""
        self._shown, self._real = self.monotonic(), time.monotonic()
        self.factor = factor
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=self.monotonic() - self._begun)

    def monotonic(self) -> float:
        return self._shown + (time.monotonic() - self._real) * self.factor

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        await asyncio.sleep(0)
        while (left := until - self.monotonic()) > 0:
            try:
                async with asyncio.timeout(left / self.factor):
                    await self._changed.wait()
            except TimeoutError:
                return

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        """Unlike a sleeper, it does not notice a change of the factor."""
        return asyncio.get_running_loop().call_later(max(0.0, seconds) / self.factor, ring).cancel
