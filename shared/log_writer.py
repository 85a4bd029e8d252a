"""Writes the log without ever making its callers wait, also when the other end takes nothing.

A thread writes to the file; callers only put lines into a bounded buffer. Lines that do not fit
are counted, and the count is written when the file takes lines again.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

BUFFER_BYTES = 1024 * 1024
_BATCH_BYTES = 64 * 1024
_DRAIN_S = 1.0


class LogWriter:
    """Writes to the file descriptor ``fd``. Any thread may call it."""

    def __init__(self, fd: int, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._fd, self._limit = fd, buffer_bytes
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._size = self._lost = 0
        self._thread: threading.Thread | None = None
        self._writing = False
        self.lost_note: Callable[[int], str] = lambda lost: f"{lost} lines of the log were lost"

    def write(self, text: str) -> None:
        """Queue ``text``, which ends with a line break. Does not wait for the file."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._size + len(data) > self._limit:
                self._lost += max(1, data.count(b"\n"))
                return
            if self._lost:
                self._put_note()
            self._pieces.append(data)
            self._size += len(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def drain(self, timeout_s: float = _DRAIN_S) -> bool:
        """Wait until all is written, for ``timeout_s`` seconds at most; whether it is."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while self._size or self._writing:
                if not self._changed.wait(until - time.monotonic()) and time.monotonic() >= until:
                    return False
            return True

    def _put_note(self) -> None:
        note = (self.lost_note(self._lost) + "\n").encode("utf-8", "backslashreplace")
        self._lost = 0
        self._pieces.append(note)
        self._size += len(note)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                if not self._pieces and self._lost:
                    self._put_note()
                self._changed.notify_all()
                while not self._pieces:
                    self._changed.wait()
                batch = bytearray()
                while self._pieces and len(batch) < _BATCH_BYTES:
                    batch += self._pieces.popleft()
                self._size -= len(batch)
                self._writing = True
            self._write_out(bytes(batch))

    def _write_out(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    # Another process made the shared pipe non-blocking.
                    select.select([], [self._fd], [], 1.0)
                    continue
                # A full disk must not end the program: lines are lost until it takes some again.
                with self._changed:
                    self._lost += data.count(b"\n")
                time.sleep(0.1)
                return


class LogStream(io.TextIOBase):
    """A text stream on a :class:`LogWriter`; a drop-in for ``sys.stdout``."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, stream: TextIO, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._fd = stream.fileno()
        self._is_terminal = stream.isatty()
        self._stream = stream  # kept: its end would close the descriptor
        self.writer = LogWriter(self._fd, buffer_bytes=buffer_bytes)
        atexit.register(self.writer.drain)

    def write(self, text: str) -> int:
        if text:
            self.writer.write(text)
        return len(text)

    def flush(self) -> None:
        """Nothing: a flush must not wait either."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._is_terminal

    def fileno(self) -> int:
        return self._fd


def unblock_standard_streams() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``, so that no ``print`` of any library waits."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, LogStream):
            stream.flush()
            setattr(sys, name, LogStream(stream))


def write_bounded(text: str, timeout_s: float = _DRAIN_S) -> None:
    """Write ``text`` to standard output, and return after ``timeout_s`` seconds in any case."""

    def write() -> None:
        out = sys.stdout
        out.write(text)
        out.flush()
        if isinstance(out, LogStream):
            out.writer.drain(timeout_s)

    # In a thread: a stream that is no LogStream may block.
    thread = threading.Thread(target=write, name="last-words", daemon=True)
    thread.start()
    thread.join(timeout_s)
