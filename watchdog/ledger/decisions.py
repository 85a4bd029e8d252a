"""Writes one decision: result, attempts, state, flip, incidents, events, stretches, totals."""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec.structs import asdict

from shared import logs
from watchdog.domain.outcome import Outcome, ProbeResult, counts
from watchdog.domain.states import Incident
from watchdog.domain.target import Step, Stretch, TargetState
from watchdog.ledger import incidents

log = logs.get(__name__)

_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(TargetState).decode


def load_state(connection: sqlite3.Connection, target: str) -> TargetState:
    """The stored state of ``target``, or a blank one."""
    row = connection.execute("SELECT state FROM target_state WHERE target = ?", (target,)).fetchone()
    if row is None:
        return TargetState(target)
    try:
        return _decode_state(row["state"])
    except (msgspec.DecodeError, ValueError):
        # Watching goes on: the next pings decide again.
        log.exception("The stored state cannot be read and begins again", event_name="state.unreadable", target=target)
        return TargetState(target)


def insert_result(connection: sqlite3.Connection, result: ProbeResult, boot_id: str) -> None:
    """Keep a ping with its attempts, and count it. ``boot_id`` is the watchdog's own."""
    cursor = connection.execute(
        "INSERT INTO result (target, boot_id, cause, started_at, ended_at, outcome, reason, latency_ms, detail)"
        " VALUES (:target, :boot_id, :cause, :started_at_ms, :at_ms, :outcome, :reason, :latency_ms, :detail)",
        asdict(result) | {"boot_id": boot_id},
    )
    connection.executemany(
        "INSERT INTO attempt (result_id, number, started_at, duration_ms, outcome, reason) VALUES (?, ?, ?, ?, ?, ?)",
        [(cursor.lastrowid, a.number, a.started_at_ms, a.duration_ms, a.outcome, a.reason) for a in result.attempts],
    )
    if not counts(result):
        return
    failed = int(result.outcome is not Outcome.OK)
    connection.execute(
        "INSERT INTO total (target, first_started_at, pings, failed_pings) VALUES (?, ?, 1, ?)"
        " ON CONFLICT (target) DO UPDATE SET pings = pings + 1, failed_pings = failed_pings + excluded.failed_pings",
        (result.target, result.started_at_ms, failed),
    )


def move_stretch(connection: sqlite3.Connection, target: str, kind: Stretch, since_ms: int, at_ms: int) -> None:
    """Count the time of ``target`` as ``kind`` from ``since_ms`` on, decided at ``at_ms``.

    A decision may reach back (DOWN begins at the first failed ping) over time that counted as up or
    down, never over maintenance or unknown time.
    """
    current = connection.execute("SELECT kind FROM stretch WHERE target = ? AND until_at IS NULL", (target,)).fetchone()
    if current is not None and current["kind"] == kind:
        return
    if current is not None and current["kind"] == Stretch.MAINTENANCE:
        since_ms = at_ms
    floor = connection.execute(
        "SELECT max(CASE WHEN until_at IS NULL THEN from_at ELSE until_at END) AS at FROM stretch"
        " WHERE target = ? AND kind IN ('maintenance', 'unknown')",
        (target,),
    ).fetchone()["at"]
    since_ms = min(max(since_ms, floor or 0), at_ms)
    connection.execute("DELETE FROM stretch WHERE target = ? AND from_at >= ?", (target, since_ms))
    connection.execute(
        "UPDATE stretch SET until_at = ? WHERE target = ? AND from_at < ? AND (until_at IS NULL OR until_at > ?)",
        (since_ms, target, since_ms, since_ms),
    )
    connection.execute("INSERT INTO stretch (target, kind, from_at) VALUES (?, ?, ?)", (target, kind, since_ms))


def cut_stretch(connection: sqlite3.Connection, target: str, until_ms: int, resume_ms: int) -> None:
    """End the open stretch at ``until_ms``; it goes on from ``resume_ms``."""
    current = connection.execute(
        "SELECT id, kind, from_at FROM stretch WHERE target = ? AND until_at IS NULL", (target,)
    ).fetchone()
    if current is None:
        return
    connection.execute("UPDATE stretch SET until_at = max(from_at, ?) WHERE id = ?", (until_ms, current["id"]))
    connection.execute(
        "INSERT INTO stretch (target, kind, from_at) VALUES (?, ?, ?)", (target, current["kind"], resume_ms)
    )


def write_step(connection: sqlite3.Connection, step: Step, at_ms: int) -> tuple[Incident, ...]:
    """Keep what a fact led to. Returns the incidents closed, as the ledger holds them now."""
    for incident in step.opened:
        incidents.open_incident(connection, incident)
    closed = [
        incidents.close_incident(connection, incident.id, incident.closed_at_ms or at_ms, incident.close_reason or "")
        for incident in step.closed
    ]
    if step.flip is not None:
        connection.execute(
            "INSERT INTO flip (target, at, since, old_state, new_state, reason, incident_id)"
            " VALUES (:target, :at_ms, :since_ms, :old, :new, :reason, :incident_id)",
            asdict(step.flip),
        )
    incident_id = step.state.incidents[0].id if step.state.incidents else None
    for event in step.events:
        detail = f"planned {event.detail}" if event.planned else event.detail
        connection.execute(
            "INSERT INTO event (target, at, kind, detail, incident_id) VALUES (?, ?, ?, ?, ?)",
            (event.target, event.at_ms, event.kind, detail, incident_id),
        )
    move_stretch(connection, step.state.target, step.stretch, step.stretch_since_ms, at_ms)
    connection.execute(
        "INSERT INTO target_state VALUES (?, ?, ?)"
        " ON CONFLICT (target) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at",
        (step.state.target, _encode(step.state).decode(), at_ms),
    )
    return tuple(incident for incident in closed if incident is not None)
