"""Runs of the watchdog: start, last seen, end; totals over all runs; pruning."""

from __future__ import annotations

import sqlite3

import msgspec

KEEP_MS = 90 * 86_400_000
PRUNE_BATCH = 5000


class Totals(msgspec.Struct, frozen=True):
    """Over all runs of the watchdog; ``uptime_ms`` is its own running time."""

    first_started_at_ms: int
    uptime_ms: int
    pings: int
    failed_pings: int


def stopped_in_order(connection: sqlite3.Connection, now_ms: int) -> bool:
    """Whether the last run was stopped in order within the last minute; ask before the next begins."""
    row = connection.execute("SELECT ended_at FROM run ORDER BY rowid DESC LIMIT 1").fetchone()
    return row is not None and row["ended_at"] is not None and abs(now_ms - row["ended_at"]) < 60_000


def begin_run(
    connection: sqlite3.Connection, boot_id: str, version: str, targets: tuple[str, ...], now_ms: int
) -> int | None:
    """Record the start of a run. Returns when the last run was seen last (wall ms), or None."""
    last = connection.execute("SELECT max(coalesce(ended_at, last_seen_at)) AS seen FROM run").fetchone()["seen"]
    connection.execute("UPDATE run SET ended_at = last_seen_at WHERE ended_at IS NULL")
    connection.execute("INSERT INTO run VALUES (?, ?, ?, NULL, ?)", (boot_id, now_ms, now_ms, version))
    for target in targets:
        connection.execute(
            "INSERT INTO total (target, first_started_at) VALUES (?, ?) ON CONFLICT (target) DO NOTHING",
            (target, now_ms),
        )
    return int(last) if last is not None else None


def seen(connection: sqlite3.Connection, boot_id: str, now_ms: int, ran_ms: int, *, ended: bool) -> None:
    """Record that the run goes on or ends; ``ran_ms`` is monotonic time since the last record."""
    connection.execute(
        "UPDATE run SET last_seen_at = ?, ended_at = ? WHERE boot_id = ?", (now_ms, now_ms if ended else None, boot_id)
    )
    connection.execute("UPDATE total SET uptime_ms = uptime_ms + ?", (ran_ms,))


def totals(connection: sqlite3.Connection, target: str) -> Totals:
    row = connection.execute(
        "SELECT first_started_at, uptime_ms, pings, failed_pings FROM total WHERE target = ?", (target,)
    ).fetchone()
    return Totals(*row) if row is not None else Totals(0, 0, 0, 0)


_OLD = {
    "result": "ended_at < ?",
    "flip": "at < ?",
    "event": "at < ?",
    "incident": "closed_at < ?",
    "notice": "created_at < ? AND id NOT IN (SELECT notice_id FROM outbox WHERE state IN ('waiting', 'leased'))",
    "repair": "decided_at < ?",
    "pause": "until_at < ?",
    "announcement": "coalesce(ended_at, until_at) < ?",
    "stretch": "until_at < ?",
    "peer_stretch": "until_at < ?",
    "run": "ended_at < ?",
}


def prune(connection: sqlite3.Connection, now_ms: int) -> int:
    """Delete a bounded batch of rows older than 90 days. Returns their number; call until 0."""
    gone = 0
    for table, condition in _OLD.items():
        gone += connection.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {condition} LIMIT {PRUNE_BATCH})",  # noqa: S608
            (now_ms - KEEP_MS,),
        ).rowcount
    return gone


def clock(connection: sqlite3.Connection) -> str | None:
    """Where the clock of the last run stood, as JSON."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
    return None if row is None else str(row["value"])


def keep_clock(connection: sqlite3.Connection, saved: str) -> None:
    """Keep where the clock stands, for :func:`clock` of the next run."""
    connection.execute(
        "INSERT INTO meta VALUES ('clock', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (saved,)
    )
