"""Looks at the tables when something may have changed, however often that is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bot_service.store.batch_writer import STORE_ERRORS
from shared import logs
from shared.clock import Clock
from shared.wake import Wake

log = logs.get(__name__)

# After each look the store belongs to others for a while.
_REST, _SHORTEST_REST_S = 5.0, 0.005


class Looks:
    """One loop, :meth:`run`; a :meth:`wake` during a look leads to one more."""

    def __init__(self, clock: Clock, look: Callable[[], Awaitable[object]]) -> None:
        self._clock, self._look, self._wake = clock, look, Wake(clock)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """The loop."""
        while True:
            await self._wake.wait(None)
            began_s = self._clock.monotonic()
            try:
                await self._look()
            except STORE_ERRORS as error:
                # The next notification, or the next look without one, finds it.
                log.debug("Looks again when the store answers", event_name="replica.look", error=type(error).__name__)
            await self._clock.sleep(max(_SHORTEST_REST_S, _REST * (self._clock.monotonic() - began_s)))
