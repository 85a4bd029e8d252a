"""Keeps the garbage collector from blocking the event loop by walking long-lived objects.

A full collection walks every object that can be part of a cycle. With ten thousand sessions that
takes tens of milliseconds and finds nothing, because the modules, routes and sessions live on.
"""

from __future__ import annotations

import gc

from shared.clock import Clock

# A full collection of this many objects takes a few milliseconds.
MANY = 10_000


def settle() -> None:
    """Exclude everything that lives now from later collections, and let them begin; call it after the start."""
    gc.enable()
    gc.collect()
    gc.freeze()


class GcTuning:
    """Excludes objects that became long-lived after the start, when they are many and not garbage.

    An excluded object is still freed when nothing refers to it; only a cycle that becomes garbage
    later stays. So growth alone is not enough: half of the objects must survive a collection.
    """

    def __init__(self, clock: Clock, *, many: int = MANY, every_s: float = 1.0) -> None:
        self._clock, self._many, self._every_s = clock, many, every_s

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._clock.sleep(self._every_s)
            self.look()

    def look(self) -> bool:
        """Whether anything was excluded."""
        if _old() < self._many:
            return False
        gc.collect()
        if _old() < self._many // 2:
            return False
        gc.freeze()
        return True


def _old() -> int:
    return len(gc.get_objects(generation=2))
