"""Repairs in the ledger: begun before the action, ended after it, and read back by the next run.

Every function takes the connection of a running transaction; times are wall milliseconds.
"""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain.ports import Repaired
from watchdog.domain.remediation import LADDER

_RESTARTS = {(step.remediator, step.action): step.restarts for step in LADDER}
_COLUMNS = (
    "id, target, coalesce(incident_id, '') AS incident_id, remediator, action, decided_at AS at_ms,"
    " ended_at AS ended_at_ms, result, detail"
)
# Moments of a target: ten minutes of health completed; the budget given back by a person, earlier repairs do not count.
RESET = "repair_reset_at"
BUDGET_RESTORED = "repair_forgiven_at"


class Repair(msgspec.Struct, frozen=True, rename="camel"):
    """One row. ``result`` is running, done, failed, skipped, dry_run or abandoned."""

    id: str
    target: str
    incident_id: str
    remediator: str
    action: str
    at_ms: int
    ended_at_ms: int | None
    result: str
    detail: str = ""

    @property
    def restarts(self) -> bool:
        return _RESTARTS.get((self.remediator, self.action), False)


def begin(connection: sqlite3.Connection, repair: Repair) -> None:
    """Record the start: whatever happens next, it counts."""
    connection.execute(
        "INSERT INTO repair (id, target, incident_id, remediator, action, decided_at, started_at, result)"
        " VALUES (:id, :target, :incident_id, :remediator, :action, :at_ms, :at_ms, 'running')",
        msgspec.structs.asdict(repair),
    )


def end(connection: sqlite3.Connection, repair_id: str, at_ms: int, repaired: Repaired) -> None:
    connection.execute(
        "UPDATE repair SET ended_at = ?, result = ?, detail = ? WHERE id = ?",
        (at_ms, repaired.result, repaired.detail, repair_id),
    )


def abandon_running(connection: sqlite3.Connection, now_ms: int) -> None:
    """At start: mark repairs of a crashed run. They may be done, so they stay in the budget."""
    connection.execute(
        "UPDATE repair SET result = 'abandoned', ended_at = ?, detail = 'the watchdog ended during the repair'"
        " WHERE result = 'running'",
        (now_ms,),
    )


def since(connection: sqlite3.Connection, target: str, since_ms: int) -> list[Repair]:
    """Oldest first."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM repair WHERE target = ? AND decided_at >= ? ORDER BY decided_at",  # noqa: S608
        (target, since_ms),
    )
    return [Repair(**dict(row)) for row in found]


def newest(connection: sqlite3.Connection, limit: int) -> list[Repair]:
    """Of every target, newest first."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM repair ORDER BY decided_at DESC LIMIT ?",  # noqa: S608
        (limit,),
    )
    return [Repair(**dict(row)) for row in found]


def moment(connection: sqlite3.Connection, name: str, target: str) -> int:
    """0 when it never was."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"{name}:{target}",)).fetchone()
    return int(row["value"]) if row is not None else 0


def keep_moment(connection: sqlite3.Connection, name: str, target: str, at_ms: int) -> None:
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (f"{name}:{target}", str(at_ms)),
    )
