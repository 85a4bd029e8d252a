"""Watches the wall clock: a step changes no time of the watchdog before it is followed.

It is followed when the wall clock was steady for some minutes and nothing is wrong with any target.
So an incident lasts as long as it really does, and its times belong to one clock.
"""

from __future__ import annotations

import sqlite3

import msgspec

from shared import logs
from shared.service_clock import SLEWED_MS, SavedClock, ServiceClock
from shared.timing import until
from watchdog.domain.states import State
from watchdog.domain.target import TargetState
from watchdog.flow.pipeline import Pipeline
from watchdog.ledger import runs
from watchdog.ledger.sqlite import Ledger

log = logs.get(__name__)

CHECK_EVERY_S = 1.0
SAVE_EVERY_S = 30.0


async def resume(clock: ServiceClock, ledger: Ledger) -> None:
    """At the start, before anything reads the time: go on with that of the last run."""
    raw = await ledger.read(runs.clock)
    try:
        clock.resume(None if raw is None else msgspec.json.decode(raw, type=SavedClock))
    except msgspec.DecodeError:
        log.warning("The time of the last run cannot be read", event_name="clock.unreadable")
    if abs(clock.ahead_ms()) > SLEWED_MS:
        _log_step(clock.ahead_ms())


class ClockWatch:
    """One endless loop, :meth:`run`."""

    def __init__(self, clock: ServiceClock, ledger: Ledger, pipeline: Pipeline) -> None:
        self._clock, self._ledger, self._pipeline = clock, ledger, pipeline
        self._step_ms = 0
        self._save_at_s = clock.monotonic()

    async def run(self) -> None:
        while True:
            # Checked by an alarm, which wakes no task.
            await until(self._clock, self._work, CHECK_EVERY_S)
            if self._step_ms:
                _log_step(self._step_ms)
                self._step_ms = 0
            move = self._clock.next_move() if self._calm() else None
            if move is not None:
                self._clock.follow(move, self._clock.moved(move))
                self._save_at_s = self._clock.monotonic()
            if self._clock.monotonic() >= self._save_at_s:
                self._save_at_s = self._clock.monotonic() + SAVE_EVERY_S
                await self._save()

    def _work(self) -> bool:
        self._step_ms = self._clock.check()
        due = self._clock.monotonic() >= self._save_at_s
        return bool(self._step_ms) or due or (self._clock.next_move() is not None and self._calm())

    def _calm(self) -> bool:
        return all(_is_calm(state) for state in self._pipeline.states.values())

    async def _save(self) -> None:
        saved = msgspec.json.encode(self._clock.saved()).decode()
        try:
            await self._ledger.write(lambda c: runs.keep_clock(c, saved), durable=False)
        except sqlite3.Error as error:
            log.debug("The time could not be stored", event_name="clock.store", error=type(error).__name__)


def _is_calm(state: TargetState) -> bool:
    return not (state.incidents or state.failures or state.blind or state.degraded or state.reach is State.DOWN)


def _log_step(step_ms: int) -> None:
    log.warning(f"The wall clock was set by {step_ms / 1000:.0f} s", event_name="clock.step", step_ms=step_ms)
