"""The journal: an append-only file of all inbound messages and receipts of one worker.

``journal_format`` describes the bytes, ``journal_scan`` reads them. A writer begins a new file, so
only the last record of a file can be torn. A record survives the death of its process once
:meth:`JournalWriter.append` has returned; a thread forces groups of records to the disk shortly
after.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bot_service.domain.message import JournalRecord
from bot_service.engines.wire.journal_format import (
    FILE_HEADER,
    HEADER,
    HEADER_1,
    MAGIC,
    MAX_RECORD_BYTES,
    decode,
    encode_body,
    frame,
    header_1_at,
)
from bot_service.engines.wire.journal_scan import JournalSlice, number_before, scan
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

SUFFIX = ".journal"
CHECK_EVERY_S = 1.0
_COPY_BYTES = 1024 * 1024


class JournalError(Exception):
    """The record is not in the journal. The message must not be acknowledged."""


class JournalWriter:
    """Thread-safe. ``grew(file name, end byte)`` is called on the appending thread.

    When somebody removes, replaces or changes the file while it is written, the writer begins a new
    one, at the latest after a second. The first record of a new file names the file before it.
    """

    def __init__(
        self,
        folder: Path,
        worker_id: str,
        clock: Clock,
        *,
        grew: Callable[[str, int], None],
        rotate_bytes: int = 64 * 1024 * 1024,
        sync_interval_s: float = 0.05,
    ) -> None:
        self._folder, self._worker_id, self._clock = folder, worker_id, clock
        self._grew = grew
        self._rotate_bytes = rotate_bytes
        self._sync_interval_s = sync_interval_s
        self._lock = threading.Lock()
        self._fd = -1
        self._end = self._number = 0
        self._torn = False
        self.failing = False
        """Whether the last record was refused by the disk."""
        self._file = ""
        self._retired: list[int] = []
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync_groups, name="journal-sync", daemon=True)

    def open(self) -> None:
        """Creates the file and starts the thread that forces records to the disk."""
        with self._lock:
            self._begin_file()
        self._syncer.start()

    @property
    def position(self) -> tuple[str, int]:
        """Name of the file being written and the end of its last complete record in bytes."""
        with self._lock:
            return self._file, self._end

    def append(self, record: JournalRecord) -> None:
        """Returns once the record is in the file.

        Raises :class:`JournalError` and leaves no part of it.
        """
        body = encode_body(record)
        if len(body) > MAX_RECORD_BYTES:
            raise JournalError(f"a record of {len(body)} bytes is longer than the {MAX_RECORD_BYTES} allowed")
        with self._lock:
            try:
                if self._fd < 0:
                    raise JournalError("the journal is closed")
                changed = self._changed()
                if changed is not None:
                    self._replace(changed)
                elif self._end >= self._rotate_bytes:
                    self._continue_in_new_file()
                self._write(body)
            except OSError as error:
                self.failing = True
                raise JournalError(f"the journal cannot be written: {error.strerror}") from error
            self.failing = False
            name, end = self._file, self._end
        self._dirty.set()
        self._grew(name, end)

    def try_again(self) -> None:
        """After a failure, tests the disk with a record without a message."""
        if self.failing:
            with contextlib.suppress(JournalError):
                # Longer than the rest of the file's last block on a full disk.
                self.append(JournalRecord(meta={"filler": " " * 8192}))

    def close(self) -> None:
        """Forces everything to the disk and closes the file; a later append raises."""
        self._closing.set()
        self._dirty.set()
        if self._syncer.is_alive():
            self._syncer.join(timeout=10)
        with self._lock:
            retired, self._retired = self._retired, []
            if self._fd >= 0:
                retired.append(self._fd)
            self._fd = -1
        for fd in retired:
            _sync_and_close(fd)

    def _write(self, body: bytes) -> None:
        data = frame(self._number + 1, body)
        if self._end == 0:
            # With the first record: an empty file fits on a full disk.
            data = FILE_HEADER + data
        if self._torn:
            os.ftruncate(self._fd, self._end)
            self._torn = False
        try:
            written = os.write(self._fd, data)
        except OSError:
            self._torn = True
            raise
        if written != len(data):
            # The disk filled up in the middle of the record: remove the part.
            self._torn = True
            os.ftruncate(self._fd, self._end)
            self._torn = False
            self.failing = True
            raise JournalError("the journal cannot be written: no space for the whole record")
        self._end += written
        self._number += 1

    def _changed(self) -> str | None:
        """What another process did to the file; None for nothing."""
        own = os.fstat(self._fd)
        if own.st_nlink == 0:
            return "removed"
        if own.st_size < self._end:
            return "truncated"
        return "changed" if own.st_size > self._end and not self._torn else None

    def _moved(self) -> str | None:
        """The same for its name."""
        try:
            there = os.stat(self._folder / self._file)
        except FileNotFoundError:
            return "removed"
        return None if os.path.samestat(there, os.fstat(self._fd)) else "replaced"

    def _replace(self, what: str) -> None:
        """Begins a new file, with all records of one that has no name any more."""
        log.error(
            f"The journal was {what} while in use; a new file is begun",
            event_name="journal.replaced",
            file=self._file,
            what=what,
        )
        has_all = os.fstat(self._fd).st_size >= self._end
        self._continue_in_new_file(what=what, copied=has_all and what in ("removed", "replaced"))

    def _continue_in_new_file(self, *, what: str | None = None, copied: bool = False) -> None:
        old, name, end, number, torn = self._fd, self._file, self._end, self._number, self._torn
        before = {"file": name, "records": number, "what": what, "copied": copied}
        self._begin_file()
        try:
            if copied:
                _copy(old, self._fd, end)
                self._end, self._number = end, number
            self._write(encode_body(JournalRecord(meta={"before": before})))
        except (OSError, JournalError):
            os.close(self._fd)
            with contextlib.suppress(OSError):
                os.unlink(self._folder / self._file)
            self._fd, self._file, self._end, self._number, self._torn = old, name, end, number, torn
            raise
        self._retired.append(old)

    def _begin_file(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun_ms = max(to_ms(self._clock.now()), started_ms(self._file) + 1)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while True:
            name = f"{self._worker_id}-{begun_ms}{SUFFIX}"
            try:
                self._fd = os.open(self._folder / name, flags, 0o600)
            except FileExistsError:
                begun_ms += 1
                continue
            self._file, self._end, self._number, self._torn = name, 0, 0, False
            return

    def _sync_groups(self) -> None:
        while not self._closing.is_set():
            if not self._dirty.wait(CHECK_EVERY_S):
                self._check_name()
                continue
            self._closing.wait(self._sync_interval_s)
            self._dirty.clear()
            self._check_name()
            with self._lock:
                fd = os.dup(self._fd) if self._fd >= 0 else -1
                retired, self._retired = self._retired, []
            for old in [*retired, *([fd] if fd >= 0 else [])]:
                _sync_and_close(old)

    def _check_name(self) -> None:
        grew = False
        with self._lock:
            try:
                changed = self._moved() or self._changed() if self._fd >= 0 else None
                if changed is not None:
                    self._replace(changed)
                    grew = True
            except (OSError, JournalError):
                self.failing = True
            name, end = self._file, self._end
        if grew:
            self._dirty.set()
            self._grew(name, end)


def _copy(source: int, target: int, end: int) -> None:
    at = 0
    while at < end:
        data = os.pread(source, min(_COPY_BYTES, end - at), at)
        if not data or os.write(target, data) != len(data):
            raise JournalError("the records of a journal that was removed do not fit on the disk")
        at += len(data)


def _sync_and_close(fd: int) -> None:
    try:
        os.fdatasync(fd)
    except OSError:
        # The kernel has the record, and the next group tries again.
        pass
    finally:
        os.close(fd)


def read_journal(
    path: Path, offset: int = 0, *, limit_bytes: int = 4 * 1024 * 1024, number: int | None = None
) -> JournalSlice:
    """Records of ``path`` from byte ``offset`` on, about ``limit_bytes`` and at least one.

    ``number`` is that of the record before ``offset``; read from the file when None. Raises
    ``OSError``, and ``ValueError`` when ``offset`` is beyond the end.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if offset > size:
            raise ValueError(f"offset {offset} lies behind the end {size} of {path.name}")
        version = _version(file)
        if number is None and version == 2:
            number = _number_before(file, offset)
        while True:
            file.seek(offset)
            piece = scan(file.read(limit_bytes), offset, size=size, version=version, number=number)
            if piece.records or offset + limit_bytes >= size:
                return piece
            limit_bytes *= 4


def _version(file: BinaryIO) -> int:
    first = file.read(len(FILE_HEADER))
    if not first.startswith(b"\0"):
        return 2
    data = first + file.read()
    # A good first record decides; behind damage there may be the bytes of the other version.
    header = header_1_at(data, 0)
    if header is not None and decode(data[HEADER_1.size : HEADER_1.size + header[1]], header[2]) is not None:
        return 1
    return 2 if MAGIC in data else 1


def _number_before(file: BinaryIO, offset: int) -> int | None:
    if offset <= len(FILE_HEADER):
        return 0
    for reach in (64 * 1024, HEADER.size + MAX_RECORD_BYTES):
        start = max(0, offset - reach)
        file.seek(start)
        number = number_before(file.read(offset - start))
        if number is not None:
            return number
    return None


def journal_files(folder: Path) -> list[tuple[str, int]]:
    """Every journal in ``folder``, oldest first by name's time, with its size in bytes."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            found.append((path.name, path.stat().st_size))
        except FileNotFoundError:
            continue
    return sorted(found, key=lambda item: (started_ms(item[0]), item[0]))


def started_ms(name: str) -> int:
    """When the journal ``name`` was begun, in ms since the epoch, by its name."""
    stamp = name.removesuffix(SUFFIX).rpartition("-")[2]
    return int(stamp) if stamp.isdigit() else 0
