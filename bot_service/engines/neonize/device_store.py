"""One opening of a session's device store: where the library finds it, and the marks beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot_service.engines.neonize.decrypt_marks import DecryptMark, DecryptMarks
from bot_service.engines.neonize.files import DeviceFiles
from bot_service.engines.neonize.sent_messages import SentFile, SentLog
from bot_service.engines.neonize.store_recovery import StoreRecovery
from bot_service.engines.port import Journal


class StoreFailed(Exception):
    """The device store does not answer, or belongs to another client of the session by now."""


class Marks(Protocol):
    """The messages begun, journaled and in doubt. ``begin`` raises :class:`StoreFailed`."""

    def begin(self, mark: DecryptMark) -> None: ...

    def done(self, mark: DecryptMark) -> None: ...

    def doubt(self, mark: DecryptMark | None) -> None: ...

    def close(self) -> None: ...


class ClientJournal(Protocol):
    """The journal of one client. ``failed`` is called when it cannot be written while no caller waits for that."""

    failed: Callable[[str], None] | None

    def journal(self, ends: str | None) -> Journal:
        """For the next record. ``ends``: the message that is done with it."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceStore:
    """``jid`` is the device in a store that has many; a ``new_device`` has none yet.

    ``may_dial`` holds the library before each connection and answers whether it may go ahead; it asks
    whether the client is over. ``check_owner`` ends the process when its replica has no lease any more.
    ``wait_until_fenced`` holds until the store takes nothing more of this client, which may be for ever.
    ``journal`` keeps what arrives. All of them are None for a store that this process alone has.
    """

    dsn: str
    marks: Marks
    sent: SentLog
    jid: str | None = None
    new_device: bool = False
    may_dial: Callable[[Callable[[], bool]], bool] | None = None
    check_owner: Callable[[], None] | None = None
    wait_until_fenced: Callable[[], None] | None = None
    journal: ClientJournal | None = None


class DeviceStores(Protocol):
    """Opens device stores; every call blocks."""

    def open(self, session: str, epoch: int | None) -> tuple[DeviceStore, dict[str, str]]:
        """Repairs what an earlier process left. Returns possibly lost messages too: id to reason.

        Raises ``OSError`` and :class:`StoreFailed`.
        """
        ...

    def close(self) -> None: ...


class SqliteStores:
    """A SQLite file per session, and small files beside it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._recovery = StoreRecovery()

    def open(self, session: str, epoch: int | None) -> tuple[DeviceStore, dict[str, str]]:
        files = DeviceFiles.of(self._data_dir, session)
        marks = DecryptMarks(files.marks)
        try:
            lost = self._recovery.prepare(session, files, marks)
        finally:
            marks.close()
        return DeviceStore(files.dsn, DecryptMarks(files.marks), SentFile(files.sent)), lost

    def close(self) -> None:
        """Files need no end."""
