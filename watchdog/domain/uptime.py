"""Uptime from stretches of time. Unknown time counts neither as up nor as down; degraded time is up, and counted apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from watchdog.domain.target import Stretch

DAY_MS = 86_400_000
WINDOWS = {"24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS, "90d": 90 * DAY_MS}


class Span(msgspec.Struct, frozen=True, rename="camel"):
    """A stretch of wall time in ms; one without an end goes on."""

    kind: Stretch
    from_ms: int
    until_ms: int | None


class DegradedSpan(Span, frozen=True):
    """A stretch UP in which the service answered and was DEGRADED."""


class Record(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of ``GET /api/record``: what one watchdog itself recorded, oldest first."""

    spans: tuple[Span, ...]


class Uptime(msgspec.Struct, frozen=True):
    """Milliseconds of each kind; ``ratio`` is up / (up + down), None when both are 0.

    ``degraded_ms`` is the part of ``up_ms`` in which the service was DEGRADED.
    ``since_ms``: what is measured begins there, with the window or with the first record in it; None
    without any record.
    """

    up_ms: int = 0
    down_ms: int = 0
    unknown_ms: int = 0
    maintenance_ms: int = 0
    since_ms: int | None = None
    degraded_ms: int = 0

    @property
    def ratio(self) -> float | None:
        known = self.up_ms + self.down_ms
        return self.up_ms / known if known else None


def measure(spans: Iterable[Span], from_ms: int, until_ms: int) -> Uptime:
    """The uptime within [``from_ms``, ``until_ms``); time before the first span is left out."""
    total = dict.fromkeys(Stretch, 0)
    degraded_ms = 0
    first: int | None = None
    for span in spans:
        begin = max(span.from_ms, from_ms)
        end = min(span.until_ms if span.until_ms is not None else until_ms, until_ms)
        if end > begin:
            total[span.kind] += end - begin
            degraded_ms += end - begin if isinstance(span, DegradedSpan) else 0
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
        degraded_ms=degraded_ms,
    )


def with_degraded(spans: Iterable[Span], degraded: Sequence[tuple[int, int]]) -> list[Span]:
    """``spans`` with the parts of UP cut out that lie within ``degraded``: (from, until), sorted and without overlap."""
    return [part for span in spans for part in _cut(span, degraded)] if degraded else list(spans)


def _cut(span: Span, degraded: Sequence[tuple[int, int]]) -> Iterator[Span]:
    # What another watchdog recorded is more than a span: this one saw nothing then.
    if span.kind is not Stretch.UP or type(span) is not Span:
        yield span
        return
    at_ms, end_ms = span.from_ms, span.until_ms
    for number in range(max(0, bisect_right(degraded, at_ms, key=lambda each: each[0]) - 1), len(degraded)):
        begin, until = degraded[number]
        if end_ms is not None and begin >= end_ms:
            break
        begin, until = max(begin, at_ms), until if end_ms is None else min(until, end_ms)
        if begin < until:
            if at_ms < begin:
                yield replace(span, from_ms=at_ms, until_ms=begin)
            yield DegradedSpan(Stretch.UP, begin, until)
            at_ms = until
    if end_ms is None or at_ms < end_ms:
        yield replace(span, from_ms=at_ms)


def covers(since_ms: int | None, window: str, now_ms: int) -> bool:
    """Whether records that begin at ``since_ms`` fill ``window`` of :data:`WINDOWS`, which ends now.

    The percentage of a window that they do not fill must not bear the name of the window.
    """
    return since_ms is not None and since_ms <= now_ms - WINDOWS[window]
