"""Divides long work in the event loop by time and not by count, for slow machines too."""

from __future__ import annotations

import asyncio
import time


class CooperativeLoop:
    """A time budget of ``budget_s`` seconds for one loop over many items.

    The loop asks after each item: ``if budget.spent: await budget.take()``. It reads the machine's
    clock and not the injected one: this thread must not be blocked.
    """

    __slots__ = ("_budget_s", "_until")

    def __init__(self, budget_s: float = 0.003) -> None:
        self._budget_s = budget_s
        self._until = time.monotonic() + budget_s

    @property
    def spent(self) -> bool:
        return time.monotonic() >= self._until

    async def take(self) -> None:
        """Let other tasks run once, then start a new budget."""
        await asyncio.sleep(0)
        self._until = time.monotonic() + self._budget_s


class SharedCooperativeLoop:
    """One time budget per turn of the event loop, for many tasks that become ready at once.

    Each task awaits :meth:`turn` before its piece of work. When the budget is spent, the others
    wait for the next turn, in the order in which they came.
    """

    def __init__(self, budget_s: float = 0.003) -> None:
        self._budget_s = budget_s
        self._until = 0.0
        self._begun = False

    async def turn(self) -> None:
        self._begin()
        while time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._begin()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._until = time.monotonic() + self._budget_s
            # Runs in the next turn, before the tasks that wait for it.
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._begun = False
