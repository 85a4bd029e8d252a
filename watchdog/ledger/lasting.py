"""Notices that a channel with a memory of its own (Alertmanager) has to hear again and again."""

from __future__ import annotations

import sqlite3

from watchdog.domain.notices import CLOSES, OPENS
from watchdog.domain.states import Notice
from watchdog.ledger import incidents

_MOST = 200


def lasting(connection: sqlite3.Connection, channel: str, ended_since_ms: int) -> list[Notice]:
    """The delivered beginnings of open incidents, and the delivered ends since then; oldest first.

    An incident with an end that still waits for the channel goes on until that is delivered.
    """
    kinds = (*OPENS.values(), *CLOSES.values())
    found = connection.execute(
        f"SELECT {', '.join(f'n.{name.strip()}' for name in incidents.NOTICE.split(','))}, i.closed_at FROM incident i"  # noqa: S608
        " JOIN notice n ON n.incident_id = i.id JOIN outbox o ON o.notice_id = n.id AND o.channel = ?"
        " WHERE (i.closed_at IS NULL OR i.closed_at >= ?) AND o.state = 'done'"
        f" AND n.kind IN ({', '.join('?' * len(kinds))}) ORDER BY i.opened_at DESC, n.created_at DESC, o.id DESC LIMIT ?",
        (channel, ended_since_ms, *kinds, _MOST),
    ).fetchall()
    newest: dict[str, Notice] = {}
    for row in found:
        # The end of an incident stands before its beginning.
        newest.setdefault(row["incident_id"], incidents.notice(row))
    return list(reversed(newest.values()))
