"""Stores what workers journaled in PostgreSQL for the sessions of this replica: each row once, in order for each session.

One transaction holds the messages of a batch, their events and webhook deliveries, and the deletion of its rows, under the
leases of their sessions. So rows that a lost replica left are stored by the next owner, whatever died in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import JournalRecord
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.wire.journal_format import read_unchecked
from bot_service.events.publisher import EventPublisher
from bot_service.messages.inbound import Batch, ingest
from bot_service.messages.journal_losses import DAMAGED, UNFIT, JournalLoss, keep_row_aside, write_to_log
from bot_service.messages.one_chat import StoredLids
from bot_service.store import journal_rows
from bot_service.store.batch_writer import retried_on_store_errors
from bot_service.store.database import Database
from bot_service.store.errors import is_unfit
from bot_service.store.journal_rows import JournalRow
from shared import logs
from shared.clock import Clock
from shared.hooks import Hook
from shared.wake import Wake

log = logs.get(__name__)

# Small enough that one batch blocks the event loop for a few milliseconds only.
BATCH_ROWS = 50
# Workers say that there are rows. This finds those of other replicas, and what was said in vain.
LOOK_EVERY_S = 2.0
# What arrives so soon after what was stored shares the next transaction.
PACE_S = 0.008
NAME = "journal_rows"


class RowsGone(SQLAlchemyError):
    """Rows were stored by another replica in the meantime; the transaction is rolled back."""


class JournalRows:
    """``fence`` locks those of some sessions that this replica still owns, ``is_own`` says so from memory.

    ``committed`` and ``lost`` are notified as by the reader of files.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        database: Database,
        publisher: EventPublisher,
        *,
        fence: Callable[[AsyncConnection, Collection[str]], Awaitable[set[str]]],
        is_own: Callable[[str], bool],
        session_of: Callable[[str], SessionRecord | None],
        committed: Hook[[Batch]],
        lost: Hook[[JournalLoss]],
    ) -> None:
        self._folder, self._clock, self._database, self._publisher = folder, clock, database, publisher
        self._fence, self._is_own, self._session_of = fence, is_own, session_of
        self._committed, self._lost = committed, lost
        self._stored_lids = StoredLids()
        self._wake = Wake(clock)
        self._stored_s = 0.0

    def wake(self) -> None:
        """There may be rows."""
        self._wake.set()

    async def run(self) -> None:
        """The loop."""
        while True:
            await retried_on_store_errors(NAME, self._clock, self._store_all)
            await self._wake.wait(LOOK_EVERY_S)
            await self._clock.sleep(max(0.0, self._stored_s + PACE_S - self._clock.monotonic()))

    async def _store_all(self) -> None:
        async with self._database.read() as connection:
            waiting = await journal_rows.waiting(connection)
        own = {session for session in waiting if self._is_own(session)}
        while own and await self._store_some(own):
            pass

    async def _store_some(self, own: set[str]) -> bool:
        """Store the first rows of the sessions ``own``; sessions that this replica cannot store leave it.

        False when there are no more.
        """
        try:
            return await self._store(own, BATCH_ROWS) == BATCH_ROWS
        except (SQLAlchemyError, OverflowError) as error:
            if not is_unfit(error):
                raise
        # One of them must not hold up the others.
        for _ in range(BATCH_ROWS):
            try:
                await self._store(own, 1)
            except (SQLAlchemyError, OverflowError) as error:
                if not is_unfit(error):
                    raise
                await self._store(own, 1, unfit=True)
        return True

    async def _store(self, own: set[str], limit: int, *, unfit: bool = False) -> int:
        """``unfit``: the database cannot hold these, they are given up. Returns how many rows there were."""
        now = self._clock.now()
        async with self._database.write() as connection:
            rows = await journal_rows.oldest(connection, own, limit)
            own &= await self._fence(connection, {row.session for row in rows}) | own - {row.session for row in rows}
            taken, records, losses = self._read(rows, own)
            if unfit:
                losses, records = [_loss(row, record, UNFIT) for row, record in zip(taken, records, strict=True)], []
            for row in taken:
                if any(loss.start == row.seq for loss in losses):
                    await asyncio.to_thread(keep_row_aside, self._folder, row.seq, row.body)
            batch = await ingest(
                connection, [each for each in records if each is not None], now, self._session_of, self._stored_lids
            )
            await self._publisher.stage(connection, batch.drafts)
            if await journal_rows.remove(connection, [row.seq for row in taken]) != len(taken):
                raise RowsGone("rows of the journal are gone")
        self._stored_lids.stored(batch.lids)
        for loss in losses:
            write_to_log(loss)
            self._lost(loss)
        self._committed(batch)
        self._stored_s = self._clock.monotonic()
        return len(rows)

    def _read(
        self, rows: list[JournalRow], own: set[str]
    ) -> tuple[list[JournalRow], list[JournalRecord | None], list[JournalLoss]]:
        """The rows that can be stored now, what is in them, and what cannot be read."""
        taken, records, losses = [], [], list[JournalLoss]()
        for row in rows:
            record, session = read_unchecked(row.body), self._session_of(row.session)
            if record is not None and (session is None or session.creation != record.creation):
                # Rows are deleted with their session: it is the memory of this replica that is older.
                own.discard(row.session)
            if row.session not in own:
                continue
            if record is None:
                losses.append(_loss(row, None, DAMAGED))
            taken.append(row)
            records.append(record)
        return taken, records, losses


def _loss(row: JournalRow, record: JournalRecord | None, what: str) -> JournalLoss:
    item = record.item if record is not None else None
    lost = int(record is None or record.message is not None)
    return JournalLoss(NAME, what, row.seq, row.seq, lost, ((row.session, getattr(item, "id", "")),))
