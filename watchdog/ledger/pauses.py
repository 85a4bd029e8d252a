"""Maintenance windows in the ledger."""

from __future__ import annotations

import sqlite3

from watchdog.domain.policy import Pause

_COLUMNS = (
    "id, target, from_at AS from_ms, until_at AS until_ms, author, reason, text, created_at AS created_at_ms,"
    " ended_at AS ended_at_ms"
)


def current(connection: sqlite3.Connection, now_ms: int) -> tuple[Pause, ...]:
    """The windows that are open or still to come."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM pause WHERE until_at > ? AND ended_at IS NULL ORDER BY from_at",  # noqa: S608
        (now_ms,),
    )
    return tuple(Pause(**dict(row)) for row in found)


def newest(connection: sqlite3.Connection, limit: int) -> tuple[Pause, ...]:
    """Latest begin first, those that are over included."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM pause ORDER BY from_at DESC LIMIT ?", (limit,))  # noqa: S608
    return tuple(Pause(**dict(row)) for row in found)


def begin(connection: sqlite3.Connection, pause: Pause) -> None:
    connection.execute(
        "INSERT INTO pause (id, target, from_at, until_at, author, reason, text, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            pause.id,
            pause.target,
            pause.from_ms,
            pause.until_ms,
            pause.author,
            pause.reason,
            pause.text,
            pause.created_at_ms,
        ),
    )


def end(connection: sqlite3.Connection, pause_id: str, now_ms: int) -> bool:
    """End a window before its time. False when there is none that is open or still to come."""
    changed = connection.execute(
        "UPDATE pause SET ended_at = ? WHERE id = ? AND ended_at IS NULL AND until_at > ?", (now_ms, pause_id, now_ms)
    )
    return changed.rowcount == 1
