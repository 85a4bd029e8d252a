"""Copies what a ledger in memory holds into the file, once that can be written again."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from watchdog.domain import notices
from watchdog.domain.states import State
from watchdog.domain.target import Stretch
from watchdog.ledger import essentials, incidents, outbox
from watchdog.ledger.decisions import load_state
from watchdog.ledger.essentials import Essentials
from watchdog.ledger.outbox import Channels

_KEYS = {
    "meta": "key",
    "run": "boot_id",
    "target_state": "target",
    "channel": "channel",
    "pause": "id",
    "announcement": "id",
    "incident": "id",
    "repair": "id",
    "notice": "id",
    "attention": "target, session",
}
_SEVERE = (State.UNKNOWN, State.BLIND)


class Gap(msgspec.Struct, frozen=True):
    """The time without a file: since when (wall ms), why, and what was known of it before.

    ``blank``: the rows of earlier runs were unknown, so the runs meet only in the file.
    """

    since_ms: int
    why: str
    blank: bool


def catch_up(
    memory: sqlite3.Connection,
    file: sqlite3.Connection,
    seed: Essentials,
    gap: Gap,
    *,
    is_new: bool,
    channels: Channels,
    now_ms: int,
) -> None:
    """Copy all rows in one transaction; with ``is_new`` also those of the seed."""
    file.execute("BEGIN IMMEDIATE")
    try:
        if is_new:
            essentials.write(file, seed)
        elif gap.blank:
            _end_earlier_runs(memory, file, gap, channels, now_ms)
        # What was forgotten in memory must not come back.
        file.execute("DELETE FROM attention")
        for table, key in _KEYS.items():
            _upsert(memory, file, table, key)
        _outbox(memory, file)
        _results(memory, file)
        _append(memory, file, "event", _newest(seed, "event"))
        _append(memory, file, "flip", _newest(seed, "flip"))
        _totals(memory, file, seed)
        _stretches(memory, file, seed)
        for (target,) in memory.execute("SELECT target FROM total").fetchall():
            file.execute(
                "INSERT INTO event (target, at, kind, detail) VALUES (?, ?, 'ledger_gap', ?)",
                (target, gap.since_ms, f"{gap.why}, until {now_ms}"),
            )
        file.execute("COMMIT")
    except BaseException:
        if file.in_transaction:
            file.execute("ROLLBACK")
        raise


def _rows(connection: sqlite3.Connection, sql: str, *parameters: object) -> tuple[tuple[str, ...], list[sqlite3.Row]]:
    found = connection.execute(sql, parameters)
    return tuple(column[0] for column in found.description), found.fetchall()


def _upsert(memory: sqlite3.Connection, file: sqlite3.Connection, table: str, key: str) -> None:
    columns, rows = _rows(memory, f"SELECT * FROM {table}")  # noqa: S608
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns if column != key)
    file.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        f" ON CONFLICT ({key}) DO UPDATE SET {updates}",
        [tuple(row) for row in rows],
    )


def _outbox(memory: sqlite3.Connection, file: sqlite3.Connection) -> None:
    """Rows by notice and channel: the numbers of rows differ between the two."""
    columns, rows = _rows(memory, "SELECT * FROM outbox ORDER BY id")
    names = [column for column in columns if column != "id"]
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in ("notice_id", "channel"))
    file.executemany(
        f"INSERT INTO outbox ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        f" ON CONFLICT (notice_id, channel) DO UPDATE SET {updates}",
        [tuple(row[name] for name in names) for row in rows],
    )
    _, deliveries = _rows(
        memory,
        "SELECT d.at, d.duration_ms, d.ok, d.reason, o.notice_id, o.channel FROM delivery d"
        " JOIN outbox o ON o.id = d.outbox_id ORDER BY d.id",
    )
    file.executemany(
        "INSERT INTO delivery (at, duration_ms, ok, reason, outbox_id)"
        " SELECT ?, ?, ?, ?, id FROM outbox WHERE notice_id = ? AND channel = ?",
        [tuple(row) for row in deliveries],
    )


def _results(memory: sqlite3.Connection, file: sqlite3.Connection) -> None:
    columns, rows = _rows(memory, "SELECT * FROM result ORDER BY id")
    names = [column for column in columns if column != "id"]
    sql = f"INSERT INTO result ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    numbers = {row["id"]: file.execute(sql, [row[name] for name in names]).lastrowid for row in rows}
    _, attempts = _rows(memory, "SELECT result_id, number, started_at, duration_ms, outcome, reason FROM attempt")
    file.executemany(
        "INSERT INTO attempt (result_id, number, started_at, duration_ms, outcome, reason) VALUES (?, ?, ?, ?, ?, ?)",
        [(numbers[row["result_id"]], *tuple(row)[1:]) for row in attempts if row["result_id"] in numbers],
    )


def _append(memory: sqlite3.Connection, file: sqlite3.Connection, table: str, after: int) -> None:
    columns, rows = _rows(memory, f"SELECT * FROM {table} WHERE id > ? ORDER BY id", after)  # noqa: S608
    names = [column for column in columns if column != "id"]
    file.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608
        [tuple(row[name] for name in names) for row in rows],
    )


def _newest(seed: Essentials, table: str) -> int:
    return max((int(str(value)) for value in seed[table].values("id")), default=0) if table in seed else 0


def _totals(memory: sqlite3.Connection, file: sqlite3.Connection, seed: Essentials) -> None:
    """What was counted in memory is added; the file may have counted more than the seed knew."""
    names = ("uptime_ms", "pings", "failed_pings")
    before: dict[Any, Any] = {}
    if "total" in seed:
        figures = zip(*(seed["total"].values(name) for name in names), strict=True)
        before = dict(zip(seed["total"].values("target"), figures, strict=True))
    for row in memory.execute("SELECT target, first_started_at, uptime_ms, pings, failed_pings FROM total").fetchall():
        counted = [row[name] - known for name, known in zip(names, before.get(row["target"], (0, 0, 0)), strict=True)]
        file.execute(
            "INSERT INTO total (target, first_started_at, uptime_ms, pings, failed_pings) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (target) DO UPDATE SET uptime_ms = uptime_ms + excluded.uptime_ms,"
            " pings = pings + excluded.pings, failed_pings = failed_pings + excluded.failed_pings",
            (row["target"], row["first_started_at"], *counted),
        )


def _stretches(memory: sqlite3.Connection, file: sqlite3.Connection, seed: Essentials) -> None:
    """From the first difference on, what memory holds replaces what the file holds."""
    known: set[Any] = {tuple(row) for row in seed["stretch"].rows} if "stretch" in seed else set()
    _, rows = _rows(memory, "SELECT id, target, kind, from_at, until_at FROM stretch ORDER BY from_at, id")
    now = {tuple(row) for row in rows}
    differs: dict[str, int] = {}
    for _, target, _, from_at, _ in known ^ now:
        differs[target] = min(from_at, differs.get(target, from_at))
    for target, first in differs.items():
        file.execute("DELETE FROM stretch WHERE target = ? AND from_at >= ?", (target, first))
        file.execute(
            "UPDATE stretch SET until_at = ? WHERE target = ? AND (until_at IS NULL OR until_at > ?)",
            (first, target, first),
        )
        file.executemany(
            "INSERT INTO stretch (target, kind, from_at, until_at) VALUES (?, ?, ?, ?)",
            [tuple(row)[1:] for row in rows if row["target"] == target and row["from_at"] >= first],
        )


def _end_earlier_runs(
    memory: sqlite3.Connection, file: sqlite3.Connection, gap: Gap, channels: Channels, now_ms: int
) -> None:
    """What the file holds is of runs that this one knows nothing of: end what they left open.

    The time between counts as unknown. The end of an incident is sent when the target is well now.
    """
    seen = file.execute("SELECT max(coalesce(ended_at, last_seen_at)) FROM run").fetchone()[0] or gap.since_ms
    seen = min(seen, gap.since_ms)
    file.execute("UPDATE run SET ended_at = last_seen_at WHERE ended_at IS NULL")
    for row in file.execute("SELECT id, target FROM stretch WHERE until_at IS NULL").fetchall():
        file.execute("UPDATE stretch SET until_at = max(from_at, ?) WHERE id = ?", (seen, row["id"]))
        file.execute(
            "INSERT INTO stretch (target, kind, from_at) VALUES (?, ?, ?)", (row["target"], Stretch.UNKNOWN, seen)
        )
    file.execute(
        "UPDATE outbox SET state = 'waiting', leased_until = NULL, due_at = ? WHERE state = 'leased'", (now_ms,)
    )
    for found in incidents.open_incidents(file):
        now = load_state(memory, found.target)
        closed = incidents.close_incident(file, found.id, now_ms, "history_gap")
        if closed is not None and now.incident_of(found.kind) is None and now.state not in _SEVERE:
            outbox.enqueue(file, notices.closed(closed), channels)
