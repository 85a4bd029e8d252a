"""Reads the history: stretches, latencies, flips and events. Every query is bounded."""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain.states import Flip
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import WINDOWS, Span, Uptime, measure


def spans(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int) -> list[Span]:
    """The stretches that touch the window, oldest first."""
    found = connection.execute(
        "SELECT kind, from_at, until_at FROM stretch"
        " WHERE target = ? AND from_at < ? AND (until_at IS NULL OR until_at > ?) ORDER BY from_at LIMIT 50000",
        (target, until_ms, from_ms),
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


def flips(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int, limit: int = 500) -> list[Flip]:
    """Changes of state within the window, newest first."""
    found = connection.execute(
        "SELECT target, at AS at_ms, since AS since_ms, old_state AS old, new_state AS new, reason, incident_id FROM flip"
        " WHERE target = ? AND at BETWEEN ? AND ? ORDER BY at DESC, id DESC LIMIT ?",
        (target, from_ms, until_ms, limit),
    )
    return [msgspec.convert(dict(row), Flip) for row in found]


class EventRow(msgspec.Struct, frozen=True):
    target: str
    at_ms: int
    kind: str
    detail: str


def events(
    connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int, limit: int = 500
) -> list[EventRow]:
    """Restarts, announced stops and gaps within the window, newest first."""
    found = connection.execute(
        "SELECT target, at AS at_ms, kind, detail FROM event WHERE target = ? AND at BETWEEN ? AND ?"
        " ORDER BY at DESC, id DESC LIMIT ?",
        (target, from_ms, until_ms, limit),
    )
    return [EventRow(**dict(row)) for row in found]
