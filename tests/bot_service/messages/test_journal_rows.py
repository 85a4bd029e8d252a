"""From rows of a journal in PostgreSQL to messages: once and in order for each session, whoever dies, and by the owner only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import JournalRecord
from bot_service.domain.ownership import LeaseTimes
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.wire.journal_format import encode_body
from bot_service.events.ids import EventIds
from bot_service.events.publisher import Draft, EventPublisher
from bot_service.events.subscriptions import Subscriptions
from bot_service.messages.inbound import Batch
from bot_service.messages.journal_losses import JournalLoss
from bot_service.messages.journal_rows import JournalRows
from bot_service.replicas.lease import ReplicaLease
from bot_service.store import events, journal_rows, leases, messages
from bot_service.store.database import Database, open_database
from shared.clock import SystemClock
from shared.hooks import Hook
from shared.tasks import TaskGroupOfLoops
from tests.bot_service.messages.test_journal_reader import inbound
from tests.support import postgresql
from tests.support.waiting import eventually

pytestmark = pytest.mark.postgresql
LONG_MS = 60_000


class Publisher(EventPublisher):
    """``dies``: the process ends in the middle of the transaction."""

    dies = False

    async def stage(self, connection: AsyncConnection, drafts: list[Draft]) -> None:  # type: ignore[override]
        await super().stage(connection, drafts)
        if self.dies:
            raise KilledError


class KilledError(BaseException):
    """The end of a process."""


@dataclass
class Replica:
    """``creations`` is what it has in memory of sessions."""

    name: str
    database: Database
    publisher: Publisher
    lease: ReplicaLease
    rows: JournalRows
    batches: list[Batch]
    losses: list[JournalLoss]
    creations: dict[str, str] = field(default_factory=dict)

    async def takes(self, *sessions: str) -> None:
        async with self.database.write() as connection:
            await leases.register(
                connection, self.name, url="http://x", version="1", connections="none", ttl_ms=LONG_MS
            )
        self.lease.begin(self.name, self.lease._clock.monotonic())
        async with self.database.write() as connection:
            for session in sessions:
                self.lease.epochs[session] = await leases.claim(connection, self.name, session) or 0

    async def run(self) -> None:
        """One look."""
        await self.rows._store_all()


@dataclass
class World:
    folder: Path
    database: Database

    def replica(self, name: str) -> Replica:
        clock = SystemClock()
        publisher = Publisher(clock, self.database, EventIds(clock), Subscriptions(), shared=True)
        lease = ReplicaLease(clock, LeaseTimes(LONG_MS / 1000))
        committed: Hook[[Batch]] = Hook()
        lost: Hook[[JournalLoss]] = Hook()
        creations: dict[str, str] = {"one": "", "two": ""}

        def session_of(session: str) -> SessionRecord | None:
            if session not in creations:
                return None
            return SessionRecord(id=session, owner="ann", name=session, created_ms=0, creation=creations[session])

        rows = JournalRows(
            self.folder, clock, self.database, publisher,
            fence=lease.fence, is_own=lease.owns, session_of=session_of, committed=committed, lost=lost,
        )  # fmt: skip
        made = Replica(name, self.database, publisher, lease, rows, [], [], creations)
        committed.subscribe(made.batches.append)
        lost.subscribe(made.losses.append)
        return made

    async def write(self, *records: JournalRecord, body: bytes | None = None) -> None:
        """As a worker does."""
        async with self.database.write() as connection:
            for record in records:
                assert record.item is not None
                values = {"session": record.item.session, "body": body if body is not None else encode_body(record)}
                await connection.execute(journal_rows.journal_rows.insert(), values)

    async def waiting(self) -> list[str]:
        async with self.database.read() as connection:
            return await journal_rows.waiting(connection)

    async def stored(self, session: str = "one") -> list[str]:
        """Ids of its messages in the order of storing."""
        async with self.database.read() as connection:
            found = await messages.page(connection, session, limit=1000)
        return [message.message_id for message in reversed(found)]

    async def events(self) -> int:
        async with self.database.read() as connection:
            return len(await events.after(connection, "", 1000))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await open_database(postgresql.create("rows"))
    yield World(tmp_path / "journal", database)
    await database.close()
    postgresql.drop("rows")


async def test_rows_are_stored_in_order_and_deleted_and_those_of_others_stay(world: World) -> None:
    own = world.replica("r1")
    await own.takes("one")
    await world.write(*(inbound(number) for number in range(130)), inbound(1, session="two"))
    await own.run()
    assert await world.stored() == [f"M{number}" for number in range(130)]
    assert await world.stored("two") == []
    assert await world.waiting() == ["two"]
    assert await world.events() == 130
    assert sum(len(batch.messages) for batch in own.batches) == 130


async def test_a_death_in_the_middle_stores_nothing_and_the_next_owner_stores_it_once(world: World) -> None:
    old, new = world.replica("r1"), world.replica("r2")
    await old.takes("one")
    await world.write(inbound(1), inbound(2))
    old.publisher.dies = True
    with pytest.raises(KilledError):
        await old.run()
    assert (await world.stored(), await world.events(), await world.waiting()) == ([], 0, ["one"])
    old.publisher.dies = False
    async with world.database.write() as connection:
        await leases.resign(connection, "r1")
    await new.takes("one")
    # The one before believes that it still owns the session.
    await old.run()
    assert await world.stored() == []
    await asyncio.gather(new.run(), old.run())
    assert (await world.stored(), await world.events(), await world.waiting()) == (["M1", "M2"], 2, [])
    # A death after the commit: what it stored is not there any more.
    await new.run()
    assert (await world.stored(), await world.events()) == (["M1", "M2"], 2)


async def test_a_message_that_was_read_twice_is_stored_once(world: World) -> None:
    own = world.replica("r1")
    await own.takes("one")
    await world.write(inbound(1), inbound(1))
    await own.run()
    await world.write(inbound(1))
    await own.run()
    assert (await world.stored(), await world.events(), await world.waiting()) == (["M1"], 1, [])
    assert sum(batch.duplicates for batch in own.batches) == 2


async def test_two_looks_at_the_same_time_store_a_row_once(world: World) -> None:
    own = world.replica("r1")
    await own.takes("one", "two")
    await world.write(*(inbound(number, session=session) for number in range(60) for session in ("one", "two")))
    results = await asyncio.gather(own.run(), own.run(), return_exceptions=True)
    await own.run()
    assert results.count(None) >= 1
    assert sorted(await world.stored()) == sorted(f"M{number}" for number in range(60))
    assert (await world.events(), await world.waiting()) == (120, [])


async def test_rows_wait_while_this_replica_has_an_older_session_in_memory(world: World) -> None:
    own = world.replica("r1")
    await own.takes("one", "two")
    await world.write(inbound(1), inbound(2, session="two"))
    own.creations.update(one="deleted since", two="")
    await own.run()
    del own.creations["one"]
    await own.run()
    assert (await world.stored(), await world.stored("two"), await world.waiting()) == ([], ["M2"], ["one"])
    own.creations["one"] = ""
    await own.run()
    assert (await world.stored(), await world.waiting()) == (["M1"], [])


async def test_what_the_database_cannot_hold_or_nobody_can_read_holds_up_nothing(world: World) -> None:
    own = world.replica("r1")
    await own.takes("one")
    far = inbound(2, at_ms=2**63)
    await world.write(inbound(1))
    await world.write(inbound(9), body=b"no record")
    await world.write(far, inbound(3))
    await own.run()
    assert (await world.stored(), await world.waiting()) == (["M1", "M3"], [])
    assert [(loss.what, loss.records, loss.named[0][1]) for loss in own.losses] == [
        ("damaged", 1, ""),
        ("refused by the database", 1, "M2"),
    ]
    assert len(list((world.folder / "damaged").iterdir())) == 2


async def test_the_loop_stores_what_it_is_woken_for_and_goes_on_after_an_error(world: World) -> None:
    own = world.replica("r1")
    await own.takes("one")
    loops = TaskGroupOfLoops(SystemClock())
    loops.start("rows", own.rows.run)
    try:
        await world.write(inbound(1))
        own.rows.wake()

        async def stored(*expected: str) -> bool:
            return await world.stored() == list(expected)

        await eventually(lambda: stored("M1"), what="the row in the messages")
        await world.write(inbound(2))  # nobody wakes it
        await eventually(lambda: stored("M1", "M2"), what="the row in the messages")
    finally:
        await loops.stop()
    async with world.database.write() as connection:
        await journal_rows.forget_session(connection, "one")
