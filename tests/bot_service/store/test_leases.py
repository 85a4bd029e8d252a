"""Leases in PostgreSQL: what two transactions that meet decide, and what a replica sees of the changes of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State, Wanted
from bot_service.store import leases
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database, notifications, open_database
from bot_service.store.sessions import SessionStore
from shared.clock import SystemClock
from tests.support import postgresql
from tests.support.waiting import eventually

pytestmark = pytest.mark.postgresql

LONG_MS = 60_000


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database(postgresql.create("leases"))
    yield opened
    await opened.close()
    postgresql.drop("leases")


async def register(database: Database, replica: str, *, ttl_ms: int = LONG_MS, connections: str = "none") -> None:
    async with database.write() as connection:
        await leases.register(
            connection, replica, url=f"http://{replica}", version="1", connections=connections, ttl_ms=ttl_ms
        )


async def store(database: Database, *names: str, wanted: Wanted = Wanted.RUN) -> None:
    records = [
        SessionRecord(id=name, owner="ann", name=name, created_ms=number, wanted=wanted)
        for number, name in enumerate(names)
    ]
    async with database.write() as connection:
        await SessionStore(database, SystemClock()).write_all(connection, records)


async def take(database: Database, replica: str, count: int = 100, *, runs: bool = True) -> dict[str, int]:
    async with database.write() as connection:
        return await leases.take(connection, replica, runs=runs, count=count)


async def bury(database: Database) -> list[str]:
    async with database.write() as connection:
        return await leases.bury(connection, "own")


async def holders(database: Database) -> dict[str, str | None]:
    async with database.read() as connection:
        found = await connection.execute(sa.select(leases.leases.c.id, leases.leases.c.holder))
        return {row[0]: row[1] for row in found}


async def is_over(database: Database, replica: str) -> None:
    """Its lease is over by the clock of the database, as others see it."""

    async def look() -> bool:
        async with database.read() as connection:
            over = "SELECT expires_ms <= extract(epoch FROM clock_timestamp()) * 1000 FROM replicas WHERE id = :id"
            return bool((await connection.execute(sa.text(over), {"id": replica})).scalar_one())

    await eventually(look, what=f"the end of the lease of {replica}")


async def waits_for_a_lock(database: Database) -> None:
    """Another transaction waits now."""

    async def look() -> int:
        async with database.read() as connection:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'leases' AND wait_event_type = 'Lock'"
            return int((await connection.execute(sa.text(waiting))).scalar_one())

    await eventually(look, what="a transaction that waits")


async def test_a_renewal_that_has_not_committed_yet_keeps_its_lease(database: Database) -> None:
    await store(database, "one")
    await register(database, "a", ttl_ms=700)
    assert await take(database, "a") == {"one": 1}
    async with database.write() as connection:
        assert await leases.renew(connection, "a", ttl_ms=LONG_MS, draining=False)
        # By what others can see, the lease is over now.
        await is_over(database, "a")
        buried = asyncio.create_task(bury(database))
        await waits_for_a_lock(database)
    assert await buried == []
    assert await holders(database) == {"one": "a"}


async def test_a_lease_that_was_ended_is_not_renewed_and_its_sessions_are_free(database: Database) -> None:
    await store(database, "one", "two")
    await register(database, "a", ttl_ms=1)
    await register(database, "b")
    assert await take(database, "b", 1) == {"one": 1}
    async with database.write() as connection:
        await leases.take(connection, "a", runs=True, count=1)
    async with database.write() as connection:
        ended = await leases.bury(connection, "own")
        renewed = asyncio.create_task(renew(database, "a"))
        await asyncio.sleep(0.05)
    assert (ended, await renewed) == (["a"], False)
    assert await holders(database) == {"one": "b", "two": None}
    assert await take(database, "b") == {"two": 2}, "the epoch grows with each holder"


async def renew(database: Database, replica: str) -> bool:
    async with database.write() as connection:
        return await leases.renew(connection, replica, ttl_ms=LONG_MS, draining=False)


async def test_a_lease_that_is_over_is_not_renewed_although_nobody_ended_it(database: Database) -> None:
    await register(database, "a", ttl_ms=1)
    await asyncio.sleep(0.01)
    assert not await renew(database, "a")


async def test_a_replica_whose_lease_was_ended_takes_nothing(database: Database) -> None:
    await store(database, "one")
    await register(database, "a", ttl_ms=1)
    await asyncio.sleep(0.01)
    assert await bury(database) == ["a"]
    with pytest.raises(IntegrityError):
        await take(database, "a")
    assert await holders(database) == {"one": None}


async def test_replicas_that_take_at_the_same_moment_share(database: Database) -> None:
    names = [f"s{number:02}" for number in range(30)]
    await store(database, *names)
    for replica in "abc":
        await register(database, replica)
    took = await asyncio.gather(*(take(database, replica, 10) for replica in "abc"))
    assert sorted(name for each in took for name in each) == names
    assert {epoch for each in took for epoch in each.values()} == {1}


async def test_a_session_that_is_being_written_is_not_taken(database: Database) -> None:
    await store(database, "one", "two")
    await register(database, "a")
    await register(database, "b")
    await take(database, "a")
    async with database.write() as connection:
        assert await leases.still_own(connection, "a", ["one"]) == {"one"}
        ended = asyncio.create_task(resign(database, "a"))  # waits: the row of "one" is held
        await waits_for_a_lock(database)
        assert await take(database, "b") == {}
    await ended
    assert await take(database, "b") == {"one": 2, "two": 2}
    async with database.write() as connection:
        assert await leases.still_own(connection, "a", ["one", "two"]) == set()


async def resign(database: Database, replica: str) -> None:
    async with database.write() as connection:
        await leases.resign(connection, replica)


async def test_what_was_given_back_under_an_older_epoch_stays(database: Database) -> None:
    await store(database, "one")
    await register(database, "a")
    await take(database, "a")
    for epoch, holder in ((0, "a"), (1, None)):
        async with database.write() as connection:
            await leases.give(connection, "a", {"one": epoch})
        assert await holders(database) == {"one": holder}


async def test_sessions_that_should_run_and_those_that_rest_are_counted_and_taken_apart(database: Database) -> None:
    await store(database, "one", "two")
    await store(database, "three", wanted=Wanted.STOP)
    await register(database, "a")
    assert await take(database, "a", runs=False) == {"three": 1}
    assert await take(database, "a", 1) == {"one": 1}
    async with database.read() as connection:
        counted = {(each.holder, each.runs): each.count for each in await leases.counts(connection)}
        assert await leases.any_free(connection)
    assert counted == {("a", True): 1, ("a", False): 1, (None, True): 1}
    await take(database, "a")
    async with database.read() as connection:
        assert not await leases.any_free(connection)


async def test_an_id_is_claimed_once_and_again_only_after_its_session_is_deleted(database: Database) -> None:
    await register(database, "a")
    await register(database, "b")

    async def claim(replica: str) -> int | None:
        async with database.write() as connection:
            return await leases.claim(connection, replica, "one")

    claimed = await asyncio.gather(claim("a"), claim("b"))
    assert sorted(claimed, key=str) == [1, None]
    first = "ab"[claimed.index(1)]
    await store(database, "one")
    assert (await claim("a"), await claim("b")) == (None, None)
    async with database.write() as connection:
        await connection.execute(sa.text("DELETE FROM sessions"))
        await leases.leave(connection, "one")
    assert await claim("b" if first == "a" else "a") == 2, "a later session of this id has a higher epoch"


async def test_a_look_misses_no_change_of_transactions_that_commit_in_any_order(database: Database) -> None:
    seen: dict[str, str] = {}
    since = 0

    async def look() -> None:
        nonlocal since
        async with database.read() as connection:
            rows, since = await leases.changes(connection, since)
        for change in map(leases.change_of, rows):
            seen[change.session] = "" if change.record is None else change.record.name

    async def write(connection: AsyncConnection, name: str, value: str) -> None:
        record = SessionRecord(id=name, owner="ann", name=value, created_ms=1)
        await SessionStore(database, SystemClock()).write_all(connection, [record])

    async with database.write() as early:
        await write(early, "early", "first")
        async with database.write() as late:
            await write(late, "late", "first")
        await look()
        assert seen == {"late": "first"}
        await look()
    await look()
    assert seen == {"early": "first", "late": "first"}
    async with database.write() as connection:
        await write(connection, "late", "second")
        await connection.execute(sa.text("DELETE FROM sessions WHERE id = 'early'"))
    await look()
    assert seen == {"early": "", "late": "second"}


async def test_a_change_is_notified_and_a_statement_that_changes_nothing_is_not(database: Database) -> None:
    heard = asyncio.Queue[None]()
    url = postgresql.server().url("leases")
    listening = asyncio.create_task(notifications(url, "test", {leases.CHANNEL: lambda: heard.put_nowait(None)}))
    try:
        await asyncio.wait_for(heard.get(), 10)  # it listens
        await register(database, "a")
        assert await take(database, "a") == {}
        await store(database, "one")
        await asyncio.wait_for(heard.get(), 10)
        assert heard.empty(), "nothing was taken, so one notification came"
        async with database.write() as connection:
            assert await leases.claim(connection, "a", "two") == 1
        await asyncio.wait_for(heard.get(), 10)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_the_connections_of_a_replica_whose_lease_is_over_are_ended_with_what_they_hold(
    database: Database,
) -> None:
    await store(database, "one")
    stopped = await open_database(postgresql.server().url("leases"), name="veilleur dead")
    try:
        await register(database, "dead", ttl_ms=300, connections="veilleur dead")
        await register(database, "b")
        await take(database, "dead")
        with pytest.raises(STORE_ERRORS):
            async with stopped.write() as connection:
                assert await leases.still_own(connection, "dead", ["one"]) == {"one"}
                # A process that is stopped here holds the row.
                await is_over(database, "dead")
                assert await asyncio.wait_for(bury(database), 5) == ["dead"]
                assert await take(database, "b") == {"one": 2}
                await connection.execute(sa.select(1))
    finally:
        await stopped.close()


async def test_the_store_writes_no_session_of_another_owner(database: Database) -> None:
    await store(database, "mine", "lost")
    await register(database, "a")
    await take(database, "a")
    writer = SessionStore(database, SystemClock())
    fenced: list[set[str]] = []
    writer.fenced.subscribe(fenced.append)

    async def fence(connection: AsyncConnection, names: object) -> set[str]:
        return await leases.still_own(connection, "a", list(names))  # type: ignore[call-overload]

    writer.fence = fence
    async with database.write() as connection:
        await leases.give(connection, "a", {"lost": 1})
    for name in ("mine", "lost"):
        writer.mark(SessionRecord(id=name, owner="ann", name="changed", created_ms=1, state=State.READY))
    await writer.flush()
    assert fenced == [{"lost"}]
    async with database.read() as connection:
        found = await leases.records(connection, ["mine", "lost"])
    assert {record.id: record.name for record in found} == {"mine": "changed", "lost": "lost"}
