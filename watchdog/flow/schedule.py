"""Starts the pings of one target on a fixed clock that does not drift; closer together until a trouble is decided.

Pings may overlap: a hang is decided after the threshold's retry intervals and one time-out, not after one time-out each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared import logs
from shared.clock import Clock
from shared.tasks import spawn
from watchdog.domain import cadence
from watchdog.domain.outcome import Cause, Outcome, ProbeResult
from watchdog.domain.ports import Pinger
from watchdog.domain.states import State
from watchdog.flow.moments import Moments
from watchdog.flow.pipeline import Pipeline

log = logs.get(__name__)


class Schedule:
    """The pings of ``target``. ``on_start`` is called when one begins (metrics)."""

    def __init__(
        self,
        *,
        target: str,
        pinger: Pinger,
        pipeline: Pipeline,
        clock: Clock,
        moments: Moments,
        start_delay_s: float,
        on_start: Callable[[str], None] = lambda _target: None,
    ) -> None:
        self._target, self._pinger, self._pipeline = target, pinger, pipeline
        self._clock, self._moments, self._start_delay_s, self._on_start = clock, moments, start_delay_s, on_start
        self._wake = asyncio.Event()
        self._in_flight: dict[int, float] = {}
        self._pings: set[asyncio.Task[None]] = set()
        self._number = 0
        self._asked: Cause | None = None
        self._suspected_at: float | None = None
        self._typical_s = 0.0

    def suspect(self) -> None:
        """Something tells of trouble (the heartbeat is gone): ping now, and keep asking until it is decided."""
        if self._suspected_at is None:
            self._suspected_at = self._clock.monotonic()
        self._ask(Cause.HEARTBEAT)

    def look_again(self) -> None:
        """Something tells that the target is back: when it was in trouble, ping now."""
        state = self._pipeline.state(self._target)
        if state.reach in (State.DOWN, State.SUSPECT) or state.blind or state.refused:
            self._ask(Cause.RECOVERY)

    def ping_now(self) -> None:
        """A person asks for a ping."""
        self._ask(Cause.MANUAL)

    async def run(self) -> None:
        """Ping for ever; pings that are under way end with it."""
        try:
            await self._run()
        finally:
            for ping in self._pings:
                ping.cancel()
            await asyncio.gather(*self._pings, return_exceptions=True)

    async def _run(self) -> None:
        started = self._clock.monotonic() + self._start_delay_s
        interval_s = self._pipeline.policy.interval_ms / 1000
        turn = 0  # regular pings are due at started + turn x interval, whatever happens between them
        last_start: float | None = None
        while True:
            now = self._clock.monotonic()
            regular = started + turn * interval_s
            if self._asked is not None and self._may_start():
                cause, self._asked = self._asked, None
            elif now >= regular:
                # After a stall of our own the turns that were missed are not made up for.
                turn = max(turn + 1, int((now - started) // interval_s) + 1)
                if not self._may_start():
                    continue
                cause = Cause.SCHEDULE
            else:
                due = self._extra_due(last_start)
                if due is None or now < due:
                    await self._sleep_until(regular if due is None else min(regular, due))
                    continue
                cause = Cause.RECOVERY if self._pipeline.state(self._target).reach is State.DOWN else Cause.CONFIRM
            last_start = self._clock.monotonic()
            self._start(cause, last_start)

    def _ask(self, cause: Cause) -> None:
        self._asked = cause
        self._wake.set()

    def _may_start(self) -> bool:
        return len(self._in_flight) < max(2, self._pipeline.policy.threshold)

    def _extra_due(self, last_start: float | None) -> float | None:
        """When a ping between the regular ones is due; None when none is needed."""
        if last_start is None or not self._may_start():
            return None
        policy = self._pipeline.policy
        wait_ms = cadence.next_ping_ms(self._pipeline.state(self._target), policy, self._moments.now())
        if wait_ms < policy.interval_ms:
            return last_start + wait_ms / 1000
        retry_s = policy.retry_ms / 1000
        if retry_s >= policy.interval_ms / 1000:
            return None
        if self._suspected_at is not None:
            return last_start + retry_s
        if self._in_flight:
            # Unanswered for much longer than usual: ask again meanwhile, so that a hang is decided early.
            patience_s = max(retry_s, 3 * self._typical_s)
            return max(last_start + retry_s, min(self._in_flight.values()) + patience_s)
        return None

    async def _sleep_until(self, due: float) -> None:
        self._wake.clear()
        if self._asked is not None and self._may_start():
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(max(0.0, due - self._clock.monotonic())))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()
            await asyncio.gather(sleeping, waking, return_exceptions=True)

    def _start(self, cause: Cause, at: float) -> None:
        self._number += 1
        self._in_flight[self._number] = at
        self._on_start(self._target)
        ping = spawn(self._one(self._number, cause), name=f"ping.{self._target}.{self._number}")
        self._pings.add(ping)
        ping.add_done_callback(self._pings.discard)

    async def _one(self, number: int, cause: Cause) -> None:
        try:
            result = await self._pinger.ping(cause)
            self._learn(number, result)
            await self._pipeline.take(self._target, result)
            self._settle(number, result)
        finally:
            self._in_flight.pop(number, None)
            self._wake.set()

    def _learn(self, number: int, result: ProbeResult) -> None:
        if result.outcome is Outcome.OK and result.latency_ms is not None:
            latency_s = result.latency_ms / 1000
            self._typical_s = latency_s if self._typical_s == 0 else 0.8 * self._typical_s + 0.2 * latency_s

    def _settle(self, number: int, result: ProbeResult) -> None:
        """A suspicion ends with an answer to a ping begun after it, or with the decision."""
        if self._suspected_at is None:
            return
        answered = result.outcome is Outcome.OK and self._in_flight[number] >= self._suspected_at
        state = self._pipeline.state(self._target)
        if answered or state.reach is State.DOWN or state.blind or state.refused:
            self._suspected_at = None
