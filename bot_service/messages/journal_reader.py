"""Reads the workers' journals into the store, each record exactly once, without blocking a worker.

One transaction holds the messages of a batch, their events and webhook deliveries, and the position
in the file. After a crash, reading continues at the stored position, and a message that was read
twice is dropped by its key (session, chat, id). While the store refuses to write, reading stops and
the journals keep their records on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bot_service.domain.message import JournalRecord
from bot_service.engines.wire.journal_file import JournalSlice, journal_files, read_journal
from bot_service.events.publisher import EventPublisher
from bot_service.messages.inbound import Batch, ingest
from bot_service.store import messages
from bot_service.store.batch_writer import STORE_ERRORS, retried_on_store_errors
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms
from shared.hooks import Hook
from shared.wake import Wake

log = logs.get(__name__)

# Small enough that one batch blocks the event loop for a few milliseconds only.
BATCH_RECORDS = 50
SLICE_BYTES = 256 * 1024
LOOK_EVERY_S = 5.0
ORPHAN_S = 60.0


class JournalReader:
    """``in_use()`` names the files that a running worker may append to.

    ``owner_of(session)`` is None for an unknown session. ``committed`` notifies of every batch.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        database: Database,
        publisher: EventPublisher,
        *,
        in_use: Callable[[], set[str]],
        owner_of: Callable[[str], str | None],
    ) -> None:
        self._folder, self._clock, self._database, self._publisher = folder, clock, database, publisher
        self._in_use, self._owner_of = in_use, owner_of
        self._ends: dict[str, int] = {}
        self._positions: dict[str, int] = {}
        self._wake = Wake(clock)
        self.committed: Hook[[Batch]] = Hook()
        self._orphaned_at: dict[str, float] = {}
        self._loaded = False
        self.caught_up = asyncio.Event()

    def notice(self, file: str, end: int) -> None:
        """A journal holds complete records up to byte ``end``. Repeated calls are harmless."""
        if end > self._ends.get(file, 0):
            self._ends[file] = end
            self._wake.set()

    def behind_bytes(self) -> int:
        """Bytes in the journals that are not in the store yet."""
        return sum(max(0, end - self._positions.get(file, 0)) for file, end in self._ends.items())

    async def run(self) -> None:
        """The loop: reads what workers report, and every few seconds whatever is in the folder."""
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
        """Read one slice of every file that has more; False when none had."""
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
            # Bytes without a complete record: the torn end of a killed worker, never acknowledged.
            self._ends[file] = self._positions[file] = max(position, piece.end)
            return False
        await self._store(file, piece)
        return True

    async def _store(self, file: str, piece: JournalSlice) -> None:
        for start in range(0, len(piece.records), BATCH_RECORDS):
            part = piece.records[start : start + BATCH_RECORDS]
            end = piece.end if start + BATCH_RECORDS >= len(piece.records) else part[-1][0]
            commit = partial(self._commit, file, [record for _, record in part], end)
            batch = await retried_on_store_errors("journal", self._clock, commit)
            self._positions[file] = end
            self.committed(batch)

    async def _commit(self, file: str, records: Sequence[JournalRecord], end: int) -> Batch:
        now = self._clock.now()
        async with self._database.write() as connection:
            batch = await ingest(connection, records, now, self._owner_of)
            await self._publisher.stage(connection, batch.drafts)
            await messages.set_position(connection, file, end, to_ms(now))
        return batch

    async def _look_around(self) -> None:
        """Find files that no worker reported; delete those that are stored and have no writer."""
        try:
            in_use = self._in_use()
            found = dict(await asyncio.to_thread(journal_files, self._folder))
            for file, size in found.items():
                if self._positions.get(file, 0) < size:
                    self.notice(file, size)
            for file in found:
                if file not in in_use and self._orphaned_for_s(file) >= ORPHAN_S and await self._is_stored(file):
                    await self._forget(file)
            self._orphaned_at = {
                file: at for file, at in self._orphaned_at.items() if file in found and file not in in_use
            }
            for file in set(self._positions) - set(found):
                await self._forget(file)
        except (*STORE_ERRORS, OSError) as error:
            log.error("The journals could not be checked", event_name="journal.care", error=type(error).__name__)

    def _orphaned_for_s(self, file: str) -> float:
        # A starting worker has a journal before the pool knows it: a short absence is normal.
        now = self._clock.monotonic()
        return now - self._orphaned_at.setdefault(file, now)

    async def _is_stored(self, file: str) -> bool:
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
