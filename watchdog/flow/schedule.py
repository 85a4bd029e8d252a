"""Starts the pings of one target at its pace and passes every result to the pipeline.

Pings may overlap, so that a hang is decided after a few retry intervals and one timeout.
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from shared.clock import Clock
from shared.tasks import spawn
from shared.timing import either
from watchdog.domain.outcome import Cause, ProbeResult
from watchdog.domain.ports import Pinger
from watchdog.domain.states import State
from watchdog.flow.pace import Pace
from watchdog.flow.pipeline import Pipeline
from watchdog.flow.steady_time import SteadyTime

LONGEST_SLEEP_S = 3600.0


class Schedule:
    """The pings of ``target``; the first one ``start_delay_s`` after :meth:`run` begins."""

    def __init__(
        self,
        *,
        target: str,
        pinger: Pinger,
        pipeline: Pipeline,
        clock: Clock,
        steady_time: SteadyTime,
        start_delay_s: float,
    ) -> None:
        self._target, self._pinger, self._pipeline = target, pinger, pipeline
        self._clock, self._steady_time, self._start_delay_s = clock, steady_time, start_delay_s
        self._pace = Pace(steady_time.now().steady_ms + start_delay_s * 1000)
        self._wake = asyncio.Event()
        self._sleeps_until_ms = 0.0
        self._silent_since_ms: int | None = None
        self._pings: set[asyncio.Task[None]] = set()
        self._defect: BaseException | None = None

    def suspect(self, since_ms: int) -> None:
        """The heartbeat is gone since ``since_ms`` (wall): ping now, and go on until decided."""
        self._silent_since_ms = since_ms
        self._pace.suspect(self._steady_time.now().steady_ms)
        self._wake.set()

    def heartbeat_back(self) -> None:
        """Ping now if the target was in trouble."""
        self._silent_since_ms = None
        state = self._pipeline.state(self._target)
        if state.reach in (State.DOWN, State.SUSPECT) or state.blind or state.refused or state.unanswered:
            self._ask(Cause.RECOVERY)

    def ping_now(self) -> None:
        """A person requested a ping."""
        self._ask(Cause.MANUAL)

    async def run(self) -> None:
        """Ping endlessly; pings in flight end with this loop."""
        self._pace = Pace(self._steady_time.now().steady_ms + self._start_delay_s * 1000)
        try:
            await self._run()
        finally:
            for ping in self._pings:
                ping.cancel()
            await asyncio.gather(*self._pings, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            if self._defect is not None:
                # A ping that cannot be decided is no matter of its task alone: the loop counts as crashed.
                error, self._defect = self._defect, None
                raise error
            now, policy = self._steady_time.now(), self._pipeline.policy
            due_ms, cause = self._pace.due(self._pipeline.state(self._target), policy, now)
            left_s = (due_ms - now.steady_ms) / 1000
            if left_s > 0:
                self._sleeps_until_ms = due_ms
                await either(self._clock, self._wake, min(left_s, LONGEST_SLEEP_S))
                continue
            number = self._pace.started(cause, policy, now.steady_ms)
            ping = spawn(self._one(number, cause), name=f"ping.{self._target}.{number}")
            self._pings.add(ping)
            ping.add_done_callback(self._ended)

    def _ended(self, ping: asyncio.Task[None]) -> None:
        self._pings.discard(ping)
        if not ping.cancelled() and (error := ping.exception()) is not None:
            self._defect = error
            self._wake.set()

    def _ask(self, cause: Cause) -> None:
        self._pace.ask(cause)
        self._wake.set()

    async def _one(self, number: int, cause: Cause) -> None:
        result: ProbeResult | None = None
        try:
            result = await self._pinger.ping(cause)
            if self._silent_since_ms is not None and cause is not Cause.SCHEDULE:
                result = replace(result, since_ms=self._silent_since_ms)
            await self._pipeline.process(self._target, result)
        finally:
            self._pace.ended(number, result, self._pipeline.state(self._target))
            self._wake_if_sooner()

    def _wake_if_sooner(self) -> None:
        """Wake the loop only if the ping made the next one due sooner; most answers do not."""
        now, policy = self._steady_time.now(), self._pipeline.policy
        due_ms, _ = self._pace.due(self._pipeline.state(self._target), policy, now)
        if due_ms < self._sleeps_until_ms:
            self._wake.set()
