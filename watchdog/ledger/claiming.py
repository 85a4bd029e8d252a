"""Claims the next row of a channel with a lease; merges, holds or mutes rows on the way.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import sqlite3

import msgspec

from shared import logs
from watchdog.domain import notices
from watchdog.domain.alert import SEND, AlertContext, AlertDecision, AlertPolicy, AlertRuling, decide
from watchdog.domain.states import Notice, NoticeKind
from watchdog.ledger import incidents, outbox
from watchdog.ledger.outbox import HELD, in_maintenance

log = logs.get(__name__)

_OPEN = "state IN ('waiting', 'leased')"
_JUDGED_AT_ONCE = 100  # bound of one transaction


class Claim(msgspec.Struct, frozen=True):
    """One row, leased. ``tries`` counts this one too; rows after ``newest_row`` came later."""

    row_id: int
    channel: str
    role: str
    tries: int
    created_at_ms: int
    newest_row: int
    notice: Notice


class Claimed(msgspec.Struct, frozen=True):
    """A claim if any, the decisions about other rows, and when to check again (epoch ms)."""

    claim: Claim | None = None
    decided: tuple[tuple[Notice, AlertRuling], ...] = ()
    look_again_at_ms: int | None = None


def claim(connection: sqlite3.Connection, channel: str, now_ms: int, policy: AlertPolicy, *, lease_ms: int) -> Claimed:
    """Claim the next row to send now; other due rows are merged, held or muted."""
    asked_until, retry_at, seen_row = _cooling(connection, channel)
    if asked_until > now_ms:
        return Claimed(look_again_at_ms=asked_until)
    # While a channel fails, its backlog waits for one probe at a time; only new rows are tried.
    newer_than = seen_row if retry_at > now_ms else 0
    decided: list[tuple[Notice, AlertRuling]] = []
    for _ in range(_JUDGED_AT_ONCE):
        found = _next(connection, channel, now_ms, newer_than)
        if found is None:
            return Claimed(None, tuple(decided), _look_again(connection, channel, now_ms, retry_at))
        try:
            notice = incidents.notice(found)
        except (msgspec.DecodeError, ValueError, KeyError):
            # A row that cannot be read must not stop its channel for ever.
            log.error("A notice cannot be read and is not sent", event_name="notice.unreadable", notice=found["id"])
            connection.execute(
                "UPDATE outbox SET state = 'expired', reason = 'unreadable', done_at = ? WHERE id = ?",
                (now_ms, found["row_id"]),
            )
            continue
        context = _context(connection, notice, channel, found["row_id"], now_ms, policy)
        judged = decide(notice, context, policy)
        if judged.decision is AlertDecision.MERGE and context.incident is None:
            judged = SEND  # nothing is known of the incident any more: the text of the notice is enough
        if judged.decision is AlertDecision.SEND:
            taken = _lease(connection, found["row_id"], now_ms, lease_ms)
            if taken:
                tries = found["tries"] + 1
                mine = Claim(
                    found["row_id"],
                    channel,
                    found["role"],
                    tries,
                    found["row_created_at"],
                    found["newest_row"],
                    notice,
                )
                return Claimed(mine, tuple(decided), now_ms)
            continue
        decided.append((notice, judged))
        _put_aside(connection, found, notice, judged, channel, now_ms, policy)
    return Claimed(None, tuple(decided), now_ms)


def _cooling(connection: sqlite3.Connection, channel: str) -> tuple[int, int, int]:
    row = connection.execute(
        "SELECT asked_until, retry_at, seen_row FROM channel WHERE channel = ?", (channel,)
    ).fetchone()
    return (row["asked_until"], row["retry_at"], row["seen_row"]) if row is not None else (0, 0, 0)


def _next(connection: sqlite3.Connection, channel: str, now_ms: int, newer_than: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT o.id AS row_id, o.tries, o.role, o.created_at AS row_created_at,"
        " (SELECT max(id) FROM outbox) AS newest_row, n.*"
        " FROM outbox o JOIN notice n ON n.id = o.notice_id"
        " WHERE o.channel = ? AND o.state IN ('waiting', 'leased') AND o.due_at <= ?"
        " AND (o.state = 'waiting' OR o.leased_until <= ?) AND o.id > ?"
        " ORDER BY o.due_at, o.id LIMIT 1",
        (channel, now_ms, now_ms, newer_than),
    ).fetchone()
    return row


def _lease(connection: sqlite3.Connection, row_id: int, now_ms: int, lease_ms: int) -> bool:
    """Conditional, and the row count decides: two claimers never hold one row."""
    changed = connection.execute(
        "UPDATE outbox SET state = 'leased', leased_until = ?, tries = tries + 1"
        " WHERE id = ? AND (state = 'waiting' OR (state = 'leased' AND leased_until <= ?))",
        (now_ms + lease_ms, row_id, now_ms),
    )
    return changed.rowcount == 1


def _put_aside(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    notice: Notice,
    judged: AlertRuling,
    channel: str,
    now_ms: int,
    policy: AlertPolicy,
) -> None:
    if judged.decision is AlertDecision.HOLD:
        connection.execute(
            "UPDATE outbox SET state = 'waiting', due_at = ?, reason = ? WHERE id = ?",
            (now_ms + policy.hold_ms, HELD + judged.why, row["row_id"]),
        )
    elif judged.decision is AlertDecision.MUTE:
        connection.execute(
            "UPDATE outbox SET state = 'muted', reason = ?, done_at = ? WHERE id = ?",
            (judged.why, now_ms, row["row_id"]),
        )
    elif judged.decision is AlertDecision.MERGE:
        _merge(connection, notice, judged, channel, row["role"], now_ms)


def _merge(
    connection: sqlite3.Connection, notice: Notice, judged: AlertRuling, channel: str, role: str, now_ms: int
) -> None:
    incident = incidents.find_incident(connection, notice.incident_id or "")
    if incident is None:
        raise LookupError(f"notice {notice.id} has no incident")
    both = connection.execute(
        f"SELECT id, created_at FROM outbox WHERE notice_id IN (?, ?) AND channel = ? AND {_OPEN}",  # noqa: S608
        (f"{incident.id}:{NoticeKind.DOWN}", f"{incident.id}:{NoticeKind.UP}", channel),
    ).fetchall()
    merged = notices.was_down(incident, now_ms)
    outbox.insert_notice(connection, merged)
    connection.executemany(
        "UPDATE outbox SET state = 'merged', reason = ?, done_at = ?, leased_until = NULL WHERE id = ?",
        [(judged.why, now_ms, row["id"]) for row in both],
    )
    # Its age counts from the first of the two.
    outbox.insert_row(connection, merged.id, channel, role, min(row["created_at"] for row in both), now_ms)


def _look_again(connection: sqlite3.Connection, channel: str, now_ms: int, retry_at: int) -> int | None:
    due = connection.execute(
        f"SELECT min(due_at) FROM outbox WHERE channel = ? AND {_OPEN}",  # noqa: S608
        (channel,),
    ).fetchone()[0]
    return None if due is None else max(due, retry_at, now_ms)


def _context(
    connection: sqlite3.Connection, notice: Notice, channel: str, row_id: int, now_ms: int, policy: AlertPolicy
) -> AlertContext:
    incident = incidents.find_incident(connection, notice.incident_id) if notice.incident_id is not None else None
    opener = None
    if notice.kind in notices.OPENER_OF:
        opener = _state(connection, f"{notice.incident_id}:{notices.OPENER_OF[notice.kind]}", channel)
    elif notice.kind is NoticeKind.REMINDER and incident is not None:
        opener = _state(connection, f"{incident.id}:{notices.OPENS[incident.kind]}", channel)
    closer = None
    if notice.kind is NoticeKind.DOWN and incident is not None and incident.closed_at_ms is not None:
        closer = _state(connection, f"{incident.id}:{NoticeKind.UP}", channel)
    others = [found for found in incidents.open_incidents(connection, notice.target) if found.id != notice.incident_id]
    return AlertContext(
        incident=incident,
        opener=opener,
        closer=closer,
        open_kinds=frozenset(found.kind for found in others),
        in_maintenance=in_maintenance(connection, notice.target, now_ms),
        newer_reminder=notice.kind is NoticeKind.REMINDER and _newer_reminder(connection, notice, channel, row_id),
        restarts=_restarts(connection, notice, channel, now_ms - policy.restarts_window_ms),
        channel_works=notice.kind is NoticeKind.CHANNEL_FAILING and _works(connection, notice.fields["channel"]),
    )


def _state(connection: sqlite3.Connection, notice_id: str, channel: str) -> str | None:
    row = connection.execute(
        "SELECT state FROM outbox WHERE notice_id = ? AND channel = ?", (notice_id, channel)
    ).fetchone()
    return row["state"] if row is not None else None


def _newer_reminder(connection: sqlite3.Connection, notice: Notice, channel: str, row_id: int) -> bool:
    found = connection.execute(
        "SELECT 1 FROM outbox o JOIN notice n ON n.id = o.notice_id"
        " WHERE n.incident_id = ? AND n.kind = 'reminder' AND o.channel = ? AND o.id > ? LIMIT 1",
        (notice.incident_id, channel, row_id),
    )
    return found.fetchone() is not None


def _restarts(connection: sqlite3.Connection, notice: Notice, channel: str, since_ms: int) -> int:
    if notice.kind is not NoticeKind.RESTARTED:
        return 0
    found = connection.execute(
        "SELECT count(*) FROM notice n JOIN outbox o ON o.notice_id = n.id AND o.channel = ?"
        " WHERE n.created_at > ? AND n.kind = 'restarted' AND n.target = ? AND o.state = 'done'",
        (channel, since_ms, notice.target),
    )
    return int(found.fetchone()[0])


def _works(connection: sqlite3.Connection, channel: str) -> bool:
    row = connection.execute("SELECT failures FROM channel WHERE channel = ?", (channel,)).fetchone()
    return row is None or row["failures"] == 0
