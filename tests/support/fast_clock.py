"""Real time, but more of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class FastClock:
    """A clock on which a second of real time is ``factor`` seconds."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._begun, self._wall = time.monotonic(), datetime.now(UTC)

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=self.monotonic() - self._begun)

    def monotonic(self) -> float:
        return self._begun + (time.monotonic() - self._begun) * self.factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.factor)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        return asyncio.get_running_loop().call_later(seconds / self.factor, ring).cancel
