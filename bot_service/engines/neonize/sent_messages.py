"""Maps message ids to WhatsApp ids, because the library chooses the ids on WhatsApp.

Kept in memory and in an append-only file per session, or in PostgreSQL, so that receipts find their message after a
restart, and a message is not sent twice when only the answer was lost.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec

KEPT = 5000


@dataclass(frozen=True, slots=True)
class SentMessage:
    """`taken_at_ms` is the server's time, None as long as the server has not answered."""

    id: str
    whatsapp_id: str
    chat: str
    taken_at_ms: int | None = None


_SENT = msgspec.json.Decoder(SentMessage)  # made at import: sessions begin in several threads (decision 0132)


class SentLog(Protocol):
    """Where the sent messages of one session outlive its process. Callable from any thread."""

    def read(self) -> Sequence[SentMessage]:
        """Oldest first; a later one replaces an earlier one with its id."""
        ...

    def write(self, message: SentMessage) -> None:
        """Returns when a message that is not taken yet is kept. Raises ``device_store.StoreFailed``."""
        ...

    def keep(self, messages: Collection[SentMessage]) -> None:
        """Others are of no use any more."""
        ...

    def close(self) -> None: ...


class SentMessages:
    """The newest messages of one session. Callable from any thread."""

    def __init__(self, log: SentLog) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, SentMessage] = {}
        self._by_whatsapp_id: dict[str, SentMessage] = {}
        self._log = log
        for message in log.read():
            self._keep(message)
        log.keep(self._by_id.values())

    def note(self, message: SentMessage) -> None:
        """Stores a message, or that the server has taken it. Raises ``device_store.StoreFailed``."""
        with self._lock:
            self._keep(message)
        self._log.write(message)

    def taken(self, message_id: str, at_ms: int) -> None:
        """The server has taken the message."""
        known = self.by_id(message_id)
        if known is not None:
            self.note(replace(known, taken_at_ms=at_ms))

    def seen_taken(self, whatsapp_id: str, at_ms: int) -> None:
        """The wire proves that the server has this message, if the answer was not seen yet."""
        known = self.by_whatsapp_id(whatsapp_id)
        if known is not None and known.taken_at_ms is None:
            self.note(replace(known, taken_at_ms=at_ms))

    def by_id(self, message_id: str) -> SentMessage | None:
        with self._lock:
            return self._by_id.get(message_id)

    def by_whatsapp_id(self, whatsapp_id: str) -> SentMessage | None:
        with self._lock:
            return self._by_whatsapp_id.get(whatsapp_id)

    def whatsapp_id(self, message_id: str) -> str:
        """The WhatsApp id of a sent message; any other id is one already."""
        known = self.by_id(message_id)
        return known.whatsapp_id if known else message_id

    def own_id(self, whatsapp_id: str) -> str:
        """The id of a sent message by its WhatsApp id; any other id stays as it is."""
        known = self.by_whatsapp_id(whatsapp_id)
        return known.id if known else whatsapp_id

    def close(self) -> None:
        self._log.close()

    def _keep(self, message: SentMessage) -> None:
        self._by_id.pop(message.id, None)
        self._by_id[message.id] = message
        self._by_whatsapp_id[message.whatsapp_id] = message
        while len(self._by_id) > KEPT:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            self._by_whatsapp_id.pop(oldest.whatsapp_id, None)


class SentFile:
    """An append-only file: a line for each message, and another one when it was taken."""

    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, 0
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def read(self) -> list[SentMessage]:
        lines = self._path.read_bytes().splitlines()
        self._lines, found = len(lines), []
        for line in lines:
            try:
                found.append(_SENT.decode(line))
            except msgspec.MsgspecError:
                continue  # the last line of a killed process may be torn
        return found

    def write(self, message: SentMessage) -> None:
        with self._lock:
            if self._fd >= 0:
                os.write(self._fd, _line(message))

    def keep(self, messages: Collection[SentMessage]) -> None:
        if self._lines <= 2 * KEPT:
            return
        part = self._path.with_suffix(".part")
        part.write_bytes(b"".join(map(_line, messages)))
        part.chmod(0o600)
        os.replace(part, self._path)
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1


def _line(message: SentMessage) -> bytes:
    return msgspec.json.encode(message) + b"\n"
