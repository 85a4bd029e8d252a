"""Incidents with all that happened in them, in order: pings, states, notices and their receipts, repairs, people.

Every query is bounded.
"""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain.notices import length
from watchdog.domain.states import Incident
from watchdog.ledger import incidents as rows

_PINGS = 20
_LINES = 200


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """One line of a timeline. ``kind`` is a stable word; ``text`` is for people."""

    at_ms: int
    kind: str
    text: str


def incidents(
    connection: sqlite3.Connection, *, limit: int, before_ms: int | None = None, target: str | None = None
) -> list[Incident]:
    """Newest first, opened before ``before_ms``."""
    found = connection.execute(
        f"SELECT {rows.INCIDENT} FROM incident WHERE opened_at < ? AND (? IS NULL OR target = ?)"  # noqa: S608
        " ORDER BY opened_at DESC LIMIT ?",
        (before_ms if before_ms is not None else 1 << 62, target, target, limit),
    )
    return [rows.incident(row) for row in found]


def timeline(connection: sqlite3.Connection, incident: Incident, now_ms: int) -> list[Line]:
    """What happened in ``incident``, oldest first."""
    until_ms = incident.closed_at_ms if incident.closed_at_ms is not None else now_ms
    lines = [
        Line(incident.opened_at_ms, "began", incident.reason),
        Line(incident.decided_at_ms, "decided", f"{incident.kind}: {incident.reason}"),
        *_pings(connection, incident),
        *_states(connection, incident, until_ms),
        *_events(connection, incident, until_ms),
        *_notices(connection, incident),
        *_repairs(connection, incident),
    ]
    if incident.acknowledged_at_ms is not None:
        lines.append(Line(incident.acknowledged_at_ms, "acknowledged", f"by {incident.acknowledged_by}"))
    if incident.closed_at_ms is not None:
        lasted = length(incident.closed_at_ms - incident.opened_at_ms)
        lines.append(Line(incident.closed_at_ms, "over", f"{incident.close_reason} after {lasted}"))
    return sorted(lines, key=lambda line: line.at_ms)


def _pings(connection: sqlite3.Connection, incident: Incident) -> list[Line]:
    found = connection.execute(
        "SELECT ended_at, reason, latency_ms FROM result WHERE target = ? AND ended_at BETWEEN ? AND ?"
        " AND outcome != 'ok' ORDER BY ended_at LIMIT ?",
        (incident.target, incident.opened_at_ms, incident.decided_at_ms, _PINGS),
    )
    return [Line(row["ended_at"], "ping_failed", row["reason"]) for row in found]


def _states(connection: sqlite3.Connection, incident: Incident, until_ms: int) -> list[Line]:
    found = connection.execute(
        "SELECT at, old_state, new_state, reason FROM flip WHERE target = ? AND at BETWEEN ? AND ? ORDER BY at LIMIT ?",
        (incident.target, incident.opened_at_ms, until_ms, _LINES),
    )
    return [Line(row["at"], "state", f"{row['old_state']} to {row['new_state']}: {row['reason']}") for row in found]


def _events(connection: sqlite3.Connection, incident: Incident, until_ms: int) -> list[Line]:
    found = connection.execute(
        "SELECT at, kind FROM event WHERE target = ? AND at BETWEEN ? AND ? ORDER BY at LIMIT ?",
        (incident.target, incident.opened_at_ms, until_ms, _LINES),
    )
    return [Line(row["at"], row["kind"], row["kind"].replace("_", " ")) for row in found]


def _notices(connection: sqlite3.Connection, incident: Incident) -> list[Line]:
    told = connection.execute(
        "SELECT n.kind, d.at, d.ok, d.reason, o.channel, c.label FROM notice n"
        " JOIN outbox o ON o.notice_id = n.id JOIN delivery d ON d.outbox_id = o.id"
        " LEFT JOIN channel c ON c.channel = o.channel WHERE n.incident_id = ? ORDER BY d.at DESC LIMIT ?",
        (incident.id, _LINES),
    )
    lines = []
    for row in told:
        by = channel_name(row["label"], row["channel"])
        kind, outcome = ("delivered", "delivered") if row["ok"] else ("delivery_failed", f"failed: {row['reason']}")
        lines.append(Line(row["at"], kind, f"{row['kind']} by {by} {outcome}"))
    withheld = connection.execute(
        "SELECT n.kind, o.state, o.reason, o.done_at, o.channel, c.label FROM notice n"
        " JOIN outbox o ON o.notice_id = n.id LEFT JOIN channel c ON c.channel = o.channel"
        " WHERE n.incident_id = ? AND o.state IN ('muted', 'merged', 'expired') ORDER BY o.done_at LIMIT ?",
        (incident.id, _LINES),
    )
    for row in withheld:
        by = channel_name(row["label"], row["channel"])
        lines.append(Line(row["done_at"], row["state"], f"{row['kind']} by {by} {row['state']}: {row['reason']}"))
    return lines


def _repairs(connection: sqlite3.Connection, incident: Incident) -> list[Line]:
    found = connection.execute(
        "SELECT remediator, action, decided_at, ended_at, result, detail FROM repair WHERE incident_id = ?"
        " ORDER BY decided_at LIMIT ?",
        (incident.id, _LINES),
    )
    lines = []
    for row in found:
        what = f"{row['remediator']} {row['action']}"
        lines.append(Line(row["decided_at"], "repair_started", what))
        if row["ended_at"] is not None:
            lines.append(Line(row["ended_at"], "repair_ended", f"{what}: {row['result']} {row['detail']}".rstrip()))
    return lines


def channel_name(label: str | None, channel: str) -> str:
    """A channel for people: its scheme and four digits, never a host, because hosts of some services are secrets."""
    if channel == "log":
        return "log"
    scheme = (label or "channel").partition("://")[0].partition(" ")[0]
    return f"{scheme} {channel[:4]}"


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """How one notice fares on one channel."""

    channel: str
    role: str
    state: str
    tries: int
    reason: str
    done_at_ms: int | None


def receipts(connection: sqlite3.Connection, notice_id: str) -> list[Receipt]:
    """One per channel; empty when there is no such notice, or no channel at all."""
    found = connection.execute(
        "SELECT o.channel, o.role, o.state, o.tries, o.reason, o.done_at, c.label FROM outbox o"
        " LEFT JOIN channel c ON c.channel = o.channel WHERE o.notice_id = ? ORDER BY o.id",
        (notice_id,),
    )
    return [
        Receipt(
            channel_name(row["label"], row["channel"]),
            row["role"],
            row["state"],
            row["tries"],
            row["reason"],
            row["done_at"],
        )
        for row in found
    ]


class NoticeLine(msgspec.Struct, frozen=True, rename="camel"):
    """One notice, and how it fares on every channel."""

    id: str
    target: str
    kind: str
    title: str
    created_at_ms: int
    receipts: tuple[Receipt, ...]


def newest_notices(connection: sqlite3.Connection, limit: int) -> list[NoticeLine]:
    """Newest first."""
    found = connection.execute(f"SELECT {rows.NOTICE} FROM notice ORDER BY created_at DESC LIMIT ?", (limit,))  # noqa: S608
    return [
        NoticeLine(
            value.id, value.target, value.kind, value.title, value.created_at_ms, tuple(receipts(connection, value.id))
        )
        for value in (rows.notice(row) for row in found.fetchall())
    ]


class Slot(msgspec.Struct, frozen=True, rename="camel"):
    """Pings of one part of the curve; the times of the answered ones, None when none was."""

    from_ms: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    answered: int
    failed: int
    unknown: int


_CURVE = """
WITH inside AS (
    SELECT (ended_at - :begin) / :width AS slot, outcome, latency_ms FROM result
    WHERE target = :target AND ended_at >= :begin AND ended_at < :end
), counted AS (
    SELECT slot, count(*) AS pings, sum(outcome = 'ok') AS answered, sum(outcome = 'target_fail') AS failed
    FROM inside GROUP BY slot
), ranked AS (
    SELECT slot, latency_ms, row_number() OVER (PARTITION BY slot ORDER BY latency_ms) AS place,
        count(*) OVER (PARTITION BY slot) AS n
    FROM inside WHERE outcome = 'ok' AND latency_ms IS NOT NULL
), times AS (
    SELECT slot, max(latency_ms) FILTER (WHERE place <= (n * 50 + 99) / 100) AS p50,
        max(latency_ms) FILTER (WHERE place <= (n * 95 + 99) / 100) AS p95,
        max(latency_ms) FILTER (WHERE place <= (n * 99 + 99) / 100) AS p99
    FROM ranked GROUP BY slot
)
SELECT counted.slot, pings, answered, failed, p50, p95, p99 FROM counted LEFT JOIN times ON times.slot = counted.slot
"""


def curve(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int, slots: int) -> list[Slot]:
    """The window in ``slots`` equal parts, oldest first; a part without pings has zeros."""
    width = max(1, (until_ms - from_ms) // slots)
    named = {"begin": from_ms, "end": until_ms, "width": width, "target": target}
    known = {row["slot"]: row for row in connection.execute(_CURVE, named)}
    made = []
    for number in range(slots):
        row, at_ms = known.get(number), from_ms + number * width
        if row is None:
            made.append(Slot(at_ms, None, None, None, 0, 0, 0))
        else:
            unknown = row["pings"] - row["answered"] - row["failed"]
            made.append(Slot(at_ms, row["p50"], row["p95"], row["p99"], row["answered"], row["failed"], unknown))
    return made
