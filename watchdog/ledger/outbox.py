"""The outbox: what is to be told and by which channel; enqueued with the decision, in the same transaction.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain import notices
from watchdog.domain.alert import AlertPolicy, needs_fallback, reminder_due
from watchdog.domain.states import Incident, Notice
from watchdog.ledger import incidents as rows

HELD = "held:"
_OPEN = "state IN ('waiting', 'leased')"


class Channels(msgspec.Struct, frozen=True):
    """Where notices go, as digests of the channels' URLs. The fallback ones are used when a primary one fails."""

    primary: tuple[str, ...]
    fallback: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.primary + self.fallback))

    def role(self, channel: str) -> str:
        return "primary" if channel in self.primary else "fallback"


def enqueue(connection: sqlite3.Connection, notice: Notice, channels: Channels) -> bool:
    """Keep ``notice`` for every primary channel, and for the fallback ones that were told of its incident already.

    False when the ledger knows the notice.
    """
    new = rows.insert_notice(connection, notice, channels.primary)
    if notice.incident_id is not None and channels.fallback:
        told = connection.execute(
            "SELECT DISTINCT o.channel FROM outbox o JOIN notice n ON n.id = o.notice_id"
            " WHERE n.incident_id = ? AND o.role = 'fallback'",
            (notice.incident_id,),
        )
        for (channel,) in told.fetchall():
            if channel in channels.fallback:
                insert_row(connection, notice.id, channel, "fallback", notice.created_at_ms, notice.created_at_ms)
    return new


def enqueue_everywhere(connection: sqlite3.Connection, notice: Notice, channels: Channels, *, but: str = "") -> None:
    """Keep ``notice`` for every channel, the fallback ones too, without ``but``."""
    rows.insert_notice(connection, notice, ())
    for channel in channels.all:
        if channel != but:
            at = notice.created_at_ms
            insert_row(connection, notice.id, channel, channels.role(channel), at, at)


def insert_row(
    connection: sqlite3.Connection, notice_id: str, channel: str, role: str, created_at_ms: int, due_at_ms: int
) -> None:
    """One more waiting row of a notice; nothing when the channel has one already."""
    connection.execute(
        "INSERT INTO outbox (notice_id, channel, role, state, created_at, due_at) VALUES (?, ?, ?, 'waiting', ?, ?)"
        " ON CONFLICT (notice_id, channel) DO NOTHING",
        (notice_id, channel, role, created_at_ms, due_at_ms),
    )


def in_maintenance(connection: sqlite3.Connection, target: str, now_ms: int) -> bool:
    """Whether a maintenance window of ``target`` is open."""
    found = connection.execute(
        "SELECT 1 FROM pause WHERE target IN (?, '*') AND from_at <= ? AND until_at > ? AND ended_at IS NULL LIMIT 1",
        (target, now_ms, now_ms),
    )
    return found.fetchone() is not None


def escalate(connection: sqlite3.Connection, row_id: int, channels: Channels, now_ms: int) -> bool:
    """Also tell the fallback channels what this row's channel could not deliver. False when that was done before."""
    changed = connection.execute(
        f"UPDATE outbox SET escalated = 1 WHERE id = ? AND escalated = 0 AND role = 'primary' AND {_OPEN}",  # noqa: S608
        (row_id,),
    )
    if changed.rowcount != 1:
        return False
    notice_id, created_at = connection.execute(
        "SELECT notice_id, created_at FROM outbox WHERE id = ?", (row_id,)
    ).fetchone()
    for channel in channels.fallback:
        insert_row(connection, notice_id, channel, "fallback", created_at, now_ms)
    return bool(channels.fallback)


def overdue(connection: sqlite3.Connection, now_ms: int, policy: AlertPolicy) -> list[int]:
    """Rows of primary channels that have waited too long and are known to no fallback channel; at most 300."""
    found = connection.execute(
        "SELECT id, tries, created_at FROM outbox WHERE state IN ('waiting', 'leased') AND role = 'primary'"
        " AND escalated = 0 AND created_at <= ? AND reason NOT LIKE 'held:%' ORDER BY created_at LIMIT 300",
        (now_ms - policy.fallback_after_ms,),
    ).fetchall()
    return [row["id"] for row in found if needs_fallback(row["tries"], now_ms - row["created_at"], policy)]


def escalate_overdue(connection: sqlite3.Connection, channels: Channels, now_ms: int, policy: AlertPolicy) -> int:
    """:func:`escalate` for the rows of :func:`overdue`; how many."""
    return sum(escalate(connection, row_id, channels, now_ms) for row_id in overdue(connection, now_ms, policy))


def reminders_due(connection: sqlite3.Connection, now_ms: int, policy: AlertPolicy) -> list[Incident]:
    """Open incidents whose next reminder is due; none during maintenance."""
    return [
        incident
        for incident in rows.open_incidents(connection)
        if reminder_due(incident, now_ms, policy) and not in_maintenance(connection, incident.target, now_ms)
    ]


def remind(connection: sqlite3.Connection, channels: Channels, now_ms: int, policy: AlertPolicy) -> list[Notice]:
    """Enqueue the reminders that are due."""
    made = []
    for incident in reminders_due(connection, now_ms, policy):
        notice = notices.reminder(incident, now_ms)
        enqueue(connection, notice, channels)
        connection.execute("UPDATE incident SET reminders = reminders + 1 WHERE id = ?", (incident.id,))
        made.append(notice)
    return made


def busy(connection: sqlite3.Connection) -> bool:
    """Whether any row waits, held ones included, or any incident is open and may need a reminder."""
    found = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM outbox WHERE {_OPEN})"  # noqa: S608
        " OR EXISTS (SELECT 1 FROM incident WHERE closed_at IS NULL)"
    )
    return bool(found.fetchone()[0])


class Depth(msgspec.Struct, frozen=True):
    """How much waits, and for how long the oldest has (ms); rows that are held on purpose do not count."""

    rows: int
    oldest_ms: int


def depth(connection: sqlite3.Connection, now_ms: int) -> Depth:
    count, oldest = connection.execute(
        f"SELECT count(*), min(created_at) FROM outbox WHERE {_OPEN} AND reason NOT LIKE 'held:%'"  # noqa: S608
    ).fetchone()
    return Depth(count, max(0, now_ms - oldest) if oldest is not None else 0)
