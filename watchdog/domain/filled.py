"""Time in which this watchdog did not see, filled from the records of the others. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from watchdog.domain.target import Stretch
from watchdog.domain.uptime import Span

S = TypeVar("S", bound=Span)


class PeerSpan(Span, frozen=True):
    """A stretch from the record of another watchdog, with its name."""

    watchdog: str


def taken(said: Iterable[Span], gap: Span, filled: Sequence[PeerSpan], watchdog: str) -> list[PeerSpan]:
    """What ``watchdog`` recorded within ``gap``; not what it did not know itself, nor what ``filled`` holds."""
    found: list[PeerSpan] = []
    for span in said:
        begin_ms, end_ms = max(span.from_ms, gap.from_ms), min(_end(span), _end(gap))
        if span.kind is not Stretch.UNKNOWN and begin_ms < end_ms:
            whole = PeerSpan(span.kind, begin_ms, int(end_ms), watchdog)
            found += _without(whole, sorted([*filled, *found], key=_begin))
    return found


def fill(own: Sequence[Span], peers: Sequence[PeerSpan]) -> list[Span]:
    """``own`` with ``peers`` in its unknown time; what this watchdog knows stays. Oldest first, no time twice.

    No two of ``peers`` overlap, as :func:`taken` makes them.
    """
    if not peers:
        return list(own)
    known = sorted((span for span in own if span.kind is not Stretch.UNKNOWN), key=_begin)
    filled = sorted([*known, *(part for span in peers for part in _without(span, known))], key=_begin)
    unknown = [part for span in own if span.kind is Stretch.UNKNOWN for part in _without(span, filled)]
    return sorted([*filled, *unknown], key=_begin)


def _without(span: S, others: Sequence[Span]) -> Iterator[S]:
    """The parts of ``span`` that no other covers; the others are sorted and do not overlap."""
    at_ms = span.from_ms
    for number in range(max(0, bisect_right(others, at_ms, key=_begin) - 1), len(others)):
        other = others[number]
        if other.from_ms >= _end(span):
            break
        if other.from_ms > at_ms:
            yield replace(span, from_ms=at_ms, until_ms=other.from_ms)
        if other.until_ms is None:
            return
        at_ms = max(at_ms, other.until_ms)
    if at_ms < _end(span):
        yield replace(span, from_ms=at_ms)


def _begin(span: Span) -> int:
    return span.from_ms


def _end(span: Span) -> float:
    return span.until_ms if span.until_ms is not None else float("inf")
