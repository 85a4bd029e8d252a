"""Writes one decision whole: result with its attempts, state, flip, incidents, events, stretches, totals."""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain.outcome import Outcome, ProbeResult, counts
from watchdog.domain.states import Flip, Incident
from watchdog.domain.target import Happening, Step, Stretch, TargetState
from watchdog.ledger import incidents

_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(TargetState).decode


def load_state(connection: sqlite3.Connection, target: str) -> TargetState:
    """What was known of ``target`` last, or a blank state."""
    row = connection.execute("SELECT state FROM target_state WHERE target = ?", (target,)).fetchone()
    return _decode_state(row["state"]) if row is not None else TargetState(target)


def save_state(connection: sqlite3.Connection, state: TargetState, at_ms: int) -> None:
    connection.execute(
        "INSERT INTO target_state VALUES (?, ?, ?)"
        " ON CONFLICT (target) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at",
        (state.target, _encode(state).decode(), at_ms),
    )


def insert_result(connection: sqlite3.Connection, result: ProbeResult, boot_id: str) -> None:
    """Keep a ping with every attempt, and count it in the totals. ``boot_id`` is the watchdog's own."""
    cursor = connection.execute(
        "INSERT INTO result (target, boot_id, cause, started_at, ended_at, outcome, reason, latency_ms, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            result.target,
            boot_id,
            result.cause,
            result.started_at_ms,
            result.at_ms,
            result.outcome,
            result.reason,
            result.latency_ms,
            result.detail,
        ),
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


def insert_flip(connection: sqlite3.Connection, flip: Flip) -> None:
    connection.execute(
        "INSERT INTO flip (target, at, since, old_state, new_state, reason, incident_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (flip.target, flip.at_ms, flip.since_ms, flip.old, flip.new, flip.reason, flip.incident_id),
    )


def insert_happening(connection: sqlite3.Connection, value: Happening, incident_id: str | None = None) -> None:
    detail = f"planned {value.detail}" if value.planned else value.detail
    connection.execute(
        "INSERT INTO event (target, at, kind, detail, incident_id) VALUES (?, ?, ?, ?, ?)",
        (value.target, value.at_ms, value.kind, detail, incident_id),
    )


def move_stretch(connection: sqlite3.Connection, target: str, kind: Stretch, since_ms: int, at_ms: int) -> None:
    """The time of ``target`` counts as ``kind`` from ``since_ms`` on, decided at ``at_ms``; nothing when it does already.

    A decision may reach back (DOWN begins at the first failed ping) over time that counted as up or down, never over
    maintenance or over time when nobody looked.
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


def cut_stretch(connection: sqlite3.Connection, target: str, until_ms: int, resume_ms: int | None = None) -> None:
    """End the open stretch at ``until_ms``; with ``resume_ms`` it goes on from there (the wall clock was set)."""
    current = connection.execute(
        "SELECT id, kind, from_at FROM stretch WHERE target = ? AND until_at IS NULL", (target,)
    ).fetchone()
    if current is None:
        return
    connection.execute("UPDATE stretch SET until_at = max(from_at, ?) WHERE id = ?", (until_ms, current["id"]))
    if resume_ms is not None:
        connection.execute(
            "INSERT INTO stretch (target, kind, from_at) VALUES (?, ?, ?)", (target, current["kind"], resume_ms)
        )


def write_step(connection: sqlite3.Connection, step: Step, at_ms: int) -> tuple[list[Incident], list[Incident]]:
    """Keep what a fact led to. The incidents opened and closed come back as the ledger holds them now."""
    for incident in step.opened:
        incidents.open_incident(connection, incident)
    closed = [
        row
        for incident in step.closed
        if (
            row := incidents.close_incident(
                connection, incident.id, incident.closed_at_ms or at_ms, incident.close_reason or ""
            )
        )
    ]
    if step.flip is not None:
        insert_flip(connection, step.flip)
    for happening in step.happened:
        insert_happening(connection, happening, step.state.incidents[0].id if step.state.incidents else None)
    move_stretch(connection, step.state.target, step.stretch, step.stretch_since_ms, at_ms)
    save_state(connection, step.state, at_ms)
    return list(step.opened), closed
