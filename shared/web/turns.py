"""Begins requests one at each turn of the loop.

A turn serves everything that is ready. With hundreds of requests in one turn, a health check and
the messages of sessions would wait for all of them. A loop with nothing else to do turns many
thousand times a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

PER_TURN = 1


class Turns:
    """A queue of beginnings, first in, first out."""

    def __init__(self, *, per_turn: int = PER_TURN) -> None:
        self._loop, self._per_turn = asyncio.get_running_loop(), per_turn
        self._queue: deque[Callable[[], object]] = deque()
        self._scheduled = False

    def add(self, begin: Callable[[], object]) -> None:
        """Call ``begin`` in its turn."""
        self._queue.append(begin)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    async def wait(self) -> None:
        """Return in the caller's turn."""
        turn: asyncio.Future[None] = self._loop.create_future()

        def begin() -> None:
            if not turn.done():
                turn.set_result(None)

        self.add(begin)
        await turn

    def _run(self) -> None:
        self._scheduled = False
        for _ in range(min(self._per_turn, len(self._queue))):
            self._queue.popleft()()
        if self._queue and not self._scheduled:
            # Not in this turn: what has just arrived is read first.
            self._scheduled = True
            self._loop.call_soon(self._run)
