"""Reads the workers' journals into the store, each record exactly once, without blocking a worker.

One transaction holds the messages of a batch, their events and webhook deliveries, and the position
in the file. After a crash, reading continues at the stored position, and a message that was read
twice is dropped by its key (session, chat, id). While the store refuses to write, reading stops and
the journals keep their records on disk.

What is damaged, cut or gone is reported by ``lost`` and never taken for an end. The one normal end
that is not complete is the torn last record of a worker that died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from bot_service.domain.message import JournalRecord
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.wire.journal_file import journal_files, read_journal
from bot_service.engines.wire.journal_scan import Gap, JournalSlice
from bot_service.events.publisher import EventPublisher
from bot_service.messages.inbound import Batch, ingest
from bot_service.messages.journal_losses import UNFIT, JournalLoss, keep_aside, write_to_log
from bot_service.messages.one_chat import StoredLids
from bot_service.store import messages
from bot_service.store.batch_writer import STORE_ERRORS, retried_on_store_errors
from bot_service.store.database import Database
from bot_service.store.errors import is_unfit
from shared import logs
from shared.clock import Clock, to_ms
from shared.hooks import Hook
from shared.wake import Wake

log = logs.get(__name__)

# Small enough that one batch blocks the event loop for a few milliseconds only.
BATCH_RECORDS = 50
SLICE_BYTES = 256 * 1024
LOOK_EVERY_S = 5.0
# A transaction costs more than its messages. When more than one in PACE_S would begin, what arrives shares the next one;
# after a pause, messages have a transaction each for BURST_S.
PACE_S = 0.008
BURST_S = 0.1
ORPHAN_S = 60.0


class JournalReader:
    """``in_use()`` names the files that a running worker may append to.

    ``session_of(id)`` is None for a deleted session. ``committed`` notifies of every batch,
    ``lost`` of every damage. ``unreadable`` are files that the disk does not give.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        database: Database,
        publisher: EventPublisher,
        *,
        in_use: Callable[[], set[str]],
        session_of: Callable[[str], SessionRecord | None],
    ) -> None:
        self._folder, self._clock, self._database, self._publisher = folder, clock, database, publisher
        self._in_use, self._session_of = in_use, session_of
        self._announced: dict[str, int] = {}  # by the writer: complete records up to here
        self._targets: dict[str, int] = {}  # there may be more to read up to here
        self._positions: dict[str, int] = {}
        self._numbers: dict[str, int | None] = {}  # of the record before the position
        self._expected: dict[str, int] = {}  # records that the writer put into a finished file
        self._missing: dict[str, tuple[float, str]] = {}  # since when announced records are not there, and why
        self._ended: dict[str, int] = {}  # size of the file when nothing more was readable
        self._cut: set[str] = set()  # shorter than what was stored of them
        self._tails: dict[str, int] = {}  # size of the file when its end was found damaged
        self._wake = Wake(clock)
        self.committed: Hook[[Batch]] = Hook()
        self.lost: Hook[[JournalLoss]] = Hook()
        self.unreadable: set[str] = set()
        self._orphaned_at: dict[str, float] = {}
        self._stored_lids = StoredLids()
        self._loaded = False
        self.caught_up = asyncio.Event()

    def notice(self, file: str, end: int) -> None:
        """A journal holds complete records up to byte ``end``. Repeated calls are harmless."""
        if end > self._announced.get(file, 0):
            self._announced[file] = self._targets[file] = end
            self._wake.set()

    def behind_bytes(self) -> int:
        """Bytes in the journals that are not in the store yet."""
        return sum(max(0, end - self._positions.get(file, 0)) for file, end in self._targets.items())

    async def run(self) -> None:
        """The loop: reads what workers report, and every few seconds whatever is in the folder."""
        if not self._loaded:
            async with self._database.read() as connection:
                self._positions = await messages.positions(connection)
            self._loaded = True
        next_look = paced_until = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= next_look:
                await self._look_around()
                next_look = self._clock.monotonic() + LOOK_EVERY_S
            began = self._clock.monotonic()
            if not await self._read_on():
                self.caught_up.set()
                await self._wake.wait(max(0.0, next_look - self._clock.monotonic()))
                continue
            paced_until = max(paced_until, began - BURST_S) + PACE_S
            if (rest_s := paced_until - self._clock.monotonic()) > 0 and self.behind_bytes() < SLICE_BYTES:
                await self._clock.sleep(rest_s)

    async def _read_on(self) -> bool:
        """Read one slice of every file that has more; False when none had."""
        worked = False
        for file in sorted(self._targets):
            if self._has_more(file):
                worked = await self._read_slice(file) or worked
        return worked

    def _has_more(self, file: str) -> bool:
        return self._positions.get(file, 0) < self._targets.get(file, 0)

    async def _read_slice(self, file: str) -> bool:
        position = self._positions.get(file, 0)
        try:
            piece = await asyncio.to_thread(
                read_journal, self._folder / file, position, limit_bytes=SLICE_BYTES, number=self._numbers.get(file)
            )
        except (FileNotFoundError, ValueError) as error:
            self._targets.pop(file, None)
            self._note_missing(file, "removed" if isinstance(error, FileNotFoundError) else "truncated")
            return False
        except OSError as error:
            log.error("A journal cannot be read", event_name="journal.unreadable", file=file, error=str(error))
            self.unreadable.add(file)
            self._targets.pop(file, None)
            return False
        self.unreadable.discard(file)
        for gap in piece.gaps:
            await self._lose(_damage(file, gap))
        if piece.records:
            await self._store(file, piece)
        self._numbers[file] = piece.number
        if not piece.records:
            self._targets.pop(file, None)
            await self._at_end(file, piece)
        return bool(piece.records)

    async def _at_end(self, file: str, piece: JournalSlice) -> None:
        """Bytes without a complete record: being written, torn, damaged, or cut off."""
        self._ended[file] = piece.size
        if piece.size < self._announced.get(file, 0):
            self._note_missing(file, "truncated")
        if piece.tail is None:
            self._tails.pop(file, None)
        elif self._tails.get(file) == piece.size:
            await self._skip(file, piece.tail)
        else:
            # A record that is written at this moment may follow: looked at again when it stands still.
            self._tails[file] = piece.size

    async def _skip(self, file: str, tail: Gap) -> None:
        """The end of ``file`` is damaged and will not change."""
        number, expected = self._numbers.get(file), self._expected.get(file)
        lost = max(0, expected - number) if expected is not None and number is not None else tail.records
        await self._lose(JournalLoss(file, "damaged", tail.start, tail.end, lost, tail.named))
        self._tails.pop(file, None)
        await self._pass_over(file, tail.end, lost)

    async def _pass_over(self, file: str, end: int, lost: int) -> None:
        number = self._numbers.get(file)
        self._numbers[file] = number + lost if number is not None else None
        async with self._database.write() as connection:
            await messages.set_position(connection, file, end, to_ms(self._clock.now()))
        self._positions[file] = end

    async def _lose(self, loss: JournalLoss) -> None:
        write_to_log(loss)
        self.lost(loss)
        try:
            await asyncio.to_thread(keep_aside, self._folder, loss.file)
        except OSError as error:
            log.error(
                "A damaged journal cannot be kept", event_name="journal.aside", file=loss.file, error=error.strerror
            )

    def _note_missing(self, file: str, what: str) -> None:
        if self._announced.get(file, 0) > self._positions.get(file, 0):
            self._missing.setdefault(file, (self._clock.monotonic(), what))

    async def _note_before(self, record: JournalRecord) -> None:
        """The first record of a file names what was written to the file before it."""
        before = record.meta.get("before")
        if not isinstance(before, dict):
            return
        file, what, copied = str(before["file"]), before.get("what"), bool(before.get("copied"))
        if copied:
            self._missing.pop(file, None)
            self._announced.pop(file, None)
        else:
            self._expected[file] = int(before["records"])
        if what is not None:
            end = self._positions.get(file, 0)
            await self._lose(JournalLoss(file, str(what), end, end, 0))

    async def _store(self, file: str, piece: JournalSlice) -> None:
        for start in range(0, len(piece.records), BATCH_RECORDS):
            part = piece.records[start : start + BATCH_RECORDS]
            end = piece.end if start + BATCH_RECORDS >= len(piece.records) else part[-1][0]
            await self._store_part(file, part, end)
            for _, record in part:
                if record.meta:
                    await self._note_before(record)

    async def _store_part(self, file: str, part: Sequence[tuple[int, JournalRecord]], end: int) -> None:
        commit = partial(self._commit, file, [record for _, record in part], end)
        batch = await retried_on_store_errors("journal", self._clock, commit)
        if batch is None and len(part) > 1:
            # One of them must not hold up the others.
            for number, (own_end, record) in enumerate(part, 1):
                await self._store_part(file, [(own_end, record)], own_end if number < len(part) else end)
            return
        if batch is None:
            [(_, record)] = part
            item = record.item
            named = ((item.session, getattr(item, "id", "")),) if item is not None else ()
            begin = self._positions.get(file, 0)
            await self._lose(JournalLoss(file, UNFIT, begin, end, int(record.message is not None), named))
            await self._pass_over(file, end, 0)
            return
        self._positions[file] = end
        self._stored_lids.stored(batch.lids)
        if batch.dropped:
            log.warning(
                "Messages and receipts of deleted sessions were dropped",
                event_name="journal.deleted_session",
                records=sum(batch.dropped.values()),
                sessions=sorted(batch.dropped)[:10],
            )
        self.committed(batch)

    async def _commit(self, file: str, records: Sequence[JournalRecord], end: int) -> Batch | None:
        """None when the database cannot hold a value of the ``records``, however often it is tried."""
        now = self._clock.now()
        try:
            async with self._database.write() as connection:
                batch = await ingest(connection, records, now, self._session_of, self._stored_lids)
                await self._publisher.stage(connection, batch.drafts)
                await messages.set_position(connection, file, end, to_ms(now))
        except (SQLAlchemyError, OverflowError) as error:
            if is_unfit(error):
                return None
            raise
        return batch

    async def _look_around(self) -> None:
        """Find files that no worker reported; delete those that are stored and have no writer."""
        try:
            in_use = self._in_use()
            found = dict(await asyncio.to_thread(journal_files, self._folder))
            for file, size in found.items():
                position = self._positions.get(file, 0)
                if position < size:
                    self._targets[file] = max(size, self._targets.get(file, 0))
                    self._wake.set()
                elif size < position and file not in self._cut:
                    # Its writer reports this itself while it lives; what else was there is unknown.
                    self._cut.add(file)
                    if _worker(file) not in {_worker(each) for each in in_use}:
                        await self._lose(JournalLoss(file, "truncated", size, position, 0))
            await self._settle_missing({_worker(file) for file in in_use})
            await self._settle_expected(found)
            for file in found:
                if file not in in_use and self._orphaned_for_s(file) >= ORPHAN_S and await self._is_stored(file):
                    await self._forget(file)
            self._orphaned_at = {
                file: at for file, at in self._orphaned_at.items() if file in found and file not in in_use
            }
            for file in set(self._positions) - set(found):
                self._note_missing(file, "removed")
                if file not in self._missing:
                    await self._forget(file)
        except (*STORE_ERRORS, OSError) as error:
            log.error("The journals could not be checked", event_name="journal.care", error=type(error).__name__)

    async def _settle_missing(self, running: set[str]) -> None:
        """Announced records that are not there are lost, unless their writer copied them."""
        for file, (since, what) in list(self._missing.items()):
            waited_s = self._clock.monotonic() - since
            answered = file in self._expected or _worker(file) not in running
            if waited_s < LOOK_EVERY_S or not (answered or waited_s >= ORPHAN_S):
                continue
            del self._missing[file]
            self._cut.add(file)
            start, end = self._positions.get(file, 0), self._announced.pop(file, 0)
            number, expected = self._numbers.get(file), self._expected.pop(file, None)
            lost = 1 if expected is None or number is None else max(0, expected - number)
            await self._lose(JournalLoss(file, what, start, end, lost))
            await self._pass_over(file, end, lost)

    async def _settle_expected(self, sizes: dict[str, int]) -> None:
        """A finished file that was read to its end has as many records as its writer says."""
        for file, expected in list(self._expected.items()):
            size = sizes.get(file, 0)
            is_read = self._positions.get(file, 0) >= size or self._ended.get(file) == size
            if not is_read or file in self._missing or file in self._tails:
                continue
            del self._expected[file]
            number, end = self._numbers.get(file), self._positions.get(file, 0)
            if number is not None and number < expected:
                await self._lose(JournalLoss(file, "truncated", end, end, expected - number))
                self._numbers[file] = expected

    def _orphaned_for_s(self, file: str) -> float:
        # A starting worker has a journal before the pool knows it: a short absence is normal.
        now = self._clock.monotonic()
        return now - self._orphaned_at.setdefault(file, now)

    async def _is_stored(self, file: str) -> bool:
        if file in self._missing or file in self._expected:
            return False
        try:
            piece = await asyncio.to_thread(read_journal, self._folder / file, self._positions.get(file, 0))
        except ValueError:
            return True  # cut off behind what is stored
        except OSError:
            return False
        if piece.records:
            return False
        if piece.tail is not None:
            await self._skip(file, piece.tail)
        return True

    async def _forget(self, file: str) -> None:
        async with self._database.write() as connection:
            await messages.forget_position(connection, file)
        await asyncio.to_thread((self._folder / file).unlink, missing_ok=True)
        for known in (
            self._positions,
            self._announced,
            self._targets,
            self._numbers,
            self._expected,
            self._tails,
            self._ended,
        ):
            known.pop(file, None)
        self.unreadable.discard(file)
        self._cut.discard(file)


def _damage(file: str, gap: Gap) -> JournalLoss:
    return JournalLoss(file, "damaged", gap.start, gap.end, gap.records, gap.named)


def _worker(file: str) -> str:
    return file.rpartition("-")[0]
