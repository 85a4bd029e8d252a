"""Keeps the collector of cycles from holding the event loop: what lives for long is not walked again and again.

A full collection walks every object that can be part of a cycle. With modules, routes and ten thousand sessions that is
tens of milliseconds, in which nobody is answered, and it finds nothing, because all of that lives on.
"""

from __future__ import annotations

import gc

from shared.clock import Clock

# A full collection of so many takes a few milliseconds.
MANY = 10_000


def settle() -> None:
    """Once everything is built and read: whatever lives now is left out of every later collection."""
    gc.collect()
    gc.freeze()


class GcTuning:
    """Leaves out what has come to live for long since: when there is much of it, and none of it is garbage.

    What is left out is still freed when nothing refers to it; only a cycle that becomes garbage later stays. That is why
    growth alone is no reason: half of it must have survived a collection.
    """

    def __init__(self, clock: Clock, *, many: int = MANY, every_s: float = 1.0) -> None:
        self._clock, self._many, self._every_s = clock, many, every_s

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._clock.sleep(self._every_s)
            self.look()

    def look(self) -> bool:
        """Whether anything was left out."""
        if _old() < self._many:
            return False
        gc.collect()
        if _old() < self._many // 2:
            return False
        gc.freeze()
        return True


def _old() -> int:
    return len(gc.get_objects(generation=2))
