"""Maintenance windows in the ledger."""

from __future__ import annotations

import sqlite3

from watchdog.domain.policy import Pause


def current(connection: sqlite3.Connection, now_ms: int) -> tuple[Pause, ...]:
    """The windows that are open or still to come."""
    found = connection.execute(
        "SELECT id, target, from_at AS from_ms, until_at AS until_ms, author, reason FROM pause"
        " WHERE until_at > ? AND ended_at IS NULL ORDER BY from_at",
        (now_ms,),
    )
    return tuple(Pause(**dict(row)) for row in found)


def begin(connection: sqlite3.Connection, pause: Pause) -> None:
    connection.execute(
        "INSERT INTO pause (id, target, from_at, until_at, author, reason) VALUES (?, ?, ?, ?, ?, ?)",
        (pause.id, pause.target, pause.from_ms, pause.until_ms, pause.author, pause.reason),
    )


def end(connection: sqlite3.Connection, pause_id: str, now_ms: int) -> bool:
    """End a window before its time. False when there is none that is open."""
    changed = connection.execute(
        "UPDATE pause SET ended_at = ? WHERE id = ? AND ended_at IS NULL AND until_at > ?", (now_ms, pause_id, now_ms)
    )
    return changed.rowcount == 1
