"""Fair turns of the readers of stored events: one at a time, and each key once in a round."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.clock import Clock

# After each page the store and the event loop belong to others for some time.
_REST, _SHORTEST_REST_S = 2.0, 0.01


class ReplayTurns:
    """However many streams a key has, they take one place in the queue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._of_key: dict[str, asyncio.Lock] = {}
        self._streams: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """The turn of a stream of ``key``, and a rest after it."""
        own = self._of_key.setdefault(key, asyncio.Lock())
        self._streams[key] += 1
        try:
            async with own, self._turn:
                began = self._clock.monotonic()
                yield
                took_s = self._clock.monotonic() - began
                await self._clock.sleep(max(_SHORTEST_REST_S, _REST * took_s))
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key], self._of_key[key]
