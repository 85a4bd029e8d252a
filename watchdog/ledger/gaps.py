"""Time in which this watchdog did not see: which peer was asked about it, and what it recorded."""

from __future__ import annotations

import sqlite3

from watchdog.domain.filled import PeerSpan, taken
from watchdog.domain.target import Stretch
from watchdog.domain.uptime import Span

LEAST_MS = 5000  # shorter ones stay: clocks of two machines differ
MOST = 100


def unasked(connection: sqlite3.Connection, target: str, host: str, until_ms: int) -> list[Span]:
    """Gaps that ended before ``until_ms`` and about which the peer at ``host`` was not asked yet, oldest first."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_key(target, host),)).fetchone()
    found = connection.execute(
        "SELECT from_at, until_at FROM stretch WHERE target = ? AND kind = 'unknown'"
        " AND until_at > ? AND until_at <= ? AND until_at - from_at >= ? ORDER BY until_at LIMIT ?",
        (target, 0 if row is None else int(row["value"]), until_ms, LEAST_MS, MOST),
    )
    return [Span(Stretch.UNKNOWN, row["from_at"], row["until_at"]) for row in found]


def fill(
    connection: sqlite3.Connection, target: str, host: str, watchdog: str, gap: Span, said: tuple[Span, ...]
) -> None:
    """Keep what the peer ``watchdog`` at ``host`` recorded within ``gap``; it is not asked about it again."""
    filled = peer_spans(connection, target, gap.from_ms, gap.until_ms or gap.from_ms)
    connection.executemany(
        "INSERT INTO peer_stretch (target, watchdog, kind, from_at, until_at) VALUES (?, ?, ?, ?, ?)",
        [
            (target, span.watchdog, span.kind, span.from_ms, span.until_ms)
            for span in taken(said, gap, filled, watchdog)
        ],
    )
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (_key(target, host), str(gap.until_ms)),
    )


def peer_spans(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int) -> list[PeerSpan]:
    """The stretches of other watchdogs that touch the window, oldest first."""
    found = connection.execute(
        "SELECT kind, from_at, until_at, watchdog FROM peer_stretch"
        " WHERE target = ? AND from_at < ? AND until_at > ? ORDER BY from_at LIMIT 50000",
        (target, until_ms, from_ms),
    )
    return [PeerSpan(Stretch(row["kind"]), row["from_at"], row["until_at"], row["watchdog"]) for row in found]


def _key(target: str, host: str) -> str:
    return f"gaps-asked {host} {target}"
