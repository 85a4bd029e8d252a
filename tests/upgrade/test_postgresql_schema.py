"""The migrations make the same tables in PostgreSQL as in SQLite; services that start together do not disturb each other."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import bot_service.store
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
