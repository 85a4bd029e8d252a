"""What only PostgreSQL does: writers side by side, connections that end, calls that meet."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot_service.events.ids import EventIds
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.subscriptions import Subscriptions
from bot_service.messages.outbox import Outbox
from bot_service.store import ended_logins, events
from bot_service.store.batch_writer import STORE_ERRORS, UNAVAILABLE
from bot_service.store.database import Database, open_database
from shared.clock import SystemClock
from tests.bot_service.messages.post import ready, text
from tests.support import postgresql
from tests.support.processes import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.postgresql


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database(postgresql.create("store"))
    yield opened
    await opened.close()
    postgresql.drop("store")


async def test_writers_take_no_turns_and_each_calls_what_its_own_commit_allows(database: Database) -> None:
    called: list[str] = []
    both = asyncio.Barrier(2)

    async def write(name: str, *, fails: bool) -> None:
        async with database.write() as connection:
            await connection.execute(sa.select(1))
            database.after_commit(lambda: called.append(name))
            await both.wait()
            if fails:
                raise LookupError(name)

    outcomes = await asyncio.gather(write("kept", fails=False), write("lost", fails=True), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), LookupError]
    assert called == ["kept"]


async def test_the_same_idempotency_key_in_calls_that_meet_is_one_message(database: Database) -> None:
    clock = SystemClock()
    outboxes = [
        Outbox(
            clock,
            database,
            EventIds(clock),
            record_of=lambda _: ready(),
            wake=lambda _session, _message: None,
            queue_limit=1000,
        )
        for _ in range(3)
    ]
    for key in range(100):
        calls = [
            outbox.accept("one", text(f"M{key}-{number}"), key=str(key), digest="same")
            for number, outbox in enumerate(outboxes)
        ]
        accepted = await asyncio.gather(*calls)
        assert len({each.message.message_id for each in accepted}) == 1
        assert sorted(each.repeated for each in accepted) == [False, True, True]


async def test_a_reader_that_follows_the_ids_misses_no_event_of_many_writers(database: Database) -> None:
    clock = SystemClock()
    publisher = EventPublisher(clock, database, EventIds(clock), Subscriptions())

    async def write() -> None:
        for _ in range(50):
            await publisher.publish([Draft("session.state", "one", "ann", clock.now(), {})])

    writers = asyncio.gather(*(write() for _ in range(5)))
    seen: list[str] = []

    async def read() -> None:
        async with database.read() as connection:
            seen.extend(event.id for event in await events.after(connection, seen[-1] if seen else "", 500))

    while not writers.done():
        await read()
    await writers
    await read()
    assert (len(seen), seen) == (250, sorted(seen))


async def test_logins_that_end_at_the_same_time_are_all_stored(database: Database) -> None:
    async def end(number: int) -> None:
        async with database.write() as connection:
            await ended_logins.replace(connection, {"same": 1, f"own-{number}": 1}, forget=[])

    await asyncio.gather(*(end(number) for number in range(10)))
    async with database.read() as connection:
        assert len(await ended_logins.load(connection)) == 11


async def test_after_a_restart_of_the_server_the_first_query_works() -> None:
    server = postgresql.PostgreSQL()
    server.sql("CREATE DATABASE store")
    database = await open_database(server.url("store"))
    try:
        async with database.read() as connection:
            await connection.execute(sa.select(1))
        await asyncio.to_thread(server.stop)
        with pytest.raises(UNAVAILABLE):
            async with database.write() as connection:
                await connection.execute(sa.select(1))
        assert database.failing
        await asyncio.to_thread(server.start)
        async with database.read() as connection:
            assert await connection.scalar(sa.select(1)) == 1
        async with database.write() as connection:  # ended in the middle of a transaction
            await connection.execute(sa.select(1))
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'store'")
            with pytest.raises(STORE_ERRORS):
                await connection.execute(sa.select(1))
            raise ConnectionError
    except ConnectionError:
        await eventually(lambda: database.failing, what="the failure being known")
    finally:
        await database.close()
        await asyncio.to_thread(server.close)


async def test_the_driver_is_not_imported_with_sqlite(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "import bot_service.__main__\n"
        "import bot_service.engines.worker.main\n"
        "import bot_service.engines.neonize.engine\n"
        "from bot_service.store.database import open_database\n"
        f"asyncio.run(open_database('sqlite:///{tmp_path / 'bot.db'}'))\n"
        "sys.exit('asyncpg' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 0
