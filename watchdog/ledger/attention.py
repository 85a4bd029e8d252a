"""Which sessions that need a person were reported, so that no restart reports them again.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from shared.contract.attention import Attention, NeedEntry
from watchdog.domain.states import Notice
from watchdog.ledger import outbox
from watchdog.ledger.outbox import Channels

BOT = "bot"


class Unreported(msgspec.Struct, frozen=True):
    """Sessions to report: those that need a person, and those that work again."""

    opened: tuple[NeedEntry, ...] = ()
    over: tuple[NeedEntry, ...] = ()


def compare(connection: sqlite3.Connection, target: str, found: Attention) -> Unreported:
    """What is still to report of ``found``; forgets sessions that ended without a notice.

    The bot's own notices cover the sessions that it names as its own. One that a watchdog reported
    is only missing here when the ledger was lost: it is adopted without a notice.
    """
    known = dict(connection.execute("SELECT session, since FROM attention WHERE target = ?", (target,)).fetchall())
    present = {entry.session for entry in found.sessions}
    _forget(connection, target, [session for session in known if session not in present])
    opened, over = [], []
    for entry in found.sessions:
        reported = known.get(entry.session) == entry.since_ms
        if entry.over and reported and entry.voice != BOT:
            over.append(entry)
        elif not entry.over and not reported and entry.voice == "":
            opened.append(entry)
        elif not entry.over and not reported and entry.voice != BOT:
            _remember(connection, target, [entry])
    return Unreported(tuple(opened), tuple(over))


def report_opened(
    connection: sqlite3.Connection, target: str, entries: Sequence[NeedEntry], notice: Notice, channels: Channels
) -> None:
    """Enqueue ``notice`` about the beginning of ``entries``."""
    _remember(connection, target, entries)
    outbox.enqueue(connection, notice, channels)


def report_over(
    connection: sqlite3.Connection, target: str, entries: Sequence[NeedEntry], notice: Notice, channels: Channels
) -> None:
    """Enqueue ``notice`` about the end of ``entries``."""
    _forget(connection, target, [entry.session for entry in entries])
    outbox.enqueue(connection, notice, channels)


def _remember(connection: sqlite3.Connection, target: str, entries: Sequence[NeedEntry]) -> None:
    connection.executemany(
        "INSERT INTO attention (target, session, since) VALUES (?, ?, ?)"
        " ON CONFLICT (target, session) DO UPDATE SET since = excluded.since",
        [(target, entry.session, entry.since_ms) for entry in entries],
    )


def _forget(connection: sqlite3.Connection, target: str, sessions: Sequence[str]) -> None:
    connection.executemany(
        "DELETE FROM attention WHERE target = ? AND session = ?", [(target, session) for session in sessions]
    )
