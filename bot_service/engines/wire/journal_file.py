"""The journal: an append-only file of all inbound messages and receipts of one worker.

A record is ``length (4 bytes) + crc32 (4 bytes) + msgpack JournalRecord``, both numbers big-endian.
A writer begins a new file, so only the last record of a file can be torn. A record survives the
death of its process once :meth:`JournalWriter.append` has returned; a thread forces groups of
records to the disk shortly after.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bot_service.domain.message import JournalRecord
from shared.clock import Clock, to_ms

HEADER = struct.Struct(">II")
MAX_RECORD_BYTES = 8 * 1024 * 1024
SUFFIX = ".journal"


class JournalError(Exception):
    """The record is not in the journal. The message must not be acknowledged."""


class JournalWriter:
    """Thread-safe. ``grew(file name, end byte)`` is called on the appending thread."""

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
        self._encoder = msgspec.msgpack.Encoder()
        self._lock = threading.Lock()
        self._fd = -1
        self._end = 0
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
        self._folder.mkdir(parents=True, exist_ok=True)
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
        body = self._encoder.encode(record)
        if len(body) > MAX_RECORD_BYTES:
            raise JournalError(f"a record of {len(body)} bytes is longer than the {MAX_RECORD_BYTES} allowed")
        data = HEADER.pack(len(body), zlib.crc32(body)) + body
        with self._lock:
            try:
                if self._fd < 0:
                    raise JournalError("the journal is closed")
                if self._end >= self._rotate_bytes:
                    self._rotate()
                self._write(data)
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
            try:
                # Longer than the rest of the file's last block on a full disk.
                self.append(JournalRecord(meta={"filler": " " * 8192}))
            except JournalError:
                pass

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

    def _write(self, data: bytes) -> None:
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

    def _begin_file(self) -> None:
        started_ms = to_ms(self._clock.now())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while True:
            name = f"{self._worker_id}-{started_ms}{SUFFIX}"
            try:
                self._fd = os.open(self._folder / name, flags, 0o600)
            except FileExistsError:
                started_ms += 1
                continue
            self._file, self._end, self._torn = name, 0, False
            return

    def _rotate(self) -> None:
        old = self._fd
        self._begin_file()
        self._retired.append(old)

    def _sync_groups(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(self._sync_interval_s)
            self._dirty.clear()
            with self._lock:
                fd = os.dup(self._fd) if self._fd >= 0 else -1
                retired, self._retired = self._retired, []
            for old in [*retired, *([fd] if fd >= 0 else [])]:
                _sync_and_close(old)


def _sync_and_close(fd: int) -> None:
    try:
        os.fdatasync(fd)
    except OSError:
        # The kernel has the record, and the next group tries again.
        pass
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class JournalSlice:
    """``records`` are (end byte of the record, record) in order; ``end`` is where to read on.

    ``torn``: an incomplete record follows, still being written or left by a dead writer.
    ``damaged`` counts complete records that were skipped because their checksum or content is
    wrong.
    """

    records: list[tuple[int, JournalRecord]]
    end: int
    torn: bool = False
    damaged: int = 0


_DECODER = msgspec.msgpack.Decoder(JournalRecord)


def read_journal(path: Path, offset: int = 0, *, limit_bytes: int = 4 * 1024 * 1024) -> JournalSlice:
    """Records of ``path`` from byte ``offset`` on, about ``limit_bytes`` and at least one.

    Raises ``FileNotFoundError``, and ``ValueError`` when ``offset`` is beyond the end.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if offset > size:
            raise ValueError(f"offset {offset} lies behind the end {size} of {path.name}")
        file.seek(offset)
        data = file.read(limit_bytes)
        if len(data) < size - offset and _first_record_bytes(data) > len(data):
            data += file.read(_first_record_bytes(data) - len(data))
        return _parse(data, offset, reaches_end=offset + len(data) >= size)


def _first_record_bytes(data: bytes) -> int:
    if len(data) < HEADER.size:
        return HEADER.size
    length = int(HEADER.unpack_from(data)[0])
    return HEADER.size + length if length <= MAX_RECORD_BYTES else 0


def _parse(data: bytes, offset: int, *, reaches_end: bool) -> JournalSlice:
    records: list[tuple[int, JournalRecord]] = []
    at = good = damaged = pending_damage = 0
    while len(data) - at >= HEADER.size:
        length, crc = HEADER.unpack_from(data, at)
        stop = at + HEADER.size + length
        if length == 0 or length > MAX_RECORD_BYTES or stop > len(data):
            break
        record = _decode(data[at + HEADER.size : stop], crc)
        at = stop
        if record is None:
            # Counted only when a good record follows: at the end of a file it is a torn tail.
            pending_damage += 1
            continue
        damaged, pending_damage, good = damaged + pending_damage, 0, stop
        records.append((offset + stop, record))
    return JournalSlice(records, offset + good, torn=reaches_end and good < len(data), damaged=damaged)


def _decode(body: bytes, crc: int) -> JournalRecord | None:
    if zlib.crc32(body) != crc:
        return None
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError:
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
