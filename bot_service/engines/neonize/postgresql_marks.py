"""The marks of decrypted messages in PostgreSQL. One statement writes those of all sessions that changed.

They are committed without waiting for the disk: the log of PostgreSQL keeps their order, so a ratchet step is never
there without the mark that was written before it. A mark is also the question whether the store answers, and
whether the session is still this client's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any

from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.postgresql_link import ERRORS, PostgresqlLink, why
from shared import logs

log = logs.get(__name__)

MARK_S = 3.0
AGAIN_S = 0.3

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
    RETURNING d.number, n.fresh
), cleared AS (
    DELETE FROM veilleur_undo USING written WHERE written.fresh AND veilleur_undo.device = written.number
)
SELECT number FROM written
"""


class PostgresqlMarks:
    """Those of one opening of a device store; they implement ``device_store.Marks``."""

    def __init__(self, writer: MarkWriter, number: int, opening: int) -> None:
        self.number, self.opening = number, opening
        self._writer = writer
        self.begun: DecryptMark | None = None
        self.ended: DecryptMark | None = None
        self.doubted: DecryptMark | None = None
        # Old rows that were kept before this mark are of no use any more.
        self.fresh = False
        self.waiting: Future[None] | None = None

    def begin(self, mark: DecryptMark) -> None:
        """Returns when the mark is written. Raises :class:`StoreFailed`."""
        if self.begun is not None and self.begun.at_ms == mark.at_ms:
            self._writer.changed(self, begun=mark)  # another name for what is begun already
            return
        written: Future[None] = Future()
        self._writer.changed(self, begun=mark, fresh=True, waiting=written)
        try:
            written.result(MARK_S)
        except NoAnswer as error:
            raise StoreFailed(why(error)) from error

    def done(self, mark: DecryptMark) -> None:
        self._writer.changed(self, ended=mark)

    def doubt(self, mark: DecryptMark | None) -> None:
        self._writer.changed(self, doubted=mark)

    def close(self) -> None:
        """What is not written yet is still tried once."""
        self._writer.forget(self)


class MarkWriter:
    """One per process."""

    def __init__(self, link: PostgresqlLink) -> None:
        self._link = link
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
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._take():
                rows, waiting = batch
                try:
                    async with asyncio.timeout(MARK_S):
                        found = await self._write(list(rows.values()))
                except Exception as error:
                    if not isinstance(error, ERRORS):  # the loop must go on: without marks nothing is read
                        log.exception("The marks of messages cannot be written", event_name="engine.marks")
                    self._drop_connection()
                    self._failed(rows, waiting, error)
                    await asyncio.sleep(AGAIN_S)
                else:
                    self._written(rows, waiting, found)

    def _take(self) -> tuple[dict[PostgresqlMarks, tuple[Any, ...]], dict[PostgresqlMarks, Future[None]]] | None:
        with self._lock:
            rows = {marks: _row(marks) for marks in self._dirty}
            waiting = {marks: marks.waiting for marks in rows if marks.waiting is not None}
            for marks in rows:
                marks.fresh, marks.waiting = False, None
            self._dirty.clear()
            self._writing = bool(rows)
        return (rows, waiting) if rows else None

    async def _write(self, rows: list[tuple[Any, ...]]) -> set[int]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._link.connect(synchronous_commit="off")
        found = await self._connection.fetch(_WRITE, *map(list, zip(*rows, strict=True)))
        return {row[0] for row in found}

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _written(
        self, rows: dict[PostgresqlMarks, Any], waiting: dict[PostgresqlMarks, Future[None]], found: set[int]
    ) -> None:
        for marks, future in waiting.items():
            refused = None if marks.number in found else StoreFailed("the session has another client")
            _settle(future, refused)
        with self._lock:
            self._closed.difference_update(rows)

    def _failed(
        self, rows: dict[PostgresqlMarks, Any], waiting: dict[PostgresqlMarks, Future[None]], error: BaseException
    ) -> None:
        """Who waits hears of it. What is done is written when the store answers again."""
        for future in waiting.values():
            _settle(future, StoreFailed(why(error)))
        with self._lock:
            for marks, row in rows.items():
                if marks in self._closed:
                    self._closed.discard(marks)
                    continue
                marks.fresh = marks.fresh or row[-1]
                self._dirty[marks] = None


def _settle(future: Future[None], error: StoreFailed | None) -> None:
    with contextlib.suppress(Exception):  # who waited may have given up
        future.set_result(None) if error is None else future.set_exception(error)


def _row(marks: PostgresqlMarks) -> tuple[Any, ...]:
    kept = [part for mark in (marks.begun, marks.ended, marks.doubted) for part in _parts(mark)]
    return (marks.number, marks.opening, *kept, marks.fresh)


def _parts(mark: DecryptMark | None) -> tuple[str | None, int | None]:
    return (mark.message_id, mark.at_ms) if mark is not None else (None, None)
