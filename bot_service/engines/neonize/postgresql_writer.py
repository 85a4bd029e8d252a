"""Writes what clients keep in PostgreSQL. One statement writes that of all sessions that changed.

Marks alone are committed without waiting for the disk: the log of PostgreSQL keeps their order, so a ratchet step is never
there without the mark that was written before it. Rows of the journal and ids of messages that are being sent wait for the
disk, and for a synchronous standby.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.postgresql_link import ERRORS, PostgresqlLink, why
from bot_service.engines.neonize.postgresql_marks import WRITE_S, PostgresqlMarks, Row
from bot_service.engines.neonize.sent_messages import SentMessage
from shared import logs

log = logs.get(__name__)

AGAIN_S = 0.3

# A session that has another client, or an owner without a lease, is not among what is written: nothing of it is.
_WRITE = """
WITH n AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[],
        $8::bigint[], $9::boolean[])
        AS n (number, opening, begun_id, begun_ms, done_id, done_ms, doubt_id, doubt_ms, fresh)
), written AS (
    UPDATE veilleur_devices AS d SET begun_id = n.begun_id, begun_ms = n.begun_ms, done_id = n.done_id,
        done_ms = n.done_ms, doubt_id = n.doubt_id, doubt_ms = n.doubt_ms
    FROM n WHERE d.number = n.number AND d.opening = n.opening AND EXISTS (
        SELECT 1 FROM leases WHERE leases.id = d.session AND leases.epoch = d.epoch AND leases.holder IS NOT NULL)
    RETURNING d.number, d.session, n.fresh
), cleared AS (
    DELETE FROM veilleur_undo USING written WHERE written.fresh AND veilleur_undo.device = written.number
), journaled AS (
    INSERT INTO journal_rows (session, body)
    SELECT written.session, j.body
    FROM unnest($10::bigint[], $11::bytea[]) WITH ORDINALITY AS j (number, body, place) JOIN written USING (number)
    ORDER BY place
), sent AS (
    INSERT INTO sent_messages (session, whatsapp_id, message_id, chat, taken_ms)
    SELECT written.session, s.whatsapp_id, s.message_id, s.chat, s.taken_ms
    FROM unnest($13::bigint[], $14::text[], $15::text[], $16::text[], $17::bigint[]) WITH ORDINALITY
        AS s (number, whatsapp_id, message_id, chat, taken_ms, place) JOIN written USING (number)
    ORDER BY place
    ON CONFLICT (session, whatsapp_id) DO UPDATE SET taken_ms = excluded.taken_ms
)
SELECT number, CASE WHEN $12 THEN set_config('synchronous_commit', 'off', true) END FROM written
"""


@dataclass(slots=True)
class _Batch:
    marks: dict[PostgresqlMarks, tuple[Any, ...]] = field(default_factory=dict)
    waiting: list[tuple[PostgresqlMarks, Future[None]]] = field(default_factory=list)
    rows: list[tuple[PostgresqlMarks, Row]] = field(default_factory=list)


class Writer:
    """One per process. ``rows_written`` is called on its thread."""

    def __init__(self, link: PostgresqlLink, rows_written: Callable[[], None]) -> None:
        self._link, self._rows_written = link, rows_written
        self._lock = threading.Lock()
        self._dirty: dict[PostgresqlMarks, None] = {}
        self._closed: set[PostgresqlMarks] = set()
        self._writing = False
        self._wake = asyncio.Event()
        self._connection: Any = None
        link.spawn(self._run())

    def changed(self, marks: PostgresqlMarks, **changes: Any) -> None:
        """Write these ``changes`` of ``marks`` soon."""
        with self._lock:
            for name, value in changes.items():
                setattr(marks, name, value)
            self._is_dirty(marks)

    def add(self, marks: PostgresqlMarks, row: Row) -> None:
        """Write ``row`` soon, after those before it."""
        with self._lock:
            marks.rows.append(row)
            self._is_dirty(marks)

    def _is_dirty(self, marks: PostgresqlMarks) -> None:
        first = not self._dirty
        self._dirty[marks] = None
        if first:
            self._link.call(self._wake.set)

    def forget(self, marks: PostgresqlMarks) -> None:
        with self._lock:
            self._closed.add(marks)
            if marks not in self._dirty:
                self._closed.discard(marks)

    def flush(self, within_s: float) -> None:
        """Wait until everything is written, or for so long."""
        until = time.monotonic() + within_s
        while (self._dirty or self._writing) and time.monotonic() < until:
            time.sleep(0.01)

    async def _run(self) -> None:
        try:
            await self._write_on()
        finally:
            self._drop_connection()

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._take():
                try:
                    async with asyncio.timeout(WRITE_S):
                        found = await self._write(batch)
                except Exception as error:
                    if not isinstance(error, ERRORS):  # the loop must go on: without marks nothing is read
                        log.exception("The marks of messages cannot be written", event_name="engine.marks")
                    self._drop_connection()
                    self._failed(batch, error)
                    await asyncio.sleep(AGAIN_S)
                else:
                    self._written(batch, found)

    def _take(self) -> _Batch | None:
        batch = _Batch()
        with self._lock:
            for marks in self._dirty:
                if marks.waiting is not None:
                    batch.waiting.append((marks, marks.waiting))
                rows = [row for row in marks.rows if row.written is None or not row.written.cancelled()]
                batch.rows += [(marks, row) for row in rows]
                done = next((row.done for row in reversed(rows) if row.done is not None), marks.ended)
                batch.marks[marks] = _values(marks, done)
                marks.fresh, marks.waiting, marks.rows = False, None, []
            self._dirty.clear()
            self._writing = bool(batch.marks)
        return batch if batch.marks else None

    async def _write(self, batch: _Batch) -> set[int]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._link.connect()
        marks = map(list, zip(*batch.marks.values(), strict=True))
        records = [(marks.number, row.what) for marks, row in batch.rows if isinstance(row.what, bytes)]
        # The newest of each: a statement writes no row twice.
        sent = {
            (marks.number, row.what.whatsapp_id): row.what
            for marks, row in batch.rows
            if isinstance(row.what, SentMessage)
        }
        relaxed = not records and all(row.written is None for _, row in batch.rows)
        found = await self._connection.fetch(
            _WRITE,
            *marks,
            [number for number, _ in records],
            [body for _, body in records],
            relaxed,
            [number for number, _ in sent],
            [message.whatsapp_id for message in sent.values()],
            [message.id for message in sent.values()],
            [message.chat for message in sent.values()],
            [message.taken_at_ms for message in sent.values()],
        )
        return {row[0] for row in found}

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _written(self, batch: _Batch, found: set[int]) -> None:
        with self._lock:
            for marks, row in batch.rows:
                if row.done is not None and marks.number in found:
                    marks.ended = row.done
            self._closed.difference_update(batch.marks)
        refused = StoreFailed("the session has another client")
        for marks, future in _waiting(batch):
            _settle(future, None if marks.number in found else refused)
        if any(isinstance(row.what, bytes) for _, row in batch.rows):
            self._rows_written()

    def _failed(self, batch: _Batch, error: BaseException) -> None:
        """Who waits hears of it. The rest is written when the store answers again."""
        late = {marks for marks, row in batch.rows if row.written is None}
        with self._lock:
            for marks, values in batch.marks.items():
                if marks in self._closed:
                    self._closed.discard(marks)
                    continue
                marks.fresh = marks.fresh or values[-1]
                marks.rows = [row for of, row in batch.rows if of is marks and row.written is None] + marks.rows
                self._dirty[marks] = None
        for _, future in _waiting(batch):
            _settle(future, StoreFailed(why(error)))
        for marks in late:
            failed, marks.failed = marks.failed, None
            if failed is not None:  # it may wait for what is settled here
                threading.Thread(target=failed, args=(why(error),), name="device-store-failed", daemon=True).start()


def _waiting(batch: _Batch) -> list[tuple[PostgresqlMarks, Future[None]]]:
    return batch.waiting + [(marks, row.written) for marks, row in batch.rows if row.written is not None]


def _settle(future: Future[None], error: StoreFailed | None) -> None:
    with contextlib.suppress(Exception):  # who waited may have given up
        future.set_result(None) if error is None else future.set_exception(error)


def _values(marks: PostgresqlMarks, done: DecryptMark | None) -> tuple[Any, ...]:
    kept = [part for mark in (marks.begun, done, marks.doubted) for part in _parts(mark)]
    return (marks.number, marks.opening, *kept, marks.fresh)


def _parts(mark: DecryptMark | None) -> tuple[str | None, int | None]:
    return (mark.message_id, mark.at_ms) if mark is not None else (None, None)
