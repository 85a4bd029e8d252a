"""Reads the history: stretches, latencies and flips. Every query is bounded."""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain.filled import fill
from watchdog.domain.states import State
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import WINDOWS, Span, Uptime, measure, with_degraded
from watchdog.ledger.gaps import peer_spans


def spans(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int) -> list[Span]:
    """The stretches that touch the window, oldest first; gaps are filled from the records of other watchdogs.

    Those with the state DEGRADED are :class:`~watchdog.domain.uptime.DegradedSpan`.
    """
    known = fill(recorded(connection, target, from_ms, until_ms), peer_spans(connection, target, from_ms, until_ms))
    return with_degraded(known, _degraded(connection, target, from_ms, until_ms))


def _degraded(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
    found = connection.execute(
        "SELECT since, old_state, new_state FROM flip"
        " WHERE target = ? AND at >= ? AND (old_state = ? OR new_state = ?) ORDER BY at, id LIMIT 50000",
        (target, from_ms, State.DEGRADED, State.DEGRADED),
    )
    periods: list[tuple[int, int]] = []
    begun: int | None = None
    for number, (since, old, new) in enumerate(found):
        if old == State.DEGRADED and (number == 0 or begun is not None):
            _add(periods, from_ms if begun is None else begun, min(since, until_ms))
            begun = None
        if new == State.DEGRADED:
            begun = since
    if begun is not None:
        _add(periods, begun, until_ms)
    return periods


def _add(periods: list[tuple[int, int]], begin_ms: int, end_ms: int) -> None:
    """Without overlap: a state may be decided to have begun before the last one was left."""
    begin_ms = max(begin_ms, periods[-1][1]) if periods else begin_ms
    if begin_ms < end_ms:
        periods.append((begin_ms, end_ms))


def recorded(
    connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int, limit: int = 50_000
) -> list[Span]:
    """What this watchdog itself recorded within the window, oldest first."""
    found = connection.execute(
        "SELECT kind, from_at, until_at FROM stretch"
        " WHERE target = ? AND from_at < ? AND (until_at IS NULL OR until_at > ?) ORDER BY from_at LIMIT ?",
        (target, until_ms, from_ms, limit),
    )
    return [Span(Stretch(row["kind"]), row["from_at"], row["until_at"]) for row in found]


def uptimes(connection: sqlite3.Connection, target: str, now_ms: int) -> dict[str, Uptime]:
    """Uptime of each window of :data:`watchdog.domain.uptime.WINDOWS`, up to now."""
    known = spans(connection, target, now_ms - max(WINDOWS.values()), now_ms)
    return {name: measure(known, now_ms - length_ms, now_ms) for name, length_ms in WINDOWS.items()}


class Latency(msgspec.Struct, frozen=True, rename="camel"):
    """Milliseconds over answered pings; None when there were none."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    pings: int


def latency(connection: sqlite3.Connection, target: str, from_ms: int) -> Latency:
    """Nearest-rank percentiles of answered pings since ``from_ms``, at most the last 100,000."""
    values = sorted(
        row["latency_ms"]
        for row in connection.execute(
            "SELECT latency_ms FROM result WHERE target = ? AND ended_at >= ? AND outcome = 'ok'"
            " AND latency_ms IS NOT NULL ORDER BY ended_at DESC LIMIT 100000",
            (target, from_ms),
        )
    )
    if not values:
        return Latency(None, None, None, 0)

    def rank(share: float) -> float:
        return float(values[max(0, -int(-len(values) * share // 1) - 1)])

    return Latency(rank(0.5), rank(0.95), rank(0.99), len(values))


class FlipLine(msgspec.Struct, frozen=True, rename="camel"):
    at_ms: int
    since_ms: int
    old: str
    new: str
    reason: str


def flips(connection: sqlite3.Connection, target: str, limit: int) -> tuple[FlipLine, ...]:
    """Changes of state, newest first."""
    found = connection.execute(
        "SELECT at, since, old_state, new_state, reason FROM flip WHERE target = ? ORDER BY at DESC, id DESC LIMIT ?",
        (target, limit),
    )
    return tuple(FlipLine(*row) for row in found)
