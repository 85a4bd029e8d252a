"""A clock that moves only when a test says so; sleepers wake in order, each after everything before it has settled."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

_MAX_TURNS = 10_000


async def settle() -> None:
    """Let every task run until all of them wait for something outside: time, a socket or a thread."""
    loop = cast(Any, asyncio.get_running_loop())
    for _ in range(_MAX_TURNS):
        await asyncio.sleep(0)
        # The handles that are ready now; there is no public way to ask whether the loop is idle.
        if not loop._ready:
            return
    raise AssertionError("the tasks never come to rest: one of them spins without sleeping")


class FakeClock:
    """Satisfies ``shared.clock.Clock``. ``advance`` moves both clocks, ``step`` only the wall clock."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._step_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s + self._step_s)

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._order), wake))
        await wake

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wake.add_done_callback(lambda done: done.cancelled() or ring())
        heapq.heappush(self._sleepers, (self._elapsed_s + max(0.0, seconds), next(self._order), wake))
        return wake.cancel

    @property
    def elapsed_s(self) -> float:
        return self._elapsed_s

    @property
    def sleeping(self) -> int:
        """How many wait for this clock."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    @property
    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back when negative; the monotonic clock knows nothing of it."""
        self._step_s += seconds

    def stall(self, seconds: float) -> None:
        """Time passes while no task runs: sleepers wake late, at the next :meth:`advance`."""
        self._elapsed_s += seconds

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        until = self._elapsed_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, wake = heapq.heappop(self._sleepers)
            if wake.done():  # its sleeper was cancelled
                continue
            self._elapsed_s = max(self._elapsed_s, at)
            wake.set_result(None)
            await settle()
        self._elapsed_s = until
        await settle()
