"""Reads records out of bytes of a journal, and finds the next one behind bytes that are damaged.

Nothing that is readable is skipped, and nothing with a wrong checksum is delivered. What lies
between two readable records is a :class:`Gap`. A writer that dies leaves at most the first part of
one record at the end of its file: this is the only end that is not damage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bot_service.domain.message import JournalRecord
from bot_service.engines.wire import journal_format as fmt

NAMES_OF_A_GAP = 20


@dataclass(frozen=True, slots=True)
class Gap:
    """Damaged bytes ``start`` to ``end`` of a file, with ``records`` lost.

    ``named`` are sessions and message ids that are still legible; a checksum vouches for neither.
    """

    start: int
    end: int
    records: int
    named: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JournalSlice:
    """``records`` are (end byte of the record, record) in order; ``end`` is where to read on.

    ``gaps`` lie before ``end``, ``tail`` are damaged bytes behind it with no readable record after
    them. ``torn``: the first part of one record follows, still being written or left by a dead
    writer. ``size`` is that of the file, ``number`` that of the last record up to ``end``; None
    when unknown.
    """

    records: list[tuple[int, JournalRecord]]
    end: int
    size: int
    torn: bool = False
    gaps: tuple[Gap, ...] = ()
    tail: Gap | None = None
    number: int | None = None

    @property
    def damaged(self) -> int:
        """Records that are lost before ``end``."""
        return sum(gap.records for gap in self.gaps)


class _Version(NamedTuple):
    header_at: Callable[[bytes, int], tuple[int, int, int] | None]
    next_begin: Callable[[bytes, int], int]
    header_bytes: int


_VERSIONS = {
    1: _Version(fmt.header_1_at, fmt.next_begin_1, fmt.HEADER_1.size),
    2: _Version(fmt.header_at, fmt.next_begin, fmt.HEADER.size),
}


def scan(data: bytes, offset: int, *, size: int, version: int, number: int | None) -> JournalSlice:
    """Reads ``data``, which begins at byte ``offset`` of a file of ``size`` bytes.

    ``number`` is that of the record before ``offset``; None when unknown.
    """
    form = _VERSIONS[version]
    records: list[tuple[int, JournalRecord]] = []
    gaps: list[Gap] = []
    reaches_end = offset + len(data) >= size
    at = good = len(fmt.FILE_HEADER) if offset == 0 and data.startswith(fmt.FILE_HEADER) else 0
    part = -1
    while at < len(data):
        header = form.header_at(data, at)
        if header is not None:
            found, length, crc = header
            stop = at + form.header_bytes + length
            record = fmt.decode(data[at + form.header_bytes : stop], crc) if stop <= len(data) else None
            if record is not None:
                if at > good or (version == 2 and number is not None and found != number + 1):
                    gaps.append(_gap(form, data, offset, good, at, found if version == 2 else None, number))
                records.append((offset + stop, record))
                at = good = stop
                number = found if version == 2 else None
                continue
            if stop > len(data):
                if not reaches_end:
                    break
                if version == 2 or at == good:
                    part = at
        elif at == good and _is_part_of_header(data[at : at + form.header_bytes], version):
            part = at
        at = form.next_begin(data, at + 1)
        if at < 0:
            break
    tail = None
    damaged_to = part if part >= good else len(data)
    if reaches_end and damaged_to > good:
        tail = _gap(form, data, offset, good, damaged_to, None, None)
    torn = reaches_end and part >= good
    return JournalSlice(records, offset + good, size, torn, tuple(gaps), tail, number)


def _is_part_of_header(rest: bytes, version: int) -> bool:
    if len(rest) >= _VERSIONS[version].header_bytes:
        return False
    if version == 1:
        return rest[0] == 0
    return rest.startswith(fmt.MAGIC[: len(rest)]) or fmt.FILE_HEADER.startswith(rest)


def _gap(form: _Version, data: bytes, offset: int, start: int, end: int, found: int | None, before: int | None) -> Gap:
    begins = _begins(form, data, start, end)
    lost = found - before - 1 if found is not None and before is not None else max(1, len(begins))
    named: list[tuple[str, str]] = []
    for at, following in zip(begins, [*begins[1:], end], strict=False):
        record = fmt.read_unchecked(data[at + form.header_bytes : following])
        if record is not None and record.message is not None and len(named) < NAMES_OF_A_GAP:
            named.append((record.message.session, record.message.id))
    return Gap(offset + start, offset + end, max(0, lost), tuple(named))


def _begins(form: _Version, data: bytes, start: int, end: int) -> list[int]:
    """Where records seem to begin within damaged bytes."""
    found = []
    at = form.next_begin(data, start)
    while 0 <= at < end:
        found.append(at)
        at = form.next_begin(data, at + 1)
    return found


def number_before(data: bytes) -> int | None:
    """The number of the record that ends with ``data``; None when it is not readable."""
    at = data.rfind(fmt.MAGIC)
    header = fmt.header_at(data, at) if at >= 0 else None
    return header[0] if header is not None and at + fmt.HEADER.size + header[1] == len(data) else None
