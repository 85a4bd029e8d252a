"""Fires the timers of sessions, in slices that never block the event loop."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from bot_service.domain.reconnect import HerdLimit
from bot_service.domain.session_record import Due, DueKind
from bot_service.sessions.clock_moves import moved_due
from shared.clock import Clock, to_ms
from shared.cooperative import CooperativeLoop
from shared.service_clock import Move

SLICE = 100
CHECK_EVERY = 10
LONGEST_SLEEP_S = 0.1


class Timers:
    """One heap. An entry counts only while the session still waits for exactly that."""

    def __init__(
        self,
        clock: Clock,
        herd: HerdLimit,
        *,
        waits_for: Callable[[str], Due | None],
        fire: Callable[[str, DueKind], None],
    ) -> None:
        self._clock, self.herd, self._waits_for, self._fire = clock, herd, waits_for, fire
        self._heap: list[tuple[int, int, str, Due, bool]] = []
        self._count = 0

    def set(self, session: str, due: Due | None, *, admitted: bool = False) -> None:
        """``admitted`` starts skip the herd limit: the restore spreads its starts itself."""
        if due is not None:
            self._push(due.at_ms, session, due, admitted or due.kind is not DueKind.RETRY)

    def _push(self, at_ms: int, session: str, due: Due, admitted: bool) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at_ms, self._count, session, due, admitted))

    def move(self, move: Move) -> None:
        """The clock is set: sessions wait as long as before."""
        self._heap = [
            (move.due(at_ms), count, session, moved_due(due, move) or due, admitted)
            for at_ms, count, session, due, admitted in self._heap
        ]
        heapq.heapify(self._heap)
        self.herd.move(move.by_ms)

    async def run(self) -> None:
        while True:
            full = self.fire_due(to_ms(self._clock.now()))
            await self._clock.sleep(0 if full else LONGEST_SLEEP_S)

    def fire_due(self, now_ms: int) -> bool:
        """Fires one slice of what is due; True when there is more."""
        slices = CooperativeLoop()
        for number in range(SLICE):
            if number % CHECK_EVERY == CHECK_EVERY - 1 and slices.spent:
                return True
            if not self._heap or self._heap[0][0] > now_ms:
                return False
            _, _, session, due, admitted = heapq.heappop(self._heap)
            if self._waits_for(session) != due:
                continue
            wait_ms = 0 if admitted else self.herd.wait_ms(now_ms)
            if wait_ms > 0:
                self._push(now_ms + wait_ms, session, due, True)
            else:
                self._fire(session, due.kind)
        return True
