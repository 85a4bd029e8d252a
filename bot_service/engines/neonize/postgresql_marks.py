"""What a client keeps in PostgreSQL beside the library's own tables: its marks, the journal of what arrived, and sent ids.

``postgresql_writer`` writes them; each write is also the question whether the store answers, and whether the session is
still this client's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot_service.domain.message import JournalRecord
from bot_service.engines.neonize.decrypt_marks import DecryptMark
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.postgresql_link import why
from bot_service.engines.neonize.sent_messages import KEPT, SentMessage
from bot_service.engines.wire.journal_file import JournalError
from bot_service.engines.wire.journal_format import MAX_RECORD_BYTES, encode_body

if TYPE_CHECKING:
    from bot_service.engines.neonize.postgresql_writer import Writer

# Of a write that somebody waits for.
WRITE_S = 3.0
# Writes of sent ids after which old ones are deleted.
FORGET_EVERY = 2000


@dataclass(slots=True, eq=False)
class Row:
    """A record of the journal, or a sent message. ``done``: the mark that is written with it.

    ``written``: None when no caller waits.
    """

    what: bytes | SentMessage
    done: DecryptMark | None
    written: Future[None] | None


class PostgresqlMarks:
    """Those of one opening of a device store; they implement ``device_store.Marks``.

    The writer changes the attributes under its lock.
    """

    def __init__(self, writer: Writer, number: int, opening: int) -> None:
        self.number, self.opening = number, opening
        self._writer = writer
        self.begun: DecryptMark | None = None
        self.ended: DecryptMark | None = None
        self.doubted: DecryptMark | None = None
        # Old rows that were kept before this mark are of no use any more.
        self.fresh = False
        self.waiting: Future[None] | None = None
        self.rows: list[Row] = []
        self.failed: Callable[[str], None] | None = None
        """Called when something that no caller waits for cannot be written now."""

    def begin(self, mark: DecryptMark) -> None:
        """Returns when the mark is written. Raises :class:`StoreFailed`."""
        if self.begun is not None and self.begun.at_ms == mark.at_ms:
            self._writer.changed(self, begun=mark)  # another name for what is begun already
            return
        written: Future[None] = Future()
        self._writer.changed(self, begun=mark, fresh=True, waiting=written)
        _wait(written)

    def done(self, mark: DecryptMark) -> None:
        if self.ended is not self.begun or self.ended is None or mark.message_id != self.ended.message_id:
            self._writer.changed(self, ended=mark)

    def doubt(self, mark: DecryptMark | None) -> None:
        self._writer.changed(self, doubted=mark)

    def close(self) -> None:
        """What is not written yet is still tried once."""
        self._writer.forget(self)

    def journal(self, ends: str | None) -> PostgresqlJournal:
        """For the next record. ``ends``: the message that is done with it."""
        return PostgresqlJournal(self, ends)

    def append(self, record: JournalRecord, ends: str | None) -> None:
        """See :class:`PostgresqlJournal`."""
        body = encode_body(record)
        if len(body) > MAX_RECORD_BYTES:
            raise JournalError(f"a record of {len(body)} bytes is longer than the {MAX_RECORD_BYTES} allowed")
        begun = self.begun
        done = begun if begun is not None and begun.message_id == ends else None
        row = Row(body, done, Future() if record.message is not None else None)
        try:
            self._add(row)
        except StoreFailed as error:
            raise JournalError(str(error)) from error

    def sent(self, message: SentMessage) -> None:
        """Keeps the id of a sent message: before its frame leaves, and soon after the server has taken it."""
        self._add(Row(message, None, Future() if message.taken_at_ms is None else None))

    def _add(self, row: Row) -> None:
        self._writer.add(self, row)
        if row.written is not None:
            _wait(row.written)


@dataclass(frozen=True, slots=True)
class PostgresqlJournal:
    """A journal of one client for one record.

    A message is in PostgreSQL when it returns, with the mark that it is done: one is never there without the other.
    Receipts of sent messages, calls and changes of groups follow soon: WhatsApp knows of them already.
    """

    marks: PostgresqlMarks
    ends: str | None

    def append(self, record: JournalRecord) -> None:
        self.marks.append(record, self.ends)


class PostgresqlSent:
    """The sent messages of a session; implements :class:`SentLog`. ``known`` are those of earlier openings.

    ``forget_old`` is called now and then.
    """

    def __init__(self, marks: PostgresqlMarks, known: Sequence[SentMessage], forget_old: Callable[[], object]) -> None:
        self._marks, self._known, self._forget_old = marks, known, forget_old
        self._count = itertools.count(1)

    def read(self) -> Sequence[SentMessage]:
        known, self._known = self._known, ()
        return known

    def write(self, message: SentMessage) -> None:
        self._marks.sent(message)
        if next(self._count) % FORGET_EVERY == 0:
            self._forget_old()

    def keep(self, messages: Collection[SentMessage]) -> None:
        if len(messages) >= KEPT:
            self._forget_old()

    def close(self) -> None:
        """As the marks are."""


def _wait(written: Future[None]) -> None:
    try:
        written.result(WRITE_S)
    except NoAnswer as error:
        written.cancel()
        raise StoreFailed(why(error)) from error
