"""When the next ping of a target starts, and why.

Regular pings keep their period without drift; extra ones come until all is decided. Every call
gets the steady time in milliseconds.
"""

from __future__ import annotations

import math

from watchdog.domain import cadence
from watchdog.domain.outcome import Cause, Outcome, ProbeResult
from watchdog.domain.policy import Now, Policy
from watchdog.domain.states import State
from watchdog.domain.target import TargetState


class Pace:
    """The first regular ping is due at ``first_ms``, the others ``policy.interval_ms`` apart."""

    def __init__(self, first_ms: float) -> None:
        self._first_ms = first_ms
        self._turn = 0
        self._last_start_ms: float | None = None
        self._in_flight: dict[int, float] = {}
        self._number = 0
        self._asked: Cause | None = None
        self._suspected_ms: float | None = None
        self._typical_ms = 0.0

    def suspect(self, now_ms: float) -> None:
        """Another signal reports trouble: ping now, and go on until an answer or a decision."""
        if self._suspected_ms is None:
            self._suspected_ms = now_ms
        self.ask(Cause.HEARTBEAT)

    def ask(self, cause: Cause) -> None:
        """Ping at once."""
        self._asked = cause

    def due(self, state: TargetState, policy: Policy, now: Now) -> tuple[float, Cause]:
        """When the next ping starts, and why; ``inf`` while enough pings are in flight."""
        if len(self._in_flight) >= max(2, policy.threshold):
            return math.inf, Cause.SCHEDULE
        if self._asked is not None:
            return now.steady_ms, self._asked
        regular = self._regular_ms(policy)
        extra = self._extra(state, policy, now)
        if extra < regular:
            return extra, Cause.RECOVERY if state.reach is State.DOWN else Cause.CONFIRM
        return regular, Cause.SCHEDULE

    def started(self, cause: Cause, policy: Policy, now_ms: float) -> int:
        """A ping starts now. Returns its number."""
        if cause is self._asked:
            self._asked = None
        if now_ms >= self._regular_ms(policy):
            # Missed turns are not made up for.
            self._turn = max(self._turn, int((now_ms - self._first_ms) // policy.interval_ms)) + 1
        self._last_start_ms = now_ms
        self._number += 1
        self._in_flight[self._number] = now_ms
        return self._number

    def ended(self, number: int, result: ProbeResult | None, state: TargetState) -> None:
        """A ping has ended and led to ``state``; ``result`` is None when it was cancelled."""
        began_ms = self._in_flight.pop(number)
        if result is None:
            return
        if result.outcome is Outcome.OK and result.latency_ms is not None:
            self._typical_ms = (
                0.8 * self._typical_ms + 0.2 * result.latency_ms if self._typical_ms else result.latency_ms
            )
        if self._suspected_ms is not None:
            answered = result.outcome is Outcome.OK and began_ms >= self._suspected_ms
            if answered or state.reach is State.DOWN or state.blind or state.refused:
                self._suspected_ms = None

    def _regular_ms(self, policy: Policy) -> float:
        return self._first_ms + self._turn * policy.interval_ms

    def _extra(self, state: TargetState, policy: Policy, now: Now) -> float:
        if self._last_start_ms is None:
            return math.inf
        wait_ms = cadence.next_ping_ms(state, policy, now)
        if wait_ms < policy.interval_ms:
            return self._last_start_ms + wait_ms
        if policy.retry_ms >= policy.interval_ms:
            return math.inf
        if self._suspected_ms is not None:
            return self._last_start_ms + policy.retry_ms
        if self._in_flight:
            # Unanswered for much longer than usual: ping again, so that a hang is decided early.
            patience_ms = max(policy.retry_ms, 3 * self._typical_ms)
            return max(self._last_start_ms + policy.retry_ms, min(self._in_flight.values()) + patience_ms)
        return math.inf
