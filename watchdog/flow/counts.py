"""Counts pings since the watchdog's start, as the original did; totals over restarts live in the ledger."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from shared.contract.keepalive import LastPing
from watchdog.domain.outcome import Outcome, ProbeResult, counts
from watchdog.flow.pipeline import Decided

RECENT = 60


class Counts:
    """``recent`` holds the latency in ms of the last pings, None for a failed one."""

    def __init__(self) -> None:
        self.pings = 0
        self.failed = 0
        self.consecutive_failures = 0
        self.last: LastPing | None = None
        self.recent: deque[int | None] = deque(maxlen=RECENT)

    def take(self, decided: Decided) -> None:
        """A teller of the pipeline."""
        result = decided.fact
        if not isinstance(result, ProbeResult):
            return
        self.last = LastPing(
            at=datetime.fromtimestamp(result.at_ms / 1000, UTC),
            outcome=result.outcome,
            latency_ms=result.latency_ms,
            reason=None if result.outcome is Outcome.OK else result.reason,
            attempts=len(result.attempts),
        )
        self.consecutive_failures = decided.step.state.failures
        if not counts(result):
            return
        self.pings += 1
        failed = result.outcome is not Outcome.OK
        self.failed += failed
        self.recent.append(None if failed or result.latency_ms is None else round(result.latency_ms))
