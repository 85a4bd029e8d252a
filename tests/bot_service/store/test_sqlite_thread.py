"""The connection below SQLAlchemy: one trip for a statement, and the errors, counts and rows of the real thing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot_service.store import sqlite_thread
from bot_service.store.database import Database, open_database

pytestmark = pytest.mark.sqlite

TABLE = sa.table("journal_positions", sa.column("file"), sa.column("position"), sa.column("updated_ms"))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    database = await open_database(f"sqlite:///{folder / 'bot.db'}")
    try:
        yield database
    finally:
        await database.close()


async def files(database: Database) -> list[str]:
    async with database.read() as connection:
        return [row[0] for row in await connection.execute(sa.select(TABLE.c.file).order_by(TABLE.c.file))]


def row(file: str) -> dict[str, object]:
    return {"file": file, "position": 1, "updated_ms": 1}


async def test_rows_counts_and_returned_rows_are_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        async with database.write() as connection:
            await connection.execute(sa.insert(TABLE), [row("a"), row("b"), row("c")])
            changed = await connection.execute(sa.update(TABLE).where(TABLE.c.file != "a").values(position=2))
            assert changed.rowcount == 2
            moved = await connection.execute(sa.update(TABLE).values(position=3).returning(TABLE.c.file))
            assert sorted(moved.scalars()) == ["a", "b", "c"]
            nothing = await connection.execute(sa.select(TABLE.c.file).where(TABLE.c.file == "x"))
            assert nothing.first() is None
        assert await files(database) == ["a", "b", "c"]


async def test_an_error_rolls_back_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        for _ in range(6):  # more often than there are connections
            with pytest.raises(sa.exc.IntegrityError):
                async with database.write() as connection:
                    await connection.execute(sa.insert(TABLE), [row("a")])
                    await connection.execute(sa.insert(TABLE), [row("a")])
        assert await files(database) == []
        async with database.write() as connection:
            await connection.execute(sa.insert(TABLE), [row("a")])
        assert await files(database) == ["a"]


async def test_who_goes_away_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        wrote = asyncio.Event()

        async def write_and_wait() -> None:
            async with database.write() as connection:
                await connection.execute(sa.insert(TABLE), [row("a")])
                wrote.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write_and_wait())
        await wrote.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with database.write() as connection:
            await connection.execute(sa.insert(TABLE), [row("b")])
        assert await files(database) == ["b"]


async def test_a_statement_is_one_trip_and_a_rollback_of_nothing_none(tmp_path: Path) -> None:
    connection = await sqlite_thread.connect(tmp_path / "one.db")
    trips = 0
    real = connection.do

    async def counted(work: object) -> object:
        nonlocal trips
        trips += 1
        return await real(work)  # type: ignore[arg-type]

    connection.do = counted  # type: ignore[method-assign,assignment]
    statement = connection.cursor()
    await statement.execute("SELECT 1 UNION SELECT 2")
    assert [tuple(each) for each in await statement.fetchall()] == [(1,), (2,)]
    await statement.close()
    await connection.rollback()
    assert trips == 1
    await connection.close()


async def test_a_file_that_cannot_be_opened_is_an_error_and_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await sqlite_thread.connect(tmp_path / "missing" / "one.db")
