"""Uptime from stretches of time. Unknown time counts neither as up nor as down."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from watchdog.domain.target import Stretch

DAY_MS = 86_400_000
WINDOWS = {"24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS, "90d": 90 * DAY_MS}


class Span(msgspec.Struct, frozen=True, rename="camel"):
    """A stretch of wall time in ms; one without an end goes on."""

    kind: Stretch
    from_ms: int
    until_ms: int | None


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of ``GET /api/record``: what one watchdog itself recorded, oldest first."""

    spans: tuple[Span, ...]


class Uptime(msgspec.Struct, frozen=True):
    """Milliseconds of each kind; ``ratio`` is up / (up + down), None when both are 0.

    ``since_ms``: what is measured begins there, with the window or with the first record in it; None
    without any record.
    """

    up_ms: int = 0
    down_ms: int = 0
    unknown_ms: int = 0
    maintenance_ms: int = 0
    since_ms: int | None = None

    @property
    def ratio(self) -> float | None:
        known = self.up_ms + self.down_ms
        return self.up_ms / known if known else None


def measure(spans: Iterable[Span], from_ms: int, until_ms: int) -> Uptime:
    """The uptime within [``from_ms``, ``until_ms``); time before the first span is left out."""
    total = dict.fromkeys(Stretch, 0)
    first: int | None = None
    for span in spans:
        begin = max(span.from_ms, from_ms)
        end = min(span.until_ms if span.until_ms is not None else until_ms, until_ms)
        if end > begin:
            total[span.kind] += end - begin
        first = span.from_ms if first is None else min(first, span.from_ms)
    # Holes between spans (the wall clock was set forward) are unknown time.
    since = max(from_ms, first) if first is not None and first < until_ms else None
    watched = until_ms - since if since is not None else 0
    hole = max(0, watched - sum(total.values()))
    return Uptime(
        up_ms=total[Stretch.UP],
        down_ms=total[Stretch.DOWN],
        unknown_ms=total[Stretch.UNKNOWN] + hole,
        maintenance_ms=total[Stretch.MAINTENANCE],
        since_ms=since,
    )


def covers(since_ms: int | None, window: str, now_ms: int) -> bool:
    """Whether records that begin at ``since_ms`` fill ``window`` of :data:`WINDOWS`, which ends now.

    The percentage of a window that they do not fill must not bear the name of the window.
    """
    return since_ms is not None and since_ms <= now_ms - WINDOWS[window]
