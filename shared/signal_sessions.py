"""Forgets the Signal sessions of device stores that come from a backup or from another service.

After the copy a session went on: what it would send now with the old state of its ratchet no phone
can read, and none says so. Without the state the library makes new sessions, which every phone
accepts; what arrives on the old ones is asked for once more. Keys of groups are as old, so those that
the account itself made are forgotten as well.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

_SESSIONS, _SENDER_KEYS, _DEVICE = "whatsmeow_sessions", "whatsmeow_sender_keys", "whatsmeow_device"
# Of bot_service/engines/neonize/ratchet_rollback.py: it would bring a forgotten session back.
_UNDO = "veilleur_undo"


def forget(database: Path) -> int:
    """The number of sessions forgotten; 0 for a database that is no device store. No program has it open."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {_SESSIONS, _SENDER_KEYS, _DEVICE} <= tables:
            return 0
        for address in _own_addresses(db):
            # The library writes a sender as user, user:device or user_agent:device.
            for pattern in (address, f"{address}:%", rf"{address}\_%"):
                db.execute(rf"DELETE FROM {_SENDER_KEYS} WHERE sender_id LIKE ? ESCAPE '\'", (pattern,))  # noqa: S608  constants
        if _UNDO in tables:
            db.execute(f"DELETE FROM {_UNDO}")  # noqa: S608  a constant
        return db.execute(f"DELETE FROM {_SESSIONS}").rowcount  # noqa: S608  a constant


def _own_addresses(db: sqlite3.Connection) -> set[str]:
    """The users, without their device, that the account is in messages."""
    found = db.execute(f"SELECT jid, lid FROM {_DEVICE}")  # noqa: S608  a constant
    return {str(jid).partition("@")[0].partition(":")[0].partition(".")[0] for row in found for jid in row if jid}
