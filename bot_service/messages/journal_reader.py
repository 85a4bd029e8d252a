"""Takes every record of the workers' journals into the store exactly once, and never holds a worker up.

One transaction holds the messages of a batch, the events and webhook deliveries that follow from them, and the position
in the file: after a crash at any moment reading goes on where the store says, and what came twice is dropped by its key
(session, chat, id). A store that refuses to write stops reading, not the workers: the journal waits on the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from bot_service.domain.message import JournalRecord
from bot_service.engines.wire.journal_file import JournalSlice, journal_files, read_journal
from bot_service.events.publisher import EventPublisher
from bot_service.messages.inbound import Batch, take_in
from bot_service.store import messages
from bot_service.store.batch_writer import STORE_ERRORS, retried_on_store_errors
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms
from shared.wake import Wake

log = logs.get(__name__)

# Small enough that one batch holds up the event loop for a few milliseconds only.
BATCH_RECORDS = 50
SLICE_BYTES = 256 * 1024
LOOK_EVERY_S = 5.0
ORPHAN_S = 60.0


class JournalReader:
    """``in_use()`` names the files that a living worker may still append to; ``owner_of(session)`` may be None for unknown ones.

    ``observe(batch, lag_ms)`` is called after every commit; ``lag_ms`` is the age of its oldest message.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        database: Database,
        announcer: EventPublisher,
        *,
        in_use: Callable[[], set[str]],
        owner_of: Callable[[str], str | None],
        observe: Callable[[Batch], None] = lambda _batch: None,
    ) -> None:
        self._folder, self._clock, self._database, self._announcer = folder, clock, database, announcer
        self._in_use, self._owner_of, self._observe = in_use, owner_of, observe
        self._ends: dict[str, int] = {}
        self._positions: dict[str, int] = {}
        self._wake = Wake(clock)
        self._committed: list[Callable[[Batch], None]] = []
        self._orphans: dict[str, float] = {}
        self._loaded = False
        self.caught_up = asyncio.Event()

    def notice(self, file: str, end: int) -> None:
        """A journal holds complete records up to byte ``end``; may be called as often as a worker says so."""
        if end > self._ends.get(file, 0):
            self._ends[file] = end
            self._wake.set()

    def on_commit(self, listener: Callable[[Batch], None]) -> None:
        """``listener(batch)`` after every commit, in order."""
        self._committed.append(listener)

    def behind_bytes(self) -> int:
        """Bytes that workers wrote and the store does not hold yet."""
        return sum(max(0, end - self._positions.get(file, 0)) for file, end in self._ends.items())

    async def run(self) -> None:
        """The loop: what is announced, and every few seconds whatever lies in the folder."""
        if not self._loaded:
            async with self._database.read() as connection:
                self._positions = await messages.positions(connection)
            self._loaded = True
        next_look = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= next_look:
                await self._look_around()
                next_look = self._clock.monotonic() + LOOK_EVERY_S
            if not await self._read_on():
                self.caught_up.set()
                await self._wake.wait(max(0.0, next_look - self._clock.monotonic()))

    async def _read_on(self) -> bool:
        """One slice of every file that has more; whether any had."""
        worked = False
        for file in sorted(self._ends):
            if self._positions.get(file, 0) < self._ends[file]:
                worked = await self._read_slice(file) or worked
        return worked

    async def _read_slice(self, file: str) -> bool:
        position = self._positions.get(file, 0)
        try:
            piece = await asyncio.to_thread(read_journal, self._folder / file, position, limit_bytes=SLICE_BYTES)
        except FileNotFoundError:
            self._ends.pop(file, None)
            return False
        except (OSError, ValueError) as error:
            log.error("A journal cannot be read", event_name="journal.unreadable", file=file, error=str(error))
            self._ends.pop(file, None)
            return False
        if piece.damaged:
            log.error("Damaged records in a journal were left out", event_name="journal.damaged", count=piece.damaged)
        if not piece.records:
            # Bytes without a complete record: the torn end that a killed worker left, never acknowledged.
            self._ends[file] = max(position, piece.end)
            self._positions[file] = max(position, piece.end)
            return False
        await self._take(file, piece)
        return True

    async def _take(self, file: str, piece: JournalSlice) -> None:
        for start in range(0, len(piece.records), BATCH_RECORDS):
            part = piece.records[start : start + BATCH_RECORDS]
            end = piece.end if start + BATCH_RECORDS >= len(piece.records) else part[-1][0]
            records = [record for _, record in part]
            done: list[Batch] = []

            async def commit(records: Sequence[JournalRecord] = records, end: int = end) -> None:
                done.append(await self._commit(file, records, end))  # noqa: B023  (awaited before the next turn)

            await retried_on_store_errors("journal", self._clock, commit)
            self._positions[file] = end
            self._observe(done[-1])
            for listener in self._committed:
                listener(done[-1])

    async def _commit(self, file: str, records: Sequence[JournalRecord], end: int) -> Batch:
        now = self._clock.now()
        async with self._database.write() as connection:
            batch = await take_in(connection, records, now, self._owner_of)
            await self._announcer.stage(connection, batch.drafts)
            await messages.set_position(connection, file, end, to_ms(now))
        return batch

    async def _look_around(self) -> None:
        """Notice files nobody told of, and delete those that are wholly in the store and have no writer any more."""
        try:
            in_use = self._in_use()
            found = dict(await asyncio.to_thread(journal_files, self._folder))
            for file, size in found.items():
                if self._positions.get(file, 0) < size:
                    self.notice(file, size)
            for file in found:
                if file not in in_use and self._orphaned_for_s(file) >= ORPHAN_S and await self._is_spent(file):
                    await self._forget(file)
            self._orphans = {file: at for file, at in self._orphans.items() if file in found and file not in in_use}
            for file in set(self._positions) - set(found):
                await self._forget(file)
        except (*STORE_ERRORS, OSError) as error:
            log.error("The journals could not be looked after", event_name="journal.care", error=type(error).__name__)

    def _orphaned_for_s(self, file: str) -> float:
        # A worker that is just starting has a journal before anybody knows of it: only a lasting absence counts.
        now = self._clock.monotonic()
        return now - self._orphans.setdefault(file, now)

    async def _is_spent(self, file: str) -> bool:
        try:
            piece = await asyncio.to_thread(read_journal, self._folder / file, self._positions.get(file, 0))
        except (OSError, ValueError):
            return False
        return not piece.records

    async def _forget(self, file: str) -> None:
        await asyncio.to_thread((self._folder / file).unlink, missing_ok=True)
        async with self._database.write() as connection:
            await messages.forget_position(connection, file)
        self._positions.pop(file, None)
        self._ends.pop(file, None)
