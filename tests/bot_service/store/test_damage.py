"""A database that is damaged while the service runs: found, reported once, final, and never answered as if it were fine."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bot_service import keys
from bot_service.store.damage import StoreDamaged
from bot_service.store.database import Database, StoreRefused, open_database
from tests.support.bot_app import Bot, paired, running
from tests.support.members import members
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = pytest.mark.sqlite

MESSAGE = {"to": "33612345678", "text": "hello"}


async def damage(database: Database, file: Path, table: str) -> None:
    """Overwrite the pages of ``table`` and its indexes in the file; no connection has them in its cache."""
    await database.engine.dispose()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        roots = connection.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = ?", (table,)).fetchall()
    with file.open("r+b") as stream:
        for (root,) in roots:
            stream.seek((root - 1) * size)
            stream.write(b"\xff" * size)


async def by_a_read(bot: Bot) -> None:
    status, problem = await bot.call("GET", "/api/sessions/one/messages")
    assert (status, problem["code"]) == (503, "store_damaged")


async def by_a_write(bot: Bot) -> None:
    status, problem = await bot.call("POST", "/api/sessions/one/messages", MESSAGE)
    assert (status, problem["code"]) == (503, "store_damaged")


async def by_the_hourly_look(bot: Bot) -> None:
    await bot.app[keys.DATABASE].look_for_damage()


@pytest.mark.parametrize("found", members([by_a_read, by_the_hourly_look, by_a_write], first=2))
async def test_damage_is_final_and_reported_once(tmp_path: Path, found: Callable[[Bot], Awaitable[None]]) -> None:
    async with Receiver() as people, running(tmp_path, ALERT_URLS=people.url) as bot:
        await paired(bot, "one")
        assert (await bot.call("POST", "/api/sessions/one/messages", MESSAGE))[0] == 202
        database = bot.app[keys.DATABASE]
        await damage(database, tmp_path / "bot.db", "messages")
        await found(bot)
        alert = (await people.wait_for(lambda body: body["data"].get("kind") == "store_damaged")).json
        assert alert["type"] == "service.alert"
        assert "damaged" in alert["data"]["text"]

        # Other tables are whole, and still nothing counts as fine.
        with pytest.raises(StoreDamaged):
            async with database.write() as connection:
                await connection.execute(sa.text("UPDATE store_checks SET at_ms = 0"))
        for method, path, body in (
            ("POST", "/api/sessions/one/messages", MESSAGE),
            ("POST", "/api/webhooks", {"url": "https://example.org/a", "events": ["message"]}),
            ("POST", "/api/sessions", {"id": "two"}),
        ):
            status, problem = await bot.call(method, path, body)
            assert (status, problem["code"]) == (503, "store_damaged"), path
        status, health = await bot.call("GET", "/health", key=None)
        assert (status, health["reasons"]) == (503, ["store_damaged"])
        assert (await bot.call("GET", "/api/sessions/one"))[1]["state"] == "READY"
        assert [got.json["data"].get("kind") for got in people.requests].count("store_damaged") == 1


async def test_an_alert_about_damage_is_tried_until_it_arrives(tmp_path: Path) -> None:
    async with Receiver() as people, running(tmp_path, ALERT_URLS=people.url) as bot:
        people.answer = lambda _request: (500 if len(people.requests) < 2 else 200, None, {})
        bot.app[keys.DATABASE]._is_damaged("database disk image is malformed")
        await eventually(lambda: len(people.requests) >= 2, what="a second try")
        assert people.requests[0].raw == people.requests[1].raw


async def test_a_whole_database_is_not_called_damaged(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        database = bot.app[keys.DATABASE]
        await database.look_for_damage()
        with suppress(SQLAlchemyError):
            async with database.read() as connection:
                await connection.execute(sa.text("SELECT * FROM no_such_table"))
        assert database.damaged is None
        assert (await bot.call("GET", "/health", key=None))[0] == 200


async def test_the_next_start_refuses_the_damaged_file(tmp_path: Path) -> None:
    async with running(tmp_path) as bot:
        database = bot.app[keys.DATABASE]
        await damage(database, tmp_path / "bot.db", "messages")
        with suppress(SQLAlchemyError):
            await database.look_for_damage()
    with pytest.raises(StoreRefused, match="corrupt"):
        await open_database(f"sqlite:///{tmp_path / 'bot.db'}")
