"""Keeps the collector of cycles from holding the event loop: what lives for long is not walked again and again.

A full collection walks every object that can be part of a cycle. With modules, routes and ten thousand sessions that is
tens of milliseconds, in which nobody is answered, and it finds nothing, because all of that lives on.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from shared.clock import Clock

LEAST = 500


def settle() -> None:
    """Once everything is built and read: whatever lives now is left out of every later collection."""
    gc.collect()
    gc.freeze()


class HeapCare:
    """Leaves out what has come since, whenever the number of long-lived things, ``count()``, has grown by a quarter.

    Things that are left out are still freed when nothing refers to them; only a cycle among them stays. So this is done
    rarely: some thirty times on the way to a million.
    """

    def __init__(self, clock: Clock, count: Callable[[], int], *, every_s: float = 1.0) -> None:
        self._clock, self._count, self._every_s = clock, count, every_s
        self._settled = 0

    async def run(self) -> None:
        """The loop."""
        self._settled = self._count()
        while True:
            await self._clock.sleep(self._every_s)
            self.look()

    def look(self) -> bool:
        """Whether the time had come."""
        count = self._count()
        if count - self._settled < max(LEAST, self._settled // 4):
            return False
        self._settled = count
        gc.collect(1)  # the young ones only: what is garbage already should go
        gc.freeze()
        return True
