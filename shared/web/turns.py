"""Begins requests one by one, in separate turns of the loop.

A turn serves everything that is ready. With hundreds of requests in one turn, a health check and
the messages of sessions would wait for all of them. A loop with nothing else to do turns many
thousand times a second.

Browsers and clients ask for more on a connection when they have read the answer. Requests that were
there before (pipelining) cost their sender nothing, so they begin at a fixed rate.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

# 200 a second for all connections together: a page takes about a millisecond.
PIPELINED_EVERY_S = 0.005


class Turns:
    """Two queues of beginnings: those of reserved routes are first, in each the oldest."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queues: tuple[deque[Callable[[], object]], ...] = (deque(), deque())
        self._scheduled = False
        self._pipelined: deque[asyncio.Future[None]] = deque()
        self._paced = False

    def add(self, begin: Callable[[], object], *, first: bool = False) -> None:
        """Call ``begin`` in its turn."""
        self._queues[0 if first else 1].append(begin)
        self._schedule()

    async def wait(self, *, first: bool = False, pipelined: bool = False) -> None:
        """Return in the caller's turn."""
        turn: asyncio.Future[None] = self._loop.create_future()
        if pipelined and not first:
            self._pipelined.append(turn)
            self._pace()
        else:
            self.add(partial(_begin, turn), first=first)
        await turn

    def _pace(self) -> None:
        if self._pipelined and not self._paced:
            self._paced = True
            self._loop.call_later(PIPELINED_EVERY_S, self._one_pipelined)

    def _one_pipelined(self) -> None:
        self._paced = False
        # Those of closed connections are done.
        while self._pipelined and (turn := self._pipelined.popleft()).done():
            pass
        self.add(partial(_begin, turn))
        self._pace()

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


def _begin(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
