"""An event with a timeout on the injected clock, for loops that sleep until there is work."""

from __future__ import annotations

import asyncio

from shared.clock import Clock


class Wake:
    """One loop waits, any task may :meth:`set`. A set that comes while the loop is busy is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when set, or after ``seconds`` of the clock."""
        cancel = None if seconds is None else self._clock.alarm(max(0, seconds), self._event.set)
        try:
            await self._event.wait()
        finally:
            if cancel is not None:
                cancel()
        self._event.clear()
