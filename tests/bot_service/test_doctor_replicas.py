"""``veilleur doctor`` for replicas: each fault of their surroundings is named, with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from bot_service import doctor_replicas
from bot_service.replicas import same_secrets
from bot_service.settings import BotSettings
from bot_service.store import leases
from bot_service.store.database import open_database
from shared.doctor import Check, CheckStatus, Context
from shared.settings import Secret, load
from tests.support import pgbouncer, postgresql
from tests.support.pgbouncer import PgBouncer
from tests.support.ports import free_port
from tests.support.postgresql import PostgreSQL
from tests.support.processes import API_KEY, WATCHDOG_TOKEN

pytestmark = postgresql.needed()

OWN, OTHER = "http://bot-1:3000", "http://bot-2:3000"


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    started = PostgreSQL()
    yield started
    started.close()


def found(url: str, answers: dict[str, int] | None = None, **env: str) -> dict[str, Check]:
    """The checks by name; ``answers`` are those of ``/livez`` by address."""

    def fetch(asked: str) -> tuple[int, Any, str | None]:
        status = (answers or {}).get(asked.removesuffix("/livez"))
        if status is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return status, None, None

    given = {
        "DATABASE_URL": url, "POSTGRESQL_PREVIEW": "true", "REPLICA_URL": OWN, "BOT_API_KEY": API_KEY,
        "WATCHDOG_TOKEN": WATCHDOG_TOKEN, **env,
    }  # fmt: skip
    settings = load(BotSettings, given)
    checks = list(doctor_replicas.checks(settings, Context(given, "", "", fetch)))
    assert all(check.todo for check in checks if check.verdict in (CheckStatus.FAILED, CheckStatus.WARNING))
    return {check.name: check for check in checks}


async def register(url: str, **secrets: str) -> None:
    """A living replica for each address, with the administrator's key given."""
    database = await open_database(url)
    async with database.write() as connection:
        for number, (address, key) in enumerate(secrets.items()):
            digest = same_secrets.digest(Secret(key), Secret(WATCHDOG_TOKEN))
            await leases.register(
                connection, str(number), url=address, version="1", connections="none", ttl_ms=60_000, secrets=digest
            )
    await database.close()


def verdicts(checks: dict[str, Check]) -> dict[str, str]:
    return {name: str(check.verdict) for name, check in checks.items()}


def test_a_server_that_is_away_is_one_finding_and_no_traceback() -> None:
    checks = found(f"postgresql://veilleur@127.0.0.1:{free_port()}/veilleur")
    assert checks["PostgreSQL"].verdict is CheckStatus.FAILED
    assert "DATABASE_URL" in checks["PostgreSQL"].todo


def test_before_the_first_start_only_what_is_there_is_looked_at(server: PostgreSQL) -> None:
    checks = found(server.url(), ENGINE="neonize")
    assert verdicts(checks) == {
        "PostgreSQL": "ok", "clock": "ok", "synchronous standby": "failed", "replicas": "info",
        "files of messages": "info",
    }  # fmt: skip
    checks = found(server.url(), DEVICE_STORE_ASYNC="accept")
    assert checks["synchronous standby"].verdict is CheckStatus.INFO


def test_other_replicas_have_to_answer_and_to_have_the_same_secrets(server: PostgreSQL) -> None:
    asyncio.run(register(server.url(), **{OWN: API_KEY, OTHER: API_KEY}))
    both = {OWN: 200, OTHER: 200}
    checks = found(server.url(), both, ENGINE="simulator")
    assert {name: checks[name].verdict for name in ("same secrets", "REPLICA_URL", f"replica {OTHER}")} == {
        "same secrets": CheckStatus.OK, "REPLICA_URL": CheckStatus.OK, f"replica {OTHER}": CheckStatus.OK,
    }  # fmt: skip
    checks = found(server.url(), {OWN: 200}, BOT_API_KEY="another-key-of-this-replica", ENGINE="simulator")
    assert checks["same secrets"].verdict is CheckStatus.FAILED
    assert f"{OWN}, {OTHER}" in checks["same secrets"].found
    assert checks[f"replica {OTHER}"].found == f"{OTHER} does not answer from here: [Errno 111] Connection refused"
    checks = found(server.url(), both, REPLICA_URL="http://127.0.0.1:3000", ENGINE="simulator")
    assert checks["REPLICA_URL"].verdict is CheckStatus.FAILED


@pgbouncer.needed()
def test_a_pooler_has_to_be_in_transaction_mode(server: PostgreSQL) -> None:
    pooler = PgBouncer(server, "postgres", pool=4)
    try:
        checks = found(server.url(), DEVICE_STORE_URL=pooler.url)
        assert (checks["PgBouncer"].verdict, "transaction mode" in checks["PgBouncer"].found) == (CheckStatus.OK, True)
    finally:
        pooler.close()
    # PostgreSQL itself: each client has a connection of its own.
    checks = found(server.url(), DEVICE_STORE_URL=server.url())
    assert checks["PgBouncer"].verdict is CheckStatus.WARNING
    checks = found(server.url(), DEVICE_STORE_URL=f"postgresql://x@127.0.0.1:{free_port()}/x")
    assert checks["PgBouncer"].verdict is CheckStatus.FAILED


def test_an_object_store_that_is_away_is_a_finding_without_its_secrets(server: PostgreSQL) -> None:
    url = f"s3://id-of-key:secret-of-key@bucket?region=r&endpoint=http://127.0.0.1:{free_port()}"
    checks = found(server.url(), MEDIA_URL=url)
    assert checks["files of messages"].verdict is CheckStatus.FAILED
    assert "of-key" not in repr(checks)
