"""Incidents: rows of the ledger to values of the domain, and back."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from watchdog.domain.states import Incident, IncidentKind, Notice, NoticeKind

INCIDENT = (
    "id, target, kind, opened_at AS opened_at_ms, decided_at AS decided_at_ms, closed_at AS closed_at_ms, reason,"
    " close_reason, acknowledged_at AS acknowledged_at_ms, acknowledged_by, reminders,"
    " last_notice_at AS last_notice_at_ms"
)
NOTICE = "id, incident_id, target, kind, created_at, payload"


def incident(row: sqlite3.Row) -> Incident:
    """A row with the columns of :data:`INCIDENT`."""
    # Not msgspec.convert: two threads that use it first on one type at once end the process (decision 0132).
    return Incident(**{**dict(row), "kind": IncidentKind(row["kind"])})


def notice(row: sqlite3.Row) -> Notice:
    """A row with the columns of :data:`NOTICE`."""
    payload: dict[str, Any] = msgspec.json.decode(row["payload"])
    return Notice(
        id=row["id"],
        target=row["target"],
        kind=NoticeKind(row["kind"]),
        created_at_ms=row["created_at"],
        title=payload["title"],
        text=payload["text"],
        incident_id=row["incident_id"],
        fields=payload.get("fields", {}),
    )


def open_incident(connection: sqlite3.Connection, value: Incident) -> None:
    """Keep a new incident; a known one stays as it is."""
    connection.execute(
        "INSERT INTO incident (id, target, kind, opened_at, decided_at, reason)"
        " VALUES (:id, :target, :kind, :opened_at_ms, :decided_at_ms, :reason) ON CONFLICT (id) DO NOTHING",
        msgspec.structs.asdict(value),
    )


def close_incident(connection: sqlite3.Connection, incident_id: str, closed_at_ms: int, reason: str) -> Incident | None:
    """End an incident. Returns it, or None when it was not open."""
    changed = connection.execute(
        "UPDATE incident SET closed_at = ?, close_reason = ? WHERE id = ? AND closed_at IS NULL",
        (closed_at_ms, reason, incident_id),
    )
    return find_incident(connection, incident_id) if changed.rowcount == 1 else None


def acknowledge(connection: sqlite3.Connection, incident_id: str, at_ms: int, author: str) -> Incident | None:
    """Stop the reminders, not the notice of the end. The first acknowledgement stays.

    Returns the incident afterwards, or None if unknown.
    """
    connection.execute(
        "UPDATE incident SET acknowledged_at = ?, acknowledged_by = ?"
        " WHERE id = ? AND closed_at IS NULL AND acknowledged_at IS NULL",
        (at_ms, author, incident_id),
    )
    return find_incident(connection, incident_id)


def find_incident(connection: sqlite3.Connection, incident_id: str) -> Incident | None:
    found = connection.execute(f"SELECT {INCIDENT} FROM incident WHERE id = ?", (incident_id,)).fetchone()  # noqa: S608
    return incident(found) if found is not None else None


def open_incidents(connection: sqlite3.Connection, target: str | None = None) -> list[Incident]:
    """Oldest first; of every target when ``target`` is None."""
    rows = connection.execute(
        f"SELECT {INCIDENT} FROM incident WHERE closed_at IS NULL AND (? IS NULL OR target = ?) ORDER BY opened_at",  # noqa: S608
        (target, target),
    )
    return [incident(row) for row in rows]
