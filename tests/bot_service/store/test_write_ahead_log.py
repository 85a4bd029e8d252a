"""The write-ahead log of the store does not stay as long as the largest burst made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot_service.store.database import WAL_LIMIT_BYTES, open_database

pytestmark = pytest.mark.sqlite


async def test_the_write_ahead_log_is_short_again_after_a_burst(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'bot.db'}")
    log = tmp_path / "bot.db-wal"
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE burst (b BLOB)")
        await connection.exec_driver_sql("INSERT INTO burst VALUES (zeroblob(12000000))")
    assert log.stat().st_size > 12_000_000
    for _ in range(3):
        async with database.write() as connection:
            await connection.exec_driver_sql("INSERT INTO burst VALUES (1)")
    assert log.stat().st_size <= WAL_LIMIT_BYTES
    await database.close()
