"""Housekeeping: passing time for every target, the run's last-seen time, clock steps, pruning."""

from __future__ import annotations

from shared import logs
from shared.clock import Clock
from shared.service_clock import ago_ms, steady
from shared.timing import StepWatch, until
from watchdog.domain.cadence import waits_for_time
from watchdog.domain.facts import Tick
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import decisions, runs
from watchdog.ledger.sqlite import Ledger

log = logs.get(__name__)

TICK_S = 1.0
SEEN_EVERY_S = 30.0
PRUNE_EVERY_S = 3600.0
CLOCK_STEP_MS = 5000


class Housekeeping:
    """One endless loop, :meth:`run`; call :meth:`end` at the stop."""

    def __init__(
        self, *, ledger: Ledger, pipeline: Pipeline, clock: Clock, steady_time: SteadyTime, boot_id: str
    ) -> None:
        self._ledger, self._pipeline, self._clock, self._steady_time = ledger, pipeline, clock, steady_time
        self._boot_id = boot_id
        self._noted = clock.monotonic()

    async def run(self) -> None:
        steps = StepWatch(self._clock, least_ms=CLOCK_STEP_MS)
        due_seen = self._clock.monotonic() + SEEN_EVERY_S
        due_prune = self._clock.monotonic() + TICK_S * 10

        def due() -> bool:
            return steps.seen() or self._clock.monotonic() >= min(due_seen, due_prune) or self._waits_for_time()

        while True:
            await until(self._clock, due, TICK_S)
            if step_ms := steps.take_ms():
                now_ms = self._steady_time.now().wall_ms
                await self._clock_was_set(now_ms - step_ms, now_ms)
            for target in self._pipeline.states:
                await self._pipeline.process(target, Tick())
            if self._clock.monotonic() >= due_seen:
                due_seen = self._clock.monotonic() + SEEN_EVERY_S
                await self._seen(ended=False)
            if self._clock.monotonic() >= due_prune:
                due_prune = self._clock.monotonic() + PRUNE_EVERY_S
                await self._prune()

    def _waits_for_time(self) -> bool:
        policy = self._pipeline.policy
        return any(waits_for_time(state, policy) for state in self._pipeline.states.values())

    async def end(self) -> None:
        """Record the end of this run."""
        await self._seen(ended=True)

    async def _seen(self, *, ended: bool) -> None:
        ran_ms = int((self._clock.monotonic() - self._noted) * 1000)
        self._noted = self._clock.monotonic()
        now_ms = self._steady_time.now().wall_ms
        await self._ledger.write(lambda c: runs.seen(c, self._boot_id, now_ms, ran_ms, ended=ended))

    async def _clock_was_set(self, before_ms: int, after_ms: int) -> None:
        """The time jumped: the history ends before the jump and goes on after it."""
        log.warning(
            f"The time follows the wall clock, which was set by {(after_ms - before_ms) / 1000:.0f} s",
            event_name="clock.followed",
            by_ms=after_ms - before_ms,
        )
        for target in self._pipeline.states:
            await self._ledger.write(lambda c, name=target: decisions.cut_stretch(c, name, before_ms, after_ms))  # type: ignore[misc]

    async def _prune(self) -> None:
        if not steady(self._clock):
            return  # after a step of the wall clock no age is certain for a while
        now_ms = ago_ms(self._clock, runs.KEEP_MS) + runs.KEEP_MS
        for _ in range(100):  # bounded: the rest goes at the next turn
            if not await self._ledger.write(lambda c: runs.prune(c, now_ms)):
                return
