"""Damage of an SQLite store: recognized in every error of the driver, and looked for every hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.sqlite_readonly import open_readonly

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StoreDamaged(SQLAlchemyError):
    """The database is damaged: nothing more is written until a restart with a whole one."""


def report_damage(engine: Engine, damaged: Callable[[str], None]) -> None:
    """Call ``damaged(reason)`` for every error of ``engine`` that says so."""

    def on_error(context: Any) -> None:
        reason = reason_of(context.original_exception)
        if reason is not None:
            damaged(reason)

    event.listen(engine, "handle_error", on_error)


def reason_of(error: BaseException | None) -> str | None:
    """SQLite's words when ``error``, or what caused it, says that the file is damaged."""
    while error is not None:
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            return str(error)
        error = error.__cause__
    return None


def look(file: Path) -> str | None:
    """Blocks: read all of ``file``. What is wrong with it, or None; also None when it cannot be read now."""
    try:
        with open_readonly(file, timeout_s=5) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return reason_of(error)
    return None if found == "ok" else found
