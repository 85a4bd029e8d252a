"""Rolls a ratchet back by one message after a kill, so that its redelivery is readable.

Triggers in the library's SQLite file keep the last old rows with the time of their change. At the
next start, when the marks name an unfinished message, every row that changed since then goes back:
unless something was sent on that session (a sending chain must never go back), or more rows changed
than are kept. The account's own sender keys are never changed.

Run it only while the library does not have the file open in this process: two SQLite libraries in
one process do not see each other's locks. The command
`python -m bot_service.engines.neonize.ratchet_rollback FILE [MESSAGE_ID AT_MS]` runs it apart.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from enum import StrEnum
from functools import partial
from itertools import pairwise
from pathlib import Path

from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.ratchet_record import only_received

KEPT_ROWS = 24
BUSY_S = 5.0
NOW_MS = "CAST(strftime('%s','now') AS INTEGER)*1000 + CAST(substr(strftime('%f','now'),4) AS INTEGER)"
PRUNE = "DELETE FROM veilleur_undo WHERE seq <= (SELECT max(seq) FROM veilleur_undo) - 24"  # KEPT_ROWS
SESSIONS, SENDER_KEYS, PRE_KEYS = "whatsmeow_sessions", "whatsmeow_sender_keys", "whatsmeow_pre_keys"


class RollbackResult(StrEnum):
    """The result for an unfinished message."""

    NOTHING = "nothing"  # its ratchet step was never taken: redelivery is read as it is
    BACK = "back"  # the step was taken back: redelivery is read
    SENT_BETWEEN = "sent_between"  # something was sent on that session: the message may be lost
    TOO_MUCH = "too_much"  # more was changed than is kept: the message may be lost


def _trigger(name: str, when: str, table: str, columns: str) -> str:
    keep = f"INSERT INTO veilleur_undo (at_ms, tab, k1, k2, k3, old) VALUES ({NOW_MS}, '{table}', {columns})"  # noqa: S608  constants
    return f"CREATE TRIGGER IF NOT EXISTS veilleur_{name} AFTER {when} ON {table} BEGIN {keep}; {PRUNE}; END"


SCHEMA = (
    """CREATE TABLE IF NOT EXISTS veilleur_undo
    (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, tab TEXT NOT NULL, k1 TEXT, k2 TEXT, k3 TEXT, old BLOB)""",
    _trigger("session_new", "INSERT", SESSIONS, "new.our_jid, new.their_id, NULL, NULL"),
    _trigger("session_moved", "UPDATE", SESSIONS, "old.our_jid, old.their_id, NULL, old.session"),
    _trigger("sender_key_new", "INSERT", SENDER_KEYS, "new.our_jid, new.chat_id, new.sender_id, NULL"),
    _trigger("sender_key_moved", "UPDATE", SENDER_KEYS, "old.our_jid, old.chat_id, old.sender_id, old.sender_key"),
    _trigger("pre_key_used", "DELETE", PRE_KEYS, "old.jid, old.key_id, old.uploaded, old.key"),
)


def prepare(store: Path, unfinished: DecryptMark | None) -> RollbackResult:
    """Rolls the unfinished message back, if any, and renews the triggers.

    Raises ``sqlite3.Error``.
    """
    if store.stat().st_size == 0:
        return RollbackResult.NOTHING
    with closing(sqlite3.connect(store, timeout=BUSY_S, isolation_level=None)) as db:
        known = db.execute("SELECT count(*) FROM sqlite_master WHERE name IN (?, ?)", (SESSIONS, PRE_KEYS)).fetchone()
        if known[0] < 2:
            return RollbackResult.NOTHING
        db.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            db.execute(statement)
        outcome = _undo(db, unfinished) if unfinished is not None else RollbackResult.NOTHING
        db.execute("DELETE FROM veilleur_undo")
        db.execute("COMMIT")
    return outcome


def _undo(db: sqlite3.Connection, unfinished: DecryptMark) -> RollbackResult:
    rows = db.execute(
        "SELECT tab, k1, k2, k3, old FROM veilleur_undo WHERE at_ms >= ? ORDER BY seq", (unfinished.at_ms,)
    ).fetchall()
    if len(rows) >= KEPT_ROWS:
        return RollbackResult.TOO_MUCH
    outcome, back = plan(rows, _own_users(db), partial(_session_now, db))
    for table, key, old in back:
        _put_back(db, table, key, old)
    return outcome


def plan(
    rows: Iterable[tuple[str, str, str, str, bytes | None]],
    own: Collection[str],
    session_now: Callable[[str, str], bytes | None],
) -> tuple[RollbackResult, list[tuple[str, tuple[str, str, str], bytes | None]]]:
    """What is put back of the old ``rows``, in their order: the table, the key, and the old value or None.

    ``own`` are the users of this account, ``session_now`` reads a session as it is.
    """
    before: dict[tuple[str, str, str, str], list[bytes | None]] = {}
    for table, k1, k2, k3, old in rows:
        before.setdefault((table, k1, k2, k3), []).append(old)
    if not before:
        return RollbackResult.NOTHING, []
    back, kept = [], 0
    for (table, k1, k2, k3), olds in before.items():
        if table == SENDER_KEYS and k3.replace("_", ":").split(":")[0] in own:
            continue
        if table == SESSIONS and not _may_go_back(session_now(k1, k2), olds):
            kept += 1
            continue
        back.append((table, (k1, k2, k3), olds[0]))
    if kept and (not back or _is_receiving_kept(before)):
        return RollbackResult.SENT_BETWEEN, back
    return RollbackResult.BACK, back


def _is_receiving_kept(before: Iterable[tuple[str, str, str, str]]) -> bool:
    # With a group message the sender key went back although a session did not: it is readable
    # again.
    return not any(table == SENDER_KEYS for table, *_ in before)


def _session_now(db: sqlite3.Connection, our_jid: str, their_id: str) -> bytes | None:
    query = "SELECT session FROM whatsmeow_sessions WHERE our_jid=? AND their_id=?"
    row = db.execute(query, (our_jid, their_id)).fetchone()
    return row[0] if row is not None else None


def _may_go_back(now: bytes | None, olds: list[bytes | None]) -> bool:
    if now is None:
        return False
    steps = [*olds, now]
    try:
        return all(after is not None and only_received(before, after) for before, after in pairwise(steps))
    except ValueError:
        return False


_UPDATE = {
    SESSIONS: "UPDATE whatsmeow_sessions SET session=? WHERE our_jid=? AND their_id=?",
    SENDER_KEYS: "UPDATE whatsmeow_sender_keys SET sender_key=? WHERE our_jid=? AND chat_id=? AND sender_id=?",
}
_DELETE = {
    SESSIONS: "DELETE FROM whatsmeow_sessions WHERE our_jid=? AND their_id=?",
    SENDER_KEYS: "DELETE FROM whatsmeow_sender_keys WHERE our_jid=? AND chat_id=? AND sender_id=?",
}
_RETURN_KEY = "INSERT OR IGNORE INTO whatsmeow_pre_keys (jid, key_id, uploaded, key) VALUES (?, ?, ?, ?)"


def _put_back(db: sqlite3.Connection, table: str, key: tuple[str, str, str], old: bytes | None) -> None:
    if table == PRE_KEYS:
        db.execute(_RETURN_KEY, (key[0], int(key[1]), int(key[2]), old))
        return
    where = key if table == SENDER_KEYS else key[:2]
    if old is None:
        db.execute(_DELETE[table], where)
    else:
        db.execute(_UPDATE[table], (old, *where))


def _own_users(db: sqlite3.Connection) -> set[str]:
    return users_of(address for row in db.execute("SELECT jid, lid FROM whatsmeow_device") for address in row)


def users_of(addresses: Iterable[str | None]) -> set[str]:
    """The users of addresses with and without a device."""
    return {str(address).split("@")[0].split(":")[0] for address in addresses if address}


def main(argv: list[str]) -> int:
    unfinished = DecryptMark(argv[1], int(argv[2])) if len(argv) > 2 else None
    sys.stdout.write(prepare(Path(argv[0]), unfinished).value)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
