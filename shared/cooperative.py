"""Long work in the event loop, cut by time and not by count: a slice that takes longer on a slow machine is shorter."""

from __future__ import annotations

import asyncio
import time


class CooperativeLoop:
    """Work for ``budget_s`` at most, then let everybody else have a turn.

    A loop over many things asks after each of them: ``if breath.spent: await breath.take()``. Real time on purpose, not
    the clock of the program: it is this thread that must not be held.
    """

    __slots__ = ("_budget_s", "_until")

    def __init__(self, budget_s: float = 0.003) -> None:
        self._budget_s = budget_s
        self._until = time.monotonic() + budget_s

    @property
    def spent(self) -> bool:
        return time.monotonic() >= self._until

    async def take(self) -> None:
        """One turn for the others, then the budget is whole again."""
        await asyncio.sleep(0)
        self._until = time.monotonic() + self._budget_s


class SharedCooperativeLoop:
    """One budget a turn of the loop for many tasks that all become ready at once.

    Each asks ``await breath.turn()`` before its piece of work. Those that come when the budget is spent wait for the next
    turn of the loop, in the order in which they came.
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
            # In the next turn, before any of those who wait for it.
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._begun = False
