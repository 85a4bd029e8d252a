"""From journal file to store: once, in order, with everything that follows, through full disks and locked stores."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot_service.domain.message import InboundMessage, JournalRecord, Receipt
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.wire.journal_file import JournalWriter
from bot_service.events.ids import EventIds
from bot_service.events.publisher import EventPublisher
from bot_service.events.subscriptions import Subscriptions
from bot_service.messages import journal_reader
from bot_service.messages.inbound import Batch
from bot_service.messages.journal_reader import JournalReader
from bot_service.store import events, messages
from bot_service.store.database import Database, open_database
from bot_service.store.messages import NewMessage
from shared.clock import SystemClock
from shared.tasks import TaskGroupOfLoops
from tests.bot_service.webhooks.bench import webhook
from tests.support.template import store_url
from tests.support.waiting import PATIENCE_S, eventually


def inbound(number: int, *, session: str = "one", at_ms: int = 0) -> JournalRecord:
    chat = f"{4915100000000 + number % 7}@s.whatsapp.net"
    text = f"message {number}"
    return JournalRecord(message=InboundMessage(session, chat, f"M{number}", chat, at_ms, "text", text))


@dataclass
class Road:
    folder: Path
    database: Database
    reader: JournalReader
    batches: list[Batch]
    in_use: set[str]

    def writer(self, worker: str = "w1") -> JournalWriter:
        writer = JournalWriter(self.folder, worker, SystemClock(), grew=self.reader.notice)
        writer.open()
        return writer

    async def stored(self) -> int:
        async with self.database.read() as connection:
            return len(await messages.page(connection, "one", limit=100_000))

    async def holds(self, count: int, within_s: float = PATIENCE_S) -> None:
        async def look() -> bool:
            return await self.stored() == count

        await eventually(look, within_s=within_s, what=f"{count} messages in the store")


@asynccontextmanager
async def road(tmp_path: Path) -> AsyncIterator[Road]:
    clock = SystemClock()
    database = await open_database(store_url(tmp_path))
    subscriptions = Subscriptions()
    subscriptions.load([webhook("http://127.0.0.1:9", owner=None)])
    publisher = EventPublisher(clock, database, EventIds(clock), subscriptions)
    in_use: set[str] = set()
    folder = tmp_path / "journal"
    folder.mkdir(exist_ok=True)
    reader = JournalReader(
        folder,
        clock,
        database,
        publisher,
        in_use=lambda: in_use,
        session_of=lambda session: SessionRecord(id=session, owner="ann", name=session, created_ms=0),
    )
    batches: list[Batch] = []
    reader.committed.subscribe(batches.append)
    loops = TaskGroupOfLoops(clock)
    loops.start("journal", reader.run)
    try:
        yield Road(folder, database, reader, batches, in_use)
    finally:
        await loops.stop()
        await database.close()
        await asyncio.sleep(0)


async def test_what_comes_twice_is_stored_once_and_counted(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        writer = at.writer()
        for number in (1, 2, 1, 3, 2, 1):
            writer.append(inbound(number))
        await at.holds(3)
        writer.append(inbound(3))  # redelivered later, in another batch
        await eventually(lambda: sum(batch.duplicates for batch in at.batches) == 4, what="four duplicates")
        async with at.database.read() as connection:
            rows = await messages.page(connection, "one", limit=10)
            published = await events.after(connection, "", 100)
        assert {row.message_id: row.duplicates for row in rows} == {"M1": 2, "M2": 1, "M3": 1}
        assert [event.type for event in published] == ["message"] * 3
        writer.close()


async def test_reading_goes_on_where_the_store_says_after_a_restart(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        writer = at.writer()
        for number in range(50):
            writer.append(inbound(number))
        await at.holds(50)
        writer.close()
    async with road(tmp_path) as at:
        writer = at.writer("w2")
        for number in range(50, 60):
            writer.append(inbound(number))
        await at.holds(60)
        assert sum(batch.duplicates for batch in at.batches) == 0, "nothing was read twice"
        writer.close()


@pytest.mark.sqlite
async def test_a_locked_store_delays_and_loses_nothing(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        writer = at.writer()
        lock = sqlite3.connect(tmp_path / "bot.db", timeout=1)
        lock.execute("BEGIN IMMEDIATE")
        for number in range(200):
            writer.append(inbound(number))
        await eventually(lambda: at.database.failing, what="a write that the lock refused")
        assert await at.stored() == 0
        lock.rollback()
        lock.close()
        await at.holds(200)
        writer.close()


@pytest.mark.sqlite
async def test_a_store_on_a_full_disk_delays_and_loses_nothing(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        # The store itself refuses to grow, as it does when the disk is full.
        async with at.database.write() as connection:
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        raw = await at.database.engine.raw_connection()
        raw.close()
        limits = []
        for _ in range(4):
            connection = await at.database.engine.connect()
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            limits.append(connection)
        for connection in limits:
            await connection.close()
        writer = at.writer()
        for number in range(500):
            writer.append(inbound(number))
        await eventually(lambda: at.database.failing, what="a write that the disk refused")
        assert await at.stored() < 500
        for connection in [await at.database.engine.connect() for _ in range(4)]:
            await connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
            await connection.close()
        await at.holds(500)
        writer.close()


async def test_a_receipt_moves_a_message_of_ours_forward_and_never_back(tmp_path: Path) -> None:
    async with road(tmp_path) as at:
        chat = "33612345678@s.whatsapp.net"
        row = NewMessage("one", chat, "OUT", "out", "text", 0, 0, "sent", 0, b"{}")
        async with at.database.write() as connection:
            await messages.insert(connection, [row])
        writer = at.writer()
        for kind in ("read", "delivered", "server"):
            writer.append(JournalRecord(receipt=Receipt("one", chat, ["OUT"], kind, 5)))
        await eventually(lambda: sum(len(batch.receipts) for batch in at.batches) == 3, what="the receipts")
        async with at.database.read() as connection:
            stored = await messages.get(connection, "one", "OUT")
        assert stored is not None
        assert stored.state == "read"
        writer.close()


async def test_a_spent_journal_of_a_worker_that_is_gone_is_deleted_and_others_stay(
    tmp_path: Path, monkeypatch: object
) -> None:

    before, journal_reader.ORPHAN_S, every, journal_reader.LOOK_EVERY_S = (
        journal_reader.ORPHAN_S,
        0.2,
        journal_reader.LOOK_EVERY_S,
        0.1,
    )
    try:
        async with road(tmp_path) as at:
            gone, alive = at.writer("gone"), at.writer("alive")
            at.in_use.add(alive.position[0])
            gone.append(inbound(1))
            alive.append(inbound(2))
            await at.holds(2)
            gone.close()
            await eventually(lambda: len(list(at.folder.iterdir())) == 1, what="the spent journal being deleted")
            assert (at.folder / alive.position[0]).exists()
            assert await at.stored() == 2
            alive.close()
    finally:
        journal_reader.ORPHAN_S, journal_reader.LOOK_EVERY_S = before, every


async def test_a_burst_of_three_thousand_messages_is_stored_whole_while_the_loop_goes_on_turning(
    tmp_path: Path,
) -> None:
    """How long one turn took is printed; the limit is held by ``make bench-sessions``, for a slow day must fail no test."""
    async with road(tmp_path) as at:
        writer = at.writer()
        worst, turns = 0.0, 0
        running = True

        async def watch() -> None:
            nonlocal worst, turns
            while running:
                before = time.thread_time()
                await asyncio.sleep(0)
                worst, turns = max(worst, time.thread_time() - before), turns + 1

        watching = asyncio.create_task(watch())
        started, cpu = time.monotonic(), time.process_time()
        for number in range(3000):
            writer.append(inbound(number))
            if number % 50 == 49:
                await asyncio.sleep(0)
        async with at.database.read():
            await eventually(lambda: sum(len(b.messages) for b in at.batches) == 3000, what="3000")
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        running = False
        await watching
        writer.close()
    print(f"3000 messages in {took:.2f} s ({3000 / took:.0f} a second), longest turn of the loop {worst * 1000:.0f} ms")
    assert turns > 60, "the loop was held up for whole batches"


async def test_messages_that_arrive_one_after_the_other_share_transactions(tmp_path: Path) -> None:
    """A slow machine makes fewer transactions, never more."""
    async with road(tmp_path) as at:
        writer = at.writer()
        began = time.monotonic()
        for number in range(300):
            writer.append(inbound(number))
            await asyncio.sleep(0.001)
        await eventually(lambda: sum(len(b.messages) for b in at.batches) == 300, what="300")
        took = time.monotonic() - began
        assert len(at.batches) <= (journal_reader.BURST_S + took) / journal_reader.PACE_S + 1
        assert [message.id for batch in at.batches for message in batch.messages] == [f"M{n}" for n in range(300)]
        writer.close()
