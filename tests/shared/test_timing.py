"""Waits for an event or a time: whichever comes first, and nothing of the other is left behind."""

from __future__ import annotations

import asyncio

import pytest

from shared.clock import SystemClock
from shared.timing import StepWatch, either, to_next, until
from tests.support.fake_clock import FakeClock


async def test_the_event_comes_first_and_the_alarm_never_rings() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(either(clock, event, 5))
    await clock.advance(1)
    event.set()
    assert await waiting is True
    await clock.advance(10)
    assert not event.is_set()


async def test_the_time_passes_first() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(either(clock, event, 5))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.1)
    assert await waiting is False
    assert not event.is_set()


async def test_a_wait_that_is_cancelled_leaves_no_alarm() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(either(clock, event, 5))
    await clock.advance(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await clock.advance(10)
    assert not event.is_set()


async def test_the_machines_clock_rings_too() -> None:
    event = asyncio.Event()
    assert await either(SystemClock(), event, 0.01) is False
    event.set()
    assert await either(SystemClock(), event, 60) is True


@pytest.mark.parametrize("late_s", [0.0, 0.3, 0.999])
async def test_regular_looks_fall_on_the_same_moments(late_s: float) -> None:
    clock = FakeClock()
    await clock.advance(late_s)
    assert clock.monotonic() + to_next(clock, 1.0) == pytest.approx(1001.0)


async def test_looks_that_find_nothing_do_not_end_the_wait() -> None:
    clock, call = FakeClock(), asyncio.Event()
    looks: list[float] = []

    def look() -> bool:
        looks.append(clock.elapsed_s)
        return len(looks) == 3

    await clock.advance(0.4)
    waiting = asyncio.create_task(until(clock, look, 1.0, call))
    await clock.advance(2.5)
    assert not waiting.done()
    await clock.advance(0.2)
    await waiting
    assert looks == pytest.approx([1.0, 2.0, 3.0])
    assert not call.is_set()


async def test_a_call_ends_the_wait_and_the_looks() -> None:
    clock, call = FakeClock(), asyncio.Event()
    looks: list[float] = []

    def look() -> bool:
        looks.append(clock.elapsed_s)
        return False

    waiting = asyncio.create_task(until(clock, look, 1.0, call))
    await clock.advance(1.5)
    call.set()
    await waiting
    await clock.advance(10)
    assert looks == [1.0]
    assert not call.is_set()


async def test_a_step_is_seen_before_it_is_taken_and_taken_once() -> None:
    clock = FakeClock()
    steps = StepWatch(clock)
    await clock.advance(30)
    assert not steps.seen()
    clock.step(-3600)
    assert steps.seen()
    assert steps.take_ms() == -3_600_000
    assert not steps.seen()
    assert steps.take_ms() == 0
