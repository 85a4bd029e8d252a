"""What a replica asks its PostgreSQL and its pooler before it uses devices there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bot_service.replicas import device_store
from bot_service.store.database import StoreRefused, application_names, lease_database
from shared.settings import SettingsError
from tests.support import pgbouncer, postgresql
from tests.support.pgbouncer import PgBouncer
from tests.support.ports import free_port
from tests.support.postgresql import PostgreSQL
from tests.support.waiting import eventually

pytestmark = postgresql.needed()


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    started = PostgreSQL()
    yield started
    started.close()


@pytest.mark.parametrize(
    ("standbys", "commit", "runs"),
    [("", "on", False), ("second", "on", True), ("second", "remote_write", True), ("second", "local", False)],
)
async def test_a_replica_needs_a_synchronous_standby(
    server: PostgreSQL, standbys: str, commit: str, runs: bool
) -> None:
    server.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
    server.sql(f"ALTER SYSTEM SET synchronous_commit = '{commit}'")
    server.sql("SELECT pg_reload_conf()")
    await eventually(lambda: server.sql("SHOW synchronous_commit") == commit, what="the new settings")
    database = lease_database(server.url(), "test")
    try:
        await device_store.check(database, None, asynchronous=True)
        if runs:
            await device_store.check(database, None, asynchronous=False)
        else:
            with pytest.raises(SettingsError, match="DEVICE_STORE_ASYNC: this PostgreSQL has no synchronous standby"):
                await device_store.check(database, None, asynchronous=False)
    finally:
        await database.close()


@pgbouncer.needed()
async def test_the_names_of_clients_arrive_through_the_pooler(server: PostgreSQL) -> None:
    pooler = PgBouncer(server, "postgres", pool=1)
    database = lease_database(server.url(), "test")
    try:
        assert await application_names(pooler.url, device_store.NAMES) == list(device_store.NAMES)
        await device_store.check(database, pooler.url, asynchronous=True)
        nothing = pooler.url.replace(str(pooler.port), str(free_port()))
        with pytest.raises(StoreRefused, match="The device store does not answer"):
            await device_store.check(database, nothing, asynchronous=True)
    finally:
        await database.close()
        pooler.close()
