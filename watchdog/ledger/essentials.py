"""The rows that decisions and alerts need, copied from one ledger into another.

They are what a ledger in memory begins with when the file cannot be written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

import msgspec

REPAIRS_MS = 2 * 86_400_000
_LATE_STRETCHES = 50
_ALL_STRETCHES = 20_000


class Table(msgspec.Struct, frozen=True):
    """Rows of one table, with the names of their columns."""

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]

    def values(self, column: str) -> list[object]:
        """The values of one column."""
        at = self.columns.index(column)
        return [row[at] for row in self.rows]


_ORDER = (
    "meta",
    "target_state",
    "channel",
    "total",
    "run",
    "pause",
    "announcement",
    "incident",
    "notice",
    "outbox",
    "repair",
    "stretch",
    "flip",
    "attention",
)
# Tables by name, in an order in which they can be inserted.
Essentials = Mapping[str, Table]


def read(connection: sqlite3.Connection, now_ms: int, *, history: bool) -> Essentials:
    """What is open or recent; with ``history`` also what the status page shows of the past."""
    return {table: _table(connection, sql, parameters) for table, sql, parameters in _queries(now_ms, history)}


def salvage(connection: sqlite3.Connection, now_ms: int, copy: Essentials) -> Essentials:
    """:func:`read` with history of a file that may be damaged: what a table no longer gives, ``copy`` has."""
    found = dict(copy)
    lost = set()
    for table, sql, parameters in _queries(now_ms, history=True):
        try:
            found[table] = _table(connection, sql, parameters)
        except sqlite3.Error:
            lost.add(table)
    if lost & {"notice", "outbox"}:
        # A row of the outbox needs its notice: both from one source.
        for table in ("notice", "outbox"):
            found.pop(table, None)
            if table in copy:
                found[table] = copy[table]
    return {table: found[table] for table in _ORDER if table in found}


def _queries(now_ms: int, history: bool) -> Iterator[tuple[str, str, tuple[object, ...]]]:
    notices = (
        "SELECT id FROM notice WHERE id IN (SELECT notice_id FROM outbox WHERE state IN ('waiting', 'leased')"
        " ORDER BY due_at DESC LIMIT 500)"
        " OR incident_id IN (SELECT id FROM incident WHERE closed_at IS NULL)"
    )
    if history:
        notices += " OR id IN (SELECT id FROM notice ORDER BY created_at DESC LIMIT 100)"
    for table in ("meta", "target_state", "channel", "total", "attention"):
        yield table, f"SELECT * FROM {table}", ()  # noqa: S608
    yield "run", "SELECT * FROM run ORDER BY started_at DESC LIMIT 3", ()
    yield "pause", "SELECT * FROM pause WHERE until_at > ?", (now_ms,)
    shown = "ended_at IS NULL AND (until_at IS NULL OR until_at > ?)"
    yield "announcement", f"SELECT * FROM announcement WHERE {shown}", (now_ms,)  # noqa: S608
    some = "SELECT id FROM incident ORDER BY opened_at DESC LIMIT 200"
    more = f" OR id IN ({some})" if history else ""
    yield "incident", f"SELECT * FROM incident WHERE closed_at IS NULL{more}", ()  # noqa: S608
    yield "notice", f"SELECT * FROM notice WHERE id IN ({notices})", ()  # noqa: S608
    yield "outbox", f"SELECT * FROM outbox WHERE notice_id IN ({notices})", ()  # noqa: S608
    yield "repair", "SELECT * FROM repair WHERE decided_at > ?", (now_ms - REPAIRS_MS,)
    yield "stretch", _latest_of_each_target("stretch", "from_at", _ALL_STRETCHES if history else _LATE_STRETCHES), ()
    if history:
        yield "flip", _latest_of_each_target("flip", "at", 50), ()


def _latest_of_each_target(table: str, by: str, most: int) -> str:
    mine = f"SELECT id FROM {table} WHERE target = total.target ORDER BY {by} DESC LIMIT {most}"  # noqa: S608
    return f"SELECT row.* FROM total JOIN {table} row ON row.id IN ({mine})"  # noqa: S608


def _table(connection: sqlite3.Connection, sql: str, parameters: tuple[object, ...]) -> Table:
    found = connection.execute(sql, parameters)
    columns = tuple(column[0] for column in found.description)
    return Table(columns, [tuple(row) for row in found])


def write(connection: sqlite3.Connection, known: Essentials) -> None:
    """Insert ``known``; rows that are there stay as they are. In a running transaction."""
    for name, table in known.items():
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(
            f"INSERT OR IGNORE INTO {name} ({', '.join(table.columns)}) VALUES ({marks})",  # noqa: S608
            table.rows,
        )
