"""Between rows of the ledger and the values of the domain."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from watchdog.domain.states import Incident, IncidentKind, Notice, NoticeKind

INCIDENT = (
    "id, target, kind, opened_at, decided_at, closed_at, reason, close_reason,"
    " acknowledged_at, acknowledged_by, reminders, last_notice_at"
)
NOTICE = "id, incident_id, target, kind, created_at, payload"


def incident(row: sqlite3.Row) -> Incident:
    """A row with the columns of :data:`INCIDENT`."""
    return Incident(
        id=row["id"],
        target=row["target"],
        kind=IncidentKind(row["kind"]),
        opened_at_ms=row["opened_at"],
        decided_at_ms=row["decided_at"],
        reason=row["reason"],
        closed_at_ms=row["closed_at"],
        close_reason=row["close_reason"],
        acknowledged_at_ms=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"],
        reminders=row["reminders"],
        last_notice_at_ms=row["last_notice_at"],
    )


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


def insert_notice(
    connection: sqlite3.Connection, value: Notice, channels: tuple[str, ...], *, role: str = "primary"
) -> bool:
    """Keep ``value`` with one waiting outbox row per channel. False when the ledger knows this notice already."""
    payload = msgspec.json.encode({"title": value.title, "text": value.text, "fields": value.fields}).decode()
    known = connection.execute(
        f"INSERT INTO notice ({NOTICE}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",  # noqa: S608
        (value.id, value.incident_id, value.target, value.kind, value.created_at_ms, payload),
    )
    for channel in channels:
        connection.execute(
            "INSERT INTO outbox (notice_id, channel, role, state, created_at, due_at) VALUES (?, ?, ?, 'waiting', ?, ?)"
            " ON CONFLICT (notice_id, channel) DO NOTHING",
            (value.id, channel, role, value.created_at_ms, value.created_at_ms),
        )
    if value.incident_id is not None:
        connection.execute(
            "UPDATE incident SET last_notice_at = ? WHERE id = ?", (value.created_at_ms, value.incident_id)
        )
    return known.rowcount == 1


def open_incident(connection: sqlite3.Connection, value: Incident) -> None:
    """Keep a new incident; one the ledger knows already is left as it is."""
    connection.execute(
        "INSERT INTO incident (id, target, kind, opened_at, decided_at, reason) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO NOTHING",
        (value.id, value.target, value.kind, value.opened_at_ms, value.decided_at_ms, value.reason),
    )


def close_incident(connection: sqlite3.Connection, incident_id: str, closed_at_ms: int, reason: str) -> Incident | None:
    """End an incident; the row as it is then, or None when it was not open."""
    changed = connection.execute(
        "UPDATE incident SET closed_at = ?, close_reason = ? WHERE id = ? AND closed_at IS NULL",
        (closed_at_ms, reason, incident_id),
    )
    return find_incident(connection, incident_id) if changed.rowcount == 1 else None


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
