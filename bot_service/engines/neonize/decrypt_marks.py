"""Three lines in a small file: which message the engine began to decrypt last, which one is journalled last, and whose end it gave up
waiting for. Survives a kill."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SLOT_BYTES = 192


@dataclass(frozen=True, slots=True)
class DecryptMark:
    """A message, and the wall time in milliseconds at which the mark was made."""

    message_id: str
    at_ms: int


class DecryptMarks:
    """Written from the engine's threads, one write each, without forcing the disk: a killed process loses nothing by that."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def begin(self, mark: DecryptMark) -> None:
        """From here on the ratchet may move for this message."""
        self._write(0, mark)

    def done(self, mark: DecryptMark) -> None:
        """The message is in the journal, or there is nothing to journal."""
        self._write(SLOT_BYTES, mark)

    def doubt(self, mark: DecryptMark | None) -> None:
        """The end of this message was not seen in time; None: it was seen after all."""
        self._write(2 * SLOT_BYTES, mark)

    def unfinished(self) -> DecryptMark | None:
        """The message that was begun and not finished before this process, if there is one. One that was finished and begun again
        (it came again) is unfinished."""
        begun, done = self._read(0), self._read(SLOT_BYTES)
        if begun is None or (done is not None and done.message_id == begun.message_id and done.at_ms >= begun.at_ms):
            return None
        return begun

    def doubtful(self) -> DecryptMark | None:
        """The message whose end was not seen before this process ended, if there is one."""
        return self._read(2 * SLOT_BYTES)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _write(self, offset: int, mark: DecryptMark | None) -> None:
        line = f"{mark.at_ms} {mark.message_id}".encode()[: SLOT_BYTES - 1] if mark is not None else b""
        if self._fd >= 0:
            os.pwrite(self._fd, line.ljust(SLOT_BYTES - 1) + b"\n", offset)

    def _read(self, offset: int) -> DecryptMark | None:
        at, _, message_id = os.pread(self._fd, SLOT_BYTES, offset).decode(errors="replace").strip().partition(" ")
        return DecryptMark(message_id, int(at)) if at.isdigit() and message_id else None
