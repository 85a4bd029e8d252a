"""A loop's alarm clock: sleeps for a time and is woken early when there is work."""

from __future__ import annotations

import asyncio

from shared.clock import Clock


class Wake:
    """One loop waits, anybody may :meth:`set`. A set that comes while nobody waits is not lost."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when set, or after ``seconds`` of the clock."""
        if seconds is None:
            await self._event.wait()
        elif not self._event.is_set():
            naps = [
                asyncio.ensure_future(self._event.wait()),
                asyncio.ensure_future(self._clock.sleep(max(0, seconds))),
            ]
            try:
                await asyncio.wait(naps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for nap in naps:
                    nap.cancel()
        self._event.clear()
