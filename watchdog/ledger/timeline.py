"""Incidents with their timelines, notices with their receipts, and the latency curve.

Every query is bounded.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from watchdog.domain.states import Incident
from watchdog.ledger import incidents as rows
from watchdog.ledger.settling import channel_name


class TimelineEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One event of an incident. ``kind`` is a stable word; it says which other fields are set."""

    at_ms: int
    kind: str
    reason: str = ""
    old: str = ""
    new: str = ""
    notice: str = ""
    channel: str = ""
    remediator: str = ""
    action: str = ""
    result: str = ""
    detail: str = ""
    author: str = ""


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


_EVENTS = (
    (
        "SELECT ended_at AS at_ms, 'ping_failed' AS kind, reason FROM result WHERE target = :target"
        " AND ended_at BETWEEN :opened AND :decided AND outcome != 'ok' ORDER BY ended_at LIMIT 20"
    ),
    (
        "SELECT at AS at_ms, 'state' AS kind, reason, old_state AS old, new_state AS new FROM flip"
        " WHERE target = :target AND at BETWEEN :opened AND :until ORDER BY at LIMIT 200"
    ),
    "SELECT at AS at_ms, kind FROM event WHERE target = :target AND at BETWEEN :opened AND :until ORDER BY at LIMIT 200",
    (
        "SELECT d.at AS at_ms, iif(d.ok, 'delivered', 'delivery_failed') AS kind, iif(d.ok, '', d.reason) AS reason,"
        " n.kind AS notice, o.channel, c.label FROM notice n"
        " JOIN outbox o ON o.notice_id = n.id JOIN delivery d ON d.outbox_id = o.id"
        " LEFT JOIN channel c ON c.channel = o.channel WHERE n.incident_id = :id ORDER BY d.at DESC LIMIT 200"
    ),
    (
        "SELECT o.done_at AS at_ms, o.state AS kind, o.reason, n.kind AS notice, o.channel, c.label FROM notice n"
        " JOIN outbox o ON o.notice_id = n.id LEFT JOIN channel c ON c.channel = o.channel"
        " WHERE n.incident_id = :id AND o.state IN ('muted', 'merged', 'expired') ORDER BY o.done_at LIMIT 200"
    ),
    (
        "SELECT decided_at AS at_ms, 'repair_started' AS kind, remediator, action FROM repair"
        " WHERE incident_id = :id ORDER BY decided_at LIMIT 200"
    ),
    (
        "SELECT ended_at AS at_ms, 'repair_ended' AS kind, remediator, action, result, detail FROM repair"
        " WHERE incident_id = :id AND ended_at IS NOT NULL ORDER BY decided_at LIMIT 200"
    ),
)


def timeline(connection: sqlite3.Connection, incident: Incident, now_ms: int) -> list[TimelineEvent]:
    """The events of ``incident``, oldest first."""
    named = {
        "id": incident.id,
        "target": incident.target,
        "opened": incident.opened_at_ms,
        "decided": incident.decided_at_ms,
        "until": incident.closed_at_ms if incident.closed_at_ms is not None else now_ms,
    }
    events = [
        TimelineEvent(incident.opened_at_ms, "began", incident.reason),
        TimelineEvent(incident.decided_at_ms, "decided", incident.reason),
        *(_event(**dict(row)) for query in _EVENTS for row in connection.execute(query, named)),
    ]
    if incident.acknowledged_at_ms is not None:
        by = incident.acknowledged_by or ""
        events.append(TimelineEvent(incident.acknowledged_at_ms, "acknowledged", author=by))
    if incident.closed_at_ms is not None:
        events.append(TimelineEvent(incident.closed_at_ms, "over", incident.close_reason or ""))
    return sorted(events, key=lambda event: event.at_ms)


def _event(*, channel: str = "", label: str | None = None, **fields: Any) -> TimelineEvent:
    return TimelineEvent(channel=channel_name(label, channel) if channel else "", **fields)


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """State of one notice on one channel."""

    channel: str
    role: str
    state: str
    tries: int
    reason: str
    done_at_ms: int | None


def receipts(connection: sqlite3.Connection, notice_id: str) -> list[Receipt]:
    """One per channel; empty for an unknown notice or without channels."""
    found = connection.execute(
        "SELECT c.label, o.channel, o.role, o.state, o.tries, o.reason, o.done_at FROM outbox o"
        " LEFT JOIN channel c ON c.channel = o.channel WHERE o.notice_id = ? ORDER BY o.id",
        (notice_id,),
    )
    return [Receipt(channel_name(label, channel), *rest) for label, channel, *rest in found]


class NoticeLine(msgspec.Struct, frozen=True, rename="camel"):
    """One notice with its state on every channel."""

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
    """Pings of one slot of the curve; latencies of answered ones, None without any."""

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
SELECT counted.slot, p50, p95, p99, answered, failed, pings - answered - failed
FROM counted LEFT JOIN times ON times.slot = counted.slot
"""


def curve(connection: sqlite3.Connection, target: str, from_ms: int, until_ms: int, slots: int) -> list[Slot]:
    """The window in ``slots`` equal parts, oldest first."""
    width = max(1, (until_ms - from_ms) // slots)
    named = {"begin": from_ms, "end": until_ms, "width": width, "target": target}
    known = {slot: figures for slot, *figures in connection.execute(_CURVE, named)}
    no_pings = (None, None, None, 0, 0, 0)
    return [Slot(from_ms + number * width, *known.get(number, no_pings)) for number in range(slots)]
