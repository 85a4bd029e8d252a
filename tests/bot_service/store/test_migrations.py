"""The migrations make exactly the tables that the queries know, from nothing and from every older schema with its rows."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

import bot_service.store
from bot_service.store import deliveries, lids, messages, schema, webhook_health
from bot_service.store.database import StoreRefused, open_database
from bot_service.store.deliveries import DeliveryResult
from bot_service.store.metadata import metadata
from bot_service.webhooks.call import Attempt
from bot_service.webhooks.tries import tries_of, with_try
from tests.support.processes import ROOT

pytestmark = pytest.mark.sqlite

for module in pkgutil.iter_modules(bot_service.store.__path__):
    importlib.import_module(f"bot_service.store.{module.name}")  # registers its tables


def revisions() -> list[str]:
    """Oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(schema.config()).walk_revisions()][::-1]


def upgrade(file: Path, revision: str) -> None:
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config = schema.config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_the_newest_revision_is_read_from_the_names_of_the_files() -> None:
    assert schema.newest() == revisions()[-1]
    assert all(schema.known(revision) for revision in revisions())
    assert not schema.known("9999")


async def test_a_store_of_the_newest_schema_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    await (await open_database(url)).close()
    code = (
        "import asyncio, sys\n"
        "from bot_service.store.database import open_database\n"
        f"asyncio.run(open_database({url!r}))\n"
        "sys.exit('alembic' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 0


async def test_the_newest_schema_is_the_one_of_the_queries(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'bot.db'}")

    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.read() as connection:
        found = await connection.run_sync(differences)
    await database.close()

    assert found == []


@pytest.mark.parametrize("revision", revisions()[:-1])
async def test_a_store_of_an_older_version_is_brought_up_with_its_sessions(tmp_path: Path, revision: str) -> None:
    file = tmp_path / "bot.db"
    upgrade(file, revision)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "INSERT INTO sessions (id, owner, name, created_ms, wanted, state, reason, record)"
            " VALUES ('one', 'main', 'one', 1, 'run', 'READY', 'synced', X'7B7D')"
        )
    connection.close()
    database = await open_database(f"sqlite:///{file}")
    await database.close()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (revisions()[-1],)
        assert connection.execute("SELECT id FROM sessions").fetchone() == ("one",)
        assert connection.execute("SELECT count(*) FROM patterns").fetchone() == (0,)
    connection.close()


async def test_webhooks_of_an_older_version_get_events_as_before(tmp_path: Path) -> None:
    file = tmp_path / "bot.db"
    upgrade(file, "0009")
    with sqlite3.connect(file) as connection:
        connection.execute(
            "INSERT INTO webhooks (id, owner, url, secret, events, active, created_ms, updated_ms)"
            " VALUES ('wh-1', 'main', 'https://shop.example.com', 'whsec_', '[\"*\"]', 1, 1, 1)"
        )
    connection.close()
    database = await open_database(f"sqlite:///{file}")
    async with database.read() as reading:
        (webhook,) = await deliveries.all_webhooks(reading)
    await database.close()
    assert (webhook.id, webhook.dialect, webhook.options) == ("wh-1", None, None)


async def test_webhooks_and_deliveries_of_an_older_version_go_on_and_get_attempts(tmp_path: Path) -> None:
    file = tmp_path / "bot.db"
    upgrade(file, "0011")
    with sqlite3.connect(file) as connection:
        connection.execute(
            "INSERT INTO webhooks (id, owner, url, secret, events, active, created_ms, updated_ms)"
            " VALUES ('wh-1', 'main', 'https://shop.example.com', 'whsec_', '[\"*\"]', 1, 1, 1)"
        )
        connection.execute(
            "INSERT INTO webhook_outbox (webhook, event, lane, type, state, created_ms, attempts, next_ms, body)"
            " VALUES ('wh-1', 'E1', 'one', 'message', 'pending', 1, 2, 1, X'7B7D')"
        )
    connection.close()
    database = await open_database(f"sqlite:///{file}")
    async with database.write() as writing:
        (webhook,) = await deliveries.all_webhooks(writing)
        assert (webhook.headers, webhook.old_secret, webhook.old_secret_until_ms) == ({}, None, None)
        (row,) = await deliveries.in_lane(writing, "wh-1", "one", "", 9)
        assert (row.attempts, row.tries) == (2, None)
        tried = with_try(row, Attempt(500, "http_500"), 2, 1)
        result = DeliveryResult("wh-1", "E1", "aside", 3, 3, 500, "http_500", None, tried.tries)
        await deliveries.record(writing, [result])
    async with database.read() as reading:
        found = await deliveries.get(reading, "wh-1", "E1")
        assert await webhook_health.of(reading, ["wh-1"]) == {}
    await database.close()
    assert found is not None
    assert [each.status for each in tries_of(found)] == [500]


async def test_messages_of_an_older_version_move_to_one_chat_when_the_number_is_known(tmp_path: Path) -> None:
    file = tmp_path / "bot.db"
    upgrade(file, "0010")
    with sqlite3.connect(file) as connection:
        connection.execute(
            "INSERT INTO messages (session, chat, message_id, direction, type, at_ms, stored_ms, state, state_ms, duplicates,"
            " body) VALUES ('one', '84@lid', 'M1', 'in', 'text', 1, 1, 'received', 1, 0, X'7B7D')"
        )
    connection.close()
    database = await open_database(f"sqlite:///{file}")
    async with database.write() as writing:
        await lids.put(writing, "one", "84@lid", "33@s.whatsapp.net")
    async with database.read() as reading:
        (message,) = await messages.page(reading, "one", limit=10)
    await database.close()
    assert message.chat == "33@s.whatsapp.net"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "newer than this program"),
        ("DROP TABLE alembic_version", "tables of an unknown program"),
    ],
)
async def test_a_store_that_is_refused_is_left_as_it_was_with_nothing_beside_it(
    tmp_path: Path, statement: str, why: str
) -> None:
    file = tmp_path / "bot.db"
    await (await open_database(f"sqlite:///{file}")).close()
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreRefused, match=why):
        await open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["bot.db"]


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bot.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(StoreRefused, match="tables of an unknown program"):
        await open_database(f"sqlite:///{file}")


async def test_the_log_that_a_killed_program_left_is_read_before_the_store_is_judged(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'bot.db'}")
    with sqlite3.connect(tmp_path / "bot.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("bot.db", "bot.db-wal"):
        (killed / name).write_bytes((tmp_path / name).read_bytes())
    connection.close()
    await database.close()
    with pytest.raises(StoreRefused, match="newer than this program"):
        await open_database(f"sqlite:///{killed / 'bot.db'}")
