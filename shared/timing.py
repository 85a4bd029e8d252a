"""Waits on the injected clock: for an event, a condition or a coroutine, with a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from shared.clock import Clock, epoch_ms

T = TypeVar("T")


def to_next(clock: Clock, every_s: float) -> float:
    """Seconds until the next multiple of ``every_s``: periodic loops wake together."""
    return every_s - clock.monotonic() % every_s


async def either(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Wait until ``event`` is set (True) or ``seconds`` have passed (False); clears ``event``."""
    came = event.is_set()
    if not came:
        timed_out = False

        def ring() -> None:
            nonlocal timed_out
            timed_out = True
            event.set()

        # An alarm needs no task: an idle watchdog does nothing but these waits.
        cancel = clock.alarm(seconds, ring)
        try:
            await event.wait()
            came = not timed_out
        finally:
            cancel()
    event.clear()
    return came


async def until(
    clock: Clock, condition: Callable[[], bool], every_s: float, event: asyncio.Event | None = None
) -> None:
    """Wait until ``condition()`` is true or ``event`` is set; clears ``event``.

    The condition is checked on whole multiples of ``every_s``. A check wakes no task: it is cheap.
    """
    cancel: Callable[[], object]
    event = event or asyncio.Event()

    def check() -> None:
        if condition():
            event.set()
        else:
            schedule()

    def schedule() -> None:
        nonlocal cancel
        cancel = clock.alarm(to_next(clock, every_s), check)

    schedule()
    try:
        await event.wait()
    finally:
        cancel()
    event.clear()


async def within(clock: Clock, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The value of ``work``; after ``seconds`` it is cancelled: ``TimeoutError``."""
    task = asyncio.ensure_future(work)
    limit = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait([task, limit], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        for pending in (task, limit):
            pending.cancel()
        await asyncio.gather(task, limit, return_exceptions=True)


class StepWatch:
    """Notices a step of the wall clock: it moved by another amount than the monotonic clock."""

    def __init__(self, clock: Clock, *, least_ms: int = 1000) -> None:
        self._clock = clock
        self._least_ms = least_ms
        self._wall_ms = epoch_ms(clock)
        self._monotonic_s = clock.monotonic()

    def seen(self) -> bool:
        """Whether :meth:`take_ms` would return a step."""
        return self._step_ms() != 0

    def take_ms(self) -> int:
        """The step in ms since the last call, forward positive; 0 below ``least_ms``."""
        step_ms = self._step_ms()
        self._wall_ms, self._monotonic_s = epoch_ms(self._clock), self._clock.monotonic()
        return step_ms

    def _step_ms(self) -> int:
        monotonic_ms = int((self._clock.monotonic() - self._monotonic_s) * 1000)
        step_ms = epoch_ms(self._clock) - self._wall_ms - monotonic_ms
        # A slewed clock gains or loses far less than this between two calls.
        return step_ms if abs(step_ms) >= self._least_ms else 0
