"""The migrations make the same tables in PostgreSQL as in SQLite; services that start together do not disturb each other."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import bot_service.store
from bot_service.store import leases, schema
from bot_service.store.database import StoreRefused, open_database
from bot_service.store.metadata import metadata
from tests.support import postgresql

for module in pkgutil.iter_modules(bot_service.store.__path__):
    importlib.import_module(f"bot_service.store.{module.name}")  # registers its tables

pytestmark = pytest.mark.postgresql


@pytest.fixture
async def empty() -> AsyncIterator[str]:
    """The URL of a database without tables."""
    yield postgresql.create("empty", empty=True)
    postgresql.drop("empty")


async def test_five_services_that_start_together_on_an_empty_database_all_start(empty: str) -> None:
    databases = await asyncio.gather(*(open_database(empty) for _ in range(5)))

    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with databases[0].read() as connection:
        assert await connection.run_sync(differences) == []
    for database in databases:
        await database.close()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "newer than this program"),
        ("DROP TABLE alembic_version", "tables of an unknown program"),
    ],
)
async def test_a_newer_or_foreign_database_is_refused_and_left_alone(empty: str, statement: str, why: str) -> None:
    await (await open_database(empty)).close()
    postgresql.server().sql(statement, "empty")
    with pytest.raises(StoreRefused, match=why):
        await open_database(empty)
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'messages'"
    assert postgresql.server().sql(tables, "empty") == "1"


async def test_a_database_that_cannot_be_reached_is_refused_without_its_password() -> None:
    server = postgresql.server()
    for address, why in (
        (f"postgresql://ann:pass-word@127.0.0.1:{server.port}/absent?sslmode=disable", "cannot be opened"),
        ("postgresql://ann:pass-word@127.0.0.1:1/absent", "cannot be opened"),
        ("postgresql://ann:pass-word@127.0.0.1:1/absent?sslmode=wrong", "cannot be opened"),
    ):
        with pytest.raises(StoreRefused, match=why) as refused:
            await open_database(address)
        assert "pass-word" not in str(refused.value)


async def test_sessions_of_a_database_without_replicas_get_owners(empty: str) -> None:
    engine = create_async_engine(empty.replace("postgresql://", "postgresql+asyncpg://"))

    def to_0012(connection: Connection) -> None:
        config = schema.config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0012")

    async with engine.begin() as connection:
        await connection.run_sync(to_0012)
        values = {"record": b'{"id":"one","owner":"main","name":"one","created_ms":1}'}
        await connection.execute(
            sa.text(
                "INSERT INTO sessions (id, owner, name, created_ms, wanted, state, reason, record)"
                " VALUES ('one', 'main', 'one', 1, 'run', 'READY', 'synced', :record)"
            ),
            values,
        )
    await engine.dispose()
    database = await open_database(empty)
    async with database.write() as connection:
        await leases.register(connection, "a", url="http://a", version="1", connections="x", ttl_ms=60_000)
        assert await leases.take(connection, "a", runs=True, count=10) == {"one": 1}
    async with database.read() as connection:
        rows, _ = await leases.changes(connection, 0)
    await database.close()
    assert [(change.session, change.holder, change.record is not None) for change in map(leases.change_of, rows)] == [
        ("one", "a", True)
    ]
