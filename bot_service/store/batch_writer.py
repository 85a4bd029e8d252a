"""Writes many small results in few transactions: those that arrive during a write share one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Never, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot_service.store.errors import why
from shared import logs
from shared.clock import Clock
from shared.retry import full_jitter

T = TypeVar("T")

log = logs.get(__name__)

# Errors of the store that may pass: locked, disk full, connection lost.
STORE_ERRORS = (SQLAlchemyError, OSError)
# What a request meets while the store does not answer. A file that is missing is another fault.
UNAVAILABLE = (SQLAlchemyError, ConnectionError)


class BatchWriter(Generic[T]):
    """Calls ``write(items)`` with up to ``size`` items at a time, in order, until it succeeds."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        write: Callable[[list[T]], Awaitable[None]],
        *,
        size: int = 200,
        waiting: int = 5000,
    ) -> None:
        self._name, self._clock, self._write, self._size = name, clock, write, size
        self._queue: asyncio.Queue[T] = asyncio.Queue(waiting)
        self._held: list[T] = []

    async def put(self, item: T) -> None:
        """Queue ``item``; waits while ``waiting`` items are queued already."""
        await self._queue.put(item)

    def add(self, item: T) -> None:
        """:meth:`put` for synchronous callers; needs a writer without a limit (``waiting=0``)."""
        self._queue.put_nowait(item)

    async def idle(self) -> None:
        """Return once everything put so far is written."""
        await self._queue.join()

    async def flush(self) -> None:
        """Try once to write what is left; for the end of the program, after :meth:`run`."""
        while not self._queue.empty():
            self._held.append(self._queue.get_nowait())
        if self._held:
            try:
                await self._write(self._held)
            except STORE_ERRORS as error:
                log.error("Results could not be stored", event_name="store.lost", loop=self._name, error=why(error))
            self._held = []

    async def run(self) -> None:
        """The loop. Items survive its restart after a crash."""
        while True:
            if not self._held:
                self._held.append(await self._queue.get())
            while len(self._held) < self._size and not self._queue.empty():
                self._held.append(self._queue.get_nowait())
            await retried_on_store_errors(self._name, self._clock, lambda: self._write(self._held))
            for _ in self._held:
                self._queue.task_done()
            self._held = []


async def retried_on_store_errors(name: str, clock: Clock, work: Callable[[], Awaitable[T]]) -> T:
    """Repeat ``work`` until the store accepts it, with growing waits of up to 5 s.

    Logs the first failure and the recovery.
    """
    attempt = 0
    while True:
        try:
            result = await work()
        except STORE_ERRORS as error:
            if attempt == 0:
                log.error(
                    "The store refuses to write, trying again until it does",
                    event_name="store.refused",
                    loop=name,
                    error=type(error).__name__,
                    detail=why(error),
                )
            await clock.sleep(0.05 + full_jitter(attempt, first_s=0.1, cap_s=5.0))
            attempt += 1
        else:
            if attempt:
                log.info("The store writes again", event_name="store.recovered", loop=name, attempts=attempt)
            return result


async def every(
    clock: Clock, seconds: float, work: Callable[[], Awaitable[object]], *, failed: str, event_name: str
) -> Never:
    """Call ``work`` again and again with ``seconds`` between calls.

    A failure of the store is logged as ``failed`` and ``event_name``; the next call tries again.
    """
    while True:
        try:
            await work()
        except STORE_ERRORS as error:
            log.warning(failed, event_name=event_name, error=type(error).__name__)
        await clock.sleep(seconds)
