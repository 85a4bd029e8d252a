"""A person takes note of an incident: no more reminders; its end is told all the same."""

from __future__ import annotations

import sqlite3

from watchdog.domain.states import Incident
from watchdog.ledger import incidents


def acknowledge(connection: sqlite3.Connection, incident_id: str, at_ms: int, author: str) -> Incident | None:
    """The incident as it is then; the first acknowledgement stays. None when there is no such incident."""
    connection.execute(
        "UPDATE incident SET acknowledged_at = ?, acknowledged_by = ?"
        " WHERE id = ? AND closed_at IS NULL AND acknowledged_at IS NULL",
        (at_ms, author, incident_id),
    )
    return incidents.find_incident(connection, incident_id)
