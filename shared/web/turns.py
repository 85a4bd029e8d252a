"""Begins requests one by one, in separate turns of the loop.

A turn serves everything that is ready. With hundreds of requests in one turn, a health check and
the messages of sessions would wait for all of them. A loop with nothing else to do turns many
thousand times a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """Two queues of beginnings: those of reserved routes are first, in each the oldest."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queues: tuple[deque[Callable[[], object]], ...] = (deque(), deque())
        self._scheduled = False

    def add(self, begin: Callable[[], object], *, first: bool = False) -> None:
        """Call ``begin`` in its turn."""
        self._queues[0 if first else 1].append(begin)
        self._schedule()

    async def wait(self, *, first: bool = False) -> None:
        """Return in the caller's turn."""
        turn: asyncio.Future[None] = self._loop.create_future()

        def begin() -> None:
            if not turn.done():
                turn.set_result(None)

        self.add(begin, first=first)
        await turn

    def _schedule(self) -> None:
        if not self._scheduled and any(self._queues):
            self._scheduled = True
            # Not in this turn: what has just arrived is read first.
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        # One of each: reserved routes in great number must not stop all others.
        for queue in self._queues:
            if queue:
                queue.popleft()()
        self._schedule()
