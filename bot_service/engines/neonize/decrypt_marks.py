"""A small file that survives a kill: the last messages begun, journaled and in doubt."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SLOT_BYTES = 192


@dataclass(frozen=True, slots=True)
class DecryptMark:
    """A message, and the wall time of the mark in milliseconds."""

    message_id: str
    at_ms: int


class DecryptMarks:
    """Written from the engine's threads, one write each, without fsync: a kill loses nothing."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def begin(self, mark: DecryptMark) -> None:
        """From now on the ratchet may advance for this message."""
        self._write(0, mark)

    def done(self, mark: DecryptMark) -> None:
        """The message is in the journal, or there is nothing to journal."""
        self._write(SLOT_BYTES, mark)

    def doubt(self, mark: DecryptMark | None) -> None:
        """The end of this message was not seen in time; None: it was seen later."""
        self._write(2 * SLOT_BYTES, mark)

    def unfinished(self) -> DecryptMark | None:
        """The message that an earlier process began and did not finish.

        One that was finished, came again and was begun again is unfinished.
        """
        begun, done = self._read(0), self._read(SLOT_BYTES)
        if begun is None or (done is not None and done.message_id == begun.message_id and done.at_ms >= begun.at_ms):
            return None
        return begun

    def doubtful(self) -> DecryptMark | None:
        """The message that an earlier process may not have finished."""
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
