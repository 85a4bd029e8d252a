"""The outbox: notices that wait for a channel, enqueued in the transaction of their decision.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import sqlite3

import msgspec

from watchdog.domain import notices
from watchdog.domain.alert import AlertPolicy, needs_fallback, reminder_due
from watchdog.domain.notices import LEDGER_KINDS, not_kept
from watchdog.domain.states import Incident, Notice, NoticeKind
from watchdog.ledger import incidents as rows
from watchdog.ledger.stand_in import StandInConnection

HELD = "held:"
_OPEN = "state IN ('waiting', 'leased')"


class Channels(msgspec.Struct, frozen=True):
    """The channels, as digests of their URLs; the fallback ones serve when a primary one fails."""

    primary: tuple[str, ...]
    fallback: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.primary + self.fallback))

    def role(self, channel: str) -> str:
        return "primary" if channel in self.primary else "fallback"


def enqueue(connection: sqlite3.Connection, notice: Notice, channels: Channels) -> bool:
    """Keep ``notice`` for every primary channel and the fallback ones that got the incident before.

    False when the ledger knows the notice.
    """
    new = insert_notice(connection, notice)
    used = list(channels.primary)
    if notice.incident_id is not None and channels.fallback:
        found = connection.execute(
            "SELECT DISTINCT o.channel FROM outbox o JOIN notice n ON n.id = o.notice_id"
            " WHERE n.incident_id = ? AND o.role = 'fallback'",
            (notice.incident_id,),
        )
        used += [channel for (channel,) in found if channel in channels.fallback]
    for channel in used:
        insert_row(connection, notice.id, channel, channels.role(channel), notice.created_at_ms)
    return new


def enqueue_everywhere(connection: sqlite3.Connection, notice: Notice, channels: Channels, *, but: str = "") -> None:
    """Keep ``notice`` for every channel, fallback ones included, except ``but``."""
    insert_notice(connection, notice)
    for channel in channels.all:
        if channel != but:
            insert_row(connection, notice.id, channel, channels.role(channel), notice.created_at_ms)


def ledger_failing_since_ms(connection: sqlite3.Connection, after_ms: int) -> int | None:
    """Begin of the newest failure of the ledger that people were notified of, but not of its end."""
    found = connection.execute(
        "SELECT json_extract(n.payload, '$.fields.sinceMs') FROM notice n WHERE n.kind = ? AND n.created_at > ?"
        " AND NOT EXISTS (SELECT 1 FROM notice o WHERE o.id = replace(n.id, ':failing', ':over'))"
        " ORDER BY n.created_at DESC LIMIT 1",
        (NoticeKind.LEDGER_FAILING, after_ms),
    ).fetchone()
    return None if found is None else int(found[0])


def insert_notice(connection: sqlite3.Connection, notice: Notice) -> bool:
    """Keep ``notice`` without a row for a channel. False when the ledger knows it."""
    if isinstance(connection, StandInConnection) and notice.kind not in LEDGER_KINDS:
        notice = not_kept(notice)
    payload = msgspec.json.encode({"title": notice.title, "text": notice.text, "fields": notice.fields}).decode()
    inserted = connection.execute(
        f"INSERT INTO notice ({rows.NOTICE}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",  # noqa: S608
        (notice.id, notice.incident_id, notice.target, notice.kind, notice.created_at_ms, payload),
    )
    if notice.incident_id is not None:
        connection.execute(
            "UPDATE incident SET last_notice_at = ? WHERE id = ?", (notice.created_at_ms, notice.incident_id)
        )
    return inserted.rowcount == 1


def insert_row(
    connection: sqlite3.Connection,
    notice_id: str,
    channel: str,
    role: str,
    created_at_ms: int,
    due_at_ms: int | None = None,
) -> None:
    """One waiting row of a notice, due at once by default; nothing when the channel has one."""
    connection.execute(
        "INSERT INTO outbox (notice_id, channel, role, state, created_at, due_at) VALUES (?, ?, ?, 'waiting', ?, ?)"
        " ON CONFLICT (notice_id, channel) DO NOTHING",
        (notice_id, channel, role, created_at_ms, created_at_ms if due_at_ms is None else due_at_ms),
    )


def pass_on(
    connection: sqlite3.Connection, notice_id: str, channel: str, role: str, created_at_ms: int, due_at_ms: int
) -> None:
    """A row for another channel, which gets begin and end of an outage as two notices or as one, never as both."""
    knows = connection.execute(
        "SELECT 1 FROM notice n JOIN outbox o"
        " ON o.notice_id = n.incident_id || iif(n.kind = :joined, :begin, :both)"
        " WHERE n.id = :notice AND n.kind IN (:joined, 'down', 'up') AND o.channel = :channel"
        " AND o.state IN ('waiting', 'leased', 'done')",
        {
            "notice": notice_id,
            "channel": channel,
            "joined": NoticeKind.WAS_DOWN,
            "begin": f":{NoticeKind.DOWN}",
            "both": f":{NoticeKind.WAS_DOWN}",
        },
    ).fetchone()
    if knows is None:
        insert_row(connection, notice_id, channel, role, created_at_ms, due_at_ms)


def in_maintenance(connection: sqlite3.Connection, target: str, now_ms: int) -> bool:
    """Whether ``target`` is in a maintenance window."""
    found = connection.execute(
        "SELECT 1 FROM pause WHERE target IN (?, '*') AND from_at <= ? AND until_at > ? AND ended_at IS NULL LIMIT 1",
        (target, now_ms, now_ms),
    )
    return found.fetchone() is not None


def escalate(connection: sqlite3.Connection, row_id: int, channels: Channels, now_ms: int) -> bool:
    """Enqueue a row for the fallback channels too. False when that was done before."""
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
        pass_on(connection, notice_id, channel, "fallback", created_at, now_ms)
    return bool(channels.fallback)


def overdue(connection: sqlite3.Connection, now_ms: int, policy: AlertPolicy) -> list[int]:
    """Rows of primary channels that waited too long without a fallback row; at most 300."""
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
    """Open incidents with a reminder due; none during maintenance."""
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
    """Whether any row waits, or any open incident may need a reminder."""
    found = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM outbox WHERE {_OPEN})"  # noqa: S608
        " OR EXISTS (SELECT 1 FROM incident WHERE closed_at IS NULL)"
    )
    return bool(found.fetchone()[0])


class Depth(msgspec.Struct, frozen=True):
    """Waiting rows and the age of the oldest (ms); held rows do not count."""

    rows: int
    oldest_ms: int


def depth(connection: sqlite3.Connection, now_ms: int) -> Depth:
    count, oldest = connection.execute(
        f"SELECT count(*), min(created_at) FROM outbox WHERE {_OPEN} AND reason NOT LIKE 'held:%'"  # noqa: S608
    ).fetchone()
    return Depth(count, max(0, now_ms - oldest) if oldest is not None else 0)
