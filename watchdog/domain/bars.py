"""Uptime by day, from one pass over the stretches. A day without any knowledge is a gap."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from watchdog.domain.filled import PeerSpan
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import DAY_MS, DegradedSpan, Span, Uptime


class Bar(msgspec.Struct, frozen=True):
    """One day in UTC. ``from_ms`` is its midnight; the newest day ends now.

    ``filled``: milliseconds from the record of each other watchdog.
    """

    from_ms: int
    uptime: Uptime
    filled: dict[str, int] = {}

    @property
    def day(self) -> str:
        """``2026-01-31``."""
        return datetime.fromtimestamp(self.from_ms / 1000, UTC).strftime("%Y-%m-%d")

    @property
    def gap(self) -> bool:
        """Whether nothing at all is known of the day."""
        return self.uptime.up_ms + self.uptime.down_ms + self.uptime.maintenance_ms == 0


def daily(spans: Iterable[Span], now_ms: int, days: int) -> list[Bar]:
    """The last ``days`` days, oldest first, today included."""
    first = now_ms // DAY_MS - days + 1
    sums = [dict.fromkeys(Stretch, 0) for _ in range(days)]
    degraded = [0] * days
    filled: list[dict[str, int]] = [{} for _ in range(days)]
    for span in spans:
        begin = max(span.from_ms, first * DAY_MS)
        end = min(span.until_ms if span.until_ms is not None else now_ms, now_ms)
        while begin < end:
            day = begin // DAY_MS
            until = min(end, (day + 1) * DAY_MS)
            sums[day - first][span.kind] += until - begin
            degraded[day - first] += until - begin if isinstance(span, DegradedSpan) else 0
            if isinstance(span, PeerSpan):
                shares = filled[day - first]
                shares[span.watchdog] = shares.get(span.watchdog, 0) + until - begin
            begin = until
    return [
        Bar(
            (first + number) * DAY_MS,
            Uptime(
                total[Stretch.UP],
                total[Stretch.DOWN],
                total[Stretch.UNKNOWN],
                total[Stretch.MAINTENANCE],
                degraded_ms=degraded[number],
            ),
            filled[number],
        )
        for number, total in enumerate(sums)
    ]
