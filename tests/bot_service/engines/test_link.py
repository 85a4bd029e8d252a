"""A link bounds what waits: who cannot wait is cut off, who can wait does, and only the newest of a kind is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot_service.engines.wire.frames import down_decoder, up_decoder
from bot_service.engines.wire.link import Link, LinkClosed, connect, listening_socket
from bot_service.engines.wire.protocol import CommandFrame, Down, JournalAdvanced, SignalFrame, Up, WorkerPulse
from tests.support.waiting import eventually

LIMIT = 256 * 1024


class Pair:
    """A worker's end (``worker``) and an API process's end (``api``) of one connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.worker: Link[Down] | None = None
        self.server: asyncio.Server | None = None

    async def open(self) -> Link[Up]:
        met = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.worker = Link(reader, writer, down_decoder(), limit_bytes=LIMIT)
            self.worker.open()
            met.set()

        self.server = await asyncio.start_unix_server(serve, sock=listening_socket(self.path))
        self.api = await connect(self.path, up_decoder(), timeout_s=5)
        await asyncio.wait_for(met.wait(), 60)
        return self.api

    async def close(self) -> None:
        await self.api.close()
        if self.worker is not None:
            await self.worker.close()
        if self.server is not None:
            self.server.close()
        await asyncio.sleep(0)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = Pair(tmp_path / "w.sock")
    await made.open()
    yield made
    await made.close()


def signal(number: int) -> SignalFrame:
    return SignalFrame("s1", 1, number, "presence", 0, {"text": "x" * 1000})


async def test_a_reader_that_stands_still_is_cut_off_and_memory_stays_bounded(pair: Pair) -> None:
    assert pair.worker is not None
    told = 0
    while pair.worker.offer(signal(told)):
        told += 1
        assert pair.worker.waiting_bytes <= LIMIT + 2000
        if told % 50 == 0:
            await asyncio.sleep(0)
        assert told < 100_000
    assert pair.worker.closed
    # What the kernel had taken arrives, in order; then the connection ends.
    seen = [frame.seq async for frame in pair.api.frames() if isinstance(frame, SignalFrame)]
    assert seen == list(range(len(seen)))
    assert 0 < len(seen) < told


async def test_who_can_wait_waits_until_the_other_side_reads(pair: Pair) -> None:
    assert pair.worker is not None
    worker = pair.worker
    pair.api._limit_bytes = LIMIT
    sent = 0

    async def send_all() -> None:
        nonlocal sent
        for number in range(2000):
            await pair.api.send(CommandFrame(number, "send", "s1", {"text": "x" * 1000}))
            sent += 1

    sending = asyncio.create_task(send_all())
    await eventually(lambda: pair.api.waiting_bytes > LIMIT // 2, what="a full queue")
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert sent < 2000
    assert pair.api.waiting_bytes <= LIMIT
    numbers = []
    async for frame in worker.frames():
        assert isinstance(frame, CommandFrame)
        numbers.append(frame.id)
        if len(numbers) == 2000:
            break
    await sending
    assert numbers == list(range(2000))


async def test_a_close_wakes_who_waits_to_send(pair: Pair) -> None:
    pair.api._limit_bytes = 1000

    async def send_all() -> None:
        for number in range(1000):
            await pair.api.send(CommandFrame(number, "send", "s1", {"text": "x" * 5000}))

    sending = asyncio.create_task(send_all())
    await eventually(lambda: pair.api.waiting_bytes > 500, what="a full queue")
    pair.api.abort()
    with pytest.raises(LinkClosed):
        await asyncio.wait_for(sending, 60)


async def test_only_the_newest_position_is_told(pair: Pair) -> None:
    assert pair.worker is not None
    for end in range(1000):
        pair.worker.offer_latest("j", JournalAdvanced("j", end))
        pair.worker.offer_latest("pulse", WorkerPulse(end, 0, 0, 0, 0))
    found = []
    async for frame in pair.api.frames():
        found.append(frame)
        if len(found) == 2:
            break
    assert found == [JournalAdvanced("j", 999), WorkerPulse(999, 0, 0, 0, 0)]


async def test_a_socket_in_a_very_long_folder_can_be_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / ("folder" * 20)
    folder.mkdir(parents=True)
    made = Pair(folder / "w.sock")
    await made.open()
    assert (folder / "w.sock").stat().st_mode & 0o077 == 0
    await made.close()
