"""Waits that go by the injected clock: for an event at most so long, for a piece of work at most so long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from shared.clock import Clock

T = TypeVar("T")


def epoch_ms(clock: Clock) -> int:
    """Wall time in milliseconds since the epoch, the ledger's unit."""
    return int(clock.now().timestamp() * 1000)


def to_next(clock: Clock, every_s: float) -> float:
    """Seconds until the next whole multiple of ``every_s``: loops that look regularly then wake together, not one by one."""
    return every_s - clock.monotonic() % every_s


async def either(clock: Clock, event: asyncio.Event, seconds: float) -> bool:
    """Return when ``event`` is set (True) or ``seconds`` have passed (False), whichever comes first; clears ``event``."""
    came = event.is_set()
    if not came:
        rung = False

        def ring() -> None:
            nonlocal rung
            rung = True
            event.set()

        # No task for the alarm: these waits are what an idle watchdog consists of.
        silence = clock.alarm(seconds, ring)
        try:
            await event.wait()
            came = not rung
        finally:
            silence()
    event.clear()
    return came


async def until(clock: Clock, look: Callable[[], bool], every_s: float, call: asyncio.Event | None = None) -> None:
    """Return when ``look()`` is true, which is asked on whole multiples of ``every_s``, or ``call`` is set; clears ``call``.

    A look wakes no task: what finds nothing, second after second, must cost next to nothing.
    """

    silence: Callable[[], object]
    call = call or asyncio.Event()

    def ring() -> None:
        if look():
            call.set()
        else:
            again()

    def again() -> None:
        nonlocal silence
        silence = clock.alarm(to_next(clock, every_s), ring)

    again()
    try:
        await call.wait()
    finally:
        silence()
    call.clear()


async def within(clock: Clock, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The value of ``work``; ``TimeoutError`` when it takes longer, and then it is cancelled and awaited."""
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
    """Notices when the wall clock was stepped: it moved otherwise than the monotonic one did."""

    def __init__(self, clock: Clock, *, least_ms: int = 1000) -> None:
        self._clock = clock
        self._least_ms = least_ms
        self._wall_ms = epoch_ms(clock)
        self._monotonic_s = clock.monotonic()

    def seen(self) -> bool:
        """Whether :meth:`take_ms` has a step to give."""
        return self._step_ms() != 0

    def take_ms(self) -> int:
        """The step in ms since the last call, forward positive; 0 when it is smaller than what counts."""
        step_ms = self._step_ms()
        self._wall_ms, self._monotonic_s = epoch_ms(self._clock), self._clock.monotonic()
        return step_ms

    def _step_ms(self) -> int:
        step_ms = (epoch_ms(self._clock) - self._wall_ms) - int((self._clock.monotonic() - self._monotonic_s) * 1000)
        # A clock that is slewed gains or loses far less than this between two calls.
        return step_ms if abs(step_ms) >= self._least_ms else 0
