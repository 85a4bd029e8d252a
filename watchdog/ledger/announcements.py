"""Announcements in the ledger."""

from __future__ import annotations

import sqlite3

from watchdog.domain.announcements import Announcement, Severity

MOST = 20
_COLUMNS = (
    "id, title, text, severity, created_at AS created_at_ms, until_at AS until_ms, author, ended_at AS ended_at_ms"
)


def current(connection: sqlite3.Connection, now_ms: int) -> tuple[Announcement, ...]:
    """Those that are shown now, newest first."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM announcement"  # noqa: S608
        " WHERE ended_at IS NULL AND (until_at IS NULL OR until_at > ?) ORDER BY created_at DESC LIMIT ?",
        (now_ms, MOST),
    )
    return tuple(_announcement(row) for row in found)


def newest(connection: sqlite3.Connection, limit: int) -> tuple[Announcement, ...]:
    """Newest first, those that are over included."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM announcement ORDER BY created_at DESC LIMIT ?", (limit,))  # noqa: S608
    return tuple(_announcement(row) for row in found)


def add(connection: sqlite3.Connection, value: Announcement) -> None:
    connection.execute(
        "INSERT INTO announcement (id, title, text, severity, created_at, until_at, author) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (value.id, value.title, value.text, value.severity, value.created_at_ms, value.until_ms, value.author),
    )


def end(connection: sqlite3.Connection, announcement_id: str, now_ms: int) -> bool:
    """End one that is shown. False when there is none."""
    changed = connection.execute(
        "UPDATE announcement SET ended_at = ? WHERE id = ? AND ended_at IS NULL AND (until_at IS NULL OR until_at > ?)",
        (now_ms, announcement_id, now_ms),
    )
    return changed.rowcount == 1


def _announcement(row: sqlite3.Row) -> Announcement:
    return Announcement(**{**dict(row), "severity": Severity(row["severity"])})
