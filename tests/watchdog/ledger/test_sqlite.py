"""The ledger opens, refuses what it cannot use without touching it, and writes whole transactions or nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.memory_ledger import open_in_memory
from watchdog.ledger.sqlite import LedgerRefused, open_ledger
from watchdog.ledger.storage import WAL_LIMIT_BYTES


async def test_a_new_ledger_is_made_in_wal_mode_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "watchdog.db"
    ledger = open_ledger(path)
    await ledger.write(lambda c: c.execute("INSERT INTO meta VALUES ('a', 'b')"))
    mode = await ledger.read(lambda c: c.execute("PRAGMA journal_mode").fetchone()[0])
    ledger.close()
    again = open_ledger(path)
    value = await again.read(lambda c: c.execute("SELECT value FROM meta WHERE key = 'a'").fetchone()[0])
    again.close()
    assert (mode, value) == ("wal", "b")


async def test_a_write_that_raises_leaves_nothing_behind_and_the_next_one_works(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "w.db")

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('half', '1')")
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        await ledger.write(half)
    await ledger.write(lambda c: c.execute("INSERT INTO meta VALUES ('whole', '1')"))
    keys = await ledger.read(lambda c: [row["key"] for row in c.execute("SELECT key FROM meta")])
    ledger.close()
    assert keys == ["whole"]


async def test_the_reading_side_cannot_write(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "w.db")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await ledger.read(lambda c: c.execute("INSERT INTO meta VALUES ('x', 'y')"))
    ledger.close()


def test_a_newer_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "watchdog.db"
    open_ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(LedgerRefused, match="newer version"):
        open_ledger(path)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"watchdog.db", "watchdog.db.lock"}, (
        "nothing was left beside it"
    )


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "watchdog.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(LedgerRefused, match="not a ledger"):
        open_ledger(path)


def test_a_second_watchdog_on_the_same_ledger_is_refused(tmp_path: Path) -> None:
    first = open_ledger(tmp_path / "watchdog.db")
    with pytest.raises(LedgerRefused, match="in use by another watchdog"):
        open_ledger(tmp_path / "watchdog.db")
    first.close()
    open_ledger(tmp_path / "watchdog.db").close()


async def test_a_ledger_in_memory_behaves_the_same() -> None:
    ledger = open_in_memory()
    await ledger.write(lambda c: c.execute("INSERT INTO meta VALUES ('a', 'b')"))
    assert await ledger.read(lambda c: c.execute("SELECT count(*) FROM meta").fetchone()[0]) == 1
    ledger.close()


async def test_only_a_durable_write_waits_for_the_disk(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "watchdog.db")

    def level(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    normal, full = 1, 2
    assert await ledger.write(level) == full
    assert await ledger.write(level, durable=False) == normal
    assert await ledger.write(level) == full
    ledger.close()


async def test_the_write_ahead_log_is_short_again_after_a_burst(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "watchdog.db")
    log = tmp_path / "watchdog.db-wal"
    await ledger.write(lambda c: c.execute("CREATE TABLE burst (b BLOB)"))
    await ledger.write(lambda c: c.execute("INSERT INTO burst VALUES (zeroblob(12000000))"))
    assert log.stat().st_size > 12_000_000
    for _ in range(3):
        await ledger.write(lambda c: c.execute("INSERT INTO burst VALUES (1)"))
    assert log.stat().st_size <= WAL_LIMIT_BYTES
    ledger.close()
