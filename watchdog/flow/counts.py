"""Counts pings since the watchdog's start, as the seed did; the ledger holds the totals."""

from __future__ import annotations

from collections import deque

from shared.clock import from_ms
from shared.contract.keepalive import LastPing
from watchdog.domain.decision import Decided
from watchdog.domain.outcome import Outcome, ProbeResult, counts
from watchdog.ledger.runs import Totals

RECENT = 60


class Counts:
    """``earlier``: totals of earlier runs. ``recent``: latencies in ms, None for a failed ping."""

    def __init__(self) -> None:
        self.earlier = Totals(0, 0, 0, 0)
        self.pings = 0
        self.failed = 0
        self.consecutive_failures = 0
        self.last: LastPing | None = None
        self.recent: deque[int | None] = deque(maxlen=RECENT)

    def count(self, decided: Decided) -> None:
        result = decided.fact
        if not isinstance(result, ProbeResult):
            return
        self.last = LastPing(
            at=from_ms(result.at_ms),
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
