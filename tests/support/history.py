"""A watchdog's ledger with ten weeks behind it, so that pages are looked at with something on them."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from watchdog.ledger.sqlite import open_ledger

DAY_MS = 86_400_000
MINUTE_MS = 60_000
# (days ago, length in ms, what was wrong)
OUTAGES = (
    (50, 4 * 60 * MINUTE_MS, "timeout"),
    (24, 7 * MINUTE_MS, "connect_refused"),
    (23, 40_000, "http_500"),
    (9, 95_000, "connect_refused"),
)
# (days ago, length in ms)
DEGRADED = ((33, 5 * 60 * MINUTE_MS), (4, 55 * MINUTE_MS))
WATCHED_DAYS = 72


def seed(path: Path) -> None:
    """Make the ledger at ``path`` and fill it. Nothing may have it open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    open_ledger(path).close()
    now_ms = int(time.time() * 1000)
    with closing(sqlite3.connect(path)) as ledger, ledger:
        _stretches(ledger, now_ms)
        _pings(ledger, now_ms)


def _stretches(ledger: sqlite3.Connection, now_ms: int) -> None:
    at = now_ms - WATCHED_DAYS * DAY_MS
    rows = []
    for number, (days, length, reason) in enumerate(OUTAGES):
        began = now_ms - days * DAY_MS
        rows += [("up", at, began), ("down", began, began + length)]
        at = began + length
        ledger.execute(
            "INSERT INTO incident (id, target, kind, opened_at, decided_at, closed_at, reason, close_reason)"
            " VALUES (?, 'bot', 'down', ?, ?, ?, ?, 'answered_again')",
            (f"seeded-{number}", began, began + 4000, at, reason),
        )
    rows.append(("up", at, now_ms - 1000))
    for days, length in DEGRADED:
        began = now_ms - int(days * DAY_MS)
        for old, new, since in (("UP", "DEGRADED", began), ("DEGRADED", "UP", began + length)):
            ledger.execute(
                "INSERT INTO flip (target, at, since, old_state, new_state, reason) VALUES ('bot', ?, ?, ?, ?, '')",
                (since, since, old, new),
            )
    ledger.executemany("INSERT INTO stretch (target, kind, from_at, until_at) VALUES ('bot', ?, ?, ?)", rows)


def _pings(ledger: sqlite3.Connection, now_ms: int) -> None:
    chance = random.Random(3)
    rows = []
    for number in range(DAY_MS // (2 * MINUTE_MS)):
        at = now_ms - DAY_MS + number * 2 * MINUTE_MS
        if 300 < number < 330:
            continue  # an hour without any watching
        slow = 35 if 500 < number < 560 else 0
        latency = 40 + 15 * chance.random() + slow + (60 * chance.random() if chance.random() < 0.08 else 0)
        rows.append((at, at + int(latency), latency))
    ledger.executemany(
        "INSERT INTO result (target, boot_id, cause, started_at, ended_at, outcome, reason, latency_ms)"
        " VALUES ('bot', 'seeded', 'schedule', ?, ?, 'ok', 'ok', ?)",
        rows,
    )
