"""Remembers when which lane is to be looked at again, and sleeps until the first of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from bot_service.webhooks.lanes import NEVER_MS, Lane
from shared.clock import Clock
from shared.wake import Wake


class LaneAlarms:
    """An alarm stays although its lane was looked at meanwhile: whoever hears it judges anew."""

    def __init__(self, clock: Clock) -> None:
        self._heap: list[tuple[int, int, str, str]] = []
        self._count = 0
        self._wake = Wake(clock)

    def set(self, due_ms: int, lane: Lane) -> None:
        """Nothing is set for a lane whose webhook is switched off."""
        if due_ms >= NEVER_MS:
            return
        self._count += 1
        heapq.heappush(self._heap, (due_ms, self._count, lane.webhook, lane.name))
        if self._heap[0][1] == self._count:
            self._wake.set()

    def ringing(self, now_ms: int) -> Iterator[tuple[str, str]]:
        """Webhook and lane of each alarm that is due, those included that are set meanwhile."""
        while self._heap and self._heap[0][0] <= now_ms:
            _, _, webhook, name = heapq.heappop(self._heap)
            yield webhook, name

    async def sleep(self, now_ms: int) -> None:
        """Return when the next alarm is due, or when an earlier one is set."""
        await self._wake.wait((self._heap[0][0] - now_ms) / 1000 if self._heap else None)
