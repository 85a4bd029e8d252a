"""The port of an engine in a worker process: a folder per engine, one contract suite."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from bot_service.domain.calls import Call
from bot_service.domain.directory import Question
from bot_service.domain.group_changes import GroupChange
from bot_service.domain.message import InboundMessage, JournalRecord, OutgoingMessage, Receipt, Sent
from bot_service.domain.signals import SignalKind


class EngineError(Exception):
    """A failed command. ``code`` is stable; ``field`` is the wrong argument, if any.

    Codes: ``not_started``, ``not_connected``, ``timeout``, ``rejected``, ``not_supported``,
    ``not_pairing``, ``unknown_action``, ``invalid``, ``timelocked``, ``outdated`` (WhatsApp refuses
    the client version); of the worker ``journal`` (a message could not be journaled), ``internal``;
    of the pool ``worker_lost`` (the result is unknown), ``no_worker``.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False, field: str | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.retryable, self.field = code, detail, retryable, field


class Journal(Protocol):
    def append(self, record: JournalRecord) -> None:
        """Raises ``JournalError`` when the record is not in the journal."""
        ...


class EngineSink(Protocol):
    """Where an engine reports what happens; callable from its own threads.

    ``into`` is a journal that belongs to the client, instead of the worker's.
    """

    def signal(self, session: str, kind: SignalKind, data: dict[str, Any] | None = None) -> None: ...

    def inbound(self, message: InboundMessage, into: Journal | None = None) -> None:
        """Returns once the message is in the journal; only then may the engine acknowledge it.

        Raises :class:`EngineError` ``journal``: the engine must not acknowledge it then.
        """
        ...

    def receipt(self, receipt: Receipt, into: Journal | None = None) -> None: ...

    def call(self, call: Call, into: Journal | None = None) -> None: ...

    def group_change(self, change: GroupChange, into: Journal | None = None) -> None: ...

    def wrote_rows(self) -> None:
        """Records are in the journal that replicas share."""
        ...

    def frame_seen(self, session: str) -> None: ...


class Engine(Protocol):
    """All methods are called from the worker's event loop and raise :class:`EngineError` only.

    The worker itself reports STARTED (just before :meth:`start`), STOPPED and UNLINKED. It never
    calls :meth:`start` for a running session, nor two of start, stop and logout for one session at
    the same time. A call that takes too long is cancelled.
    """

    async def start(
        self,
        session: str,
        *,
        jid: str | None,
        proxy: str | None,
        pairing: bool,
        canary: bool = False,
        epoch: int | None = None,
    ) -> None:
        """Begins to connect and returns; the rest comes as signals.

        ``pairing`` shows QR codes when there is no jid. ``canary``: this login finds out whether
        the client version is accepted. Others raise :class:`EngineError` ``outdated`` while it is
        known to be refused. ``epoch`` is that of the session's lease where replicas share a device store.
        """
        ...

    async def stop(self, session: str) -> None:
        """Disconnects, drains, and removes the client; the pairing stays. Idempotent."""
        ...

    async def logout(self, session: str) -> None:
        """Unlinks the phone at the server, then stops. Raises ``not_connected``."""
        ...

    async def pairing_code(self, session: str, phone: str) -> str: ...

    async def send(self, session: str, message: OutgoingMessage) -> Sent: ...

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None: ...

    async def typing(self, session: str, chat: str, state: str) -> None:
        """``state`` is ``composing``, ``recording`` or ``paused``."""
        ...

    async def ask(self, session: str, question: Question) -> Any:
        """The answer of WhatsApp to a question about numbers, groups, people or the own account."""
        ...

    async def simulate(self, session: str | None, action: str, args: dict[str, Any]) -> Any:
        """For the simulator; other engines raise ``not_supported``."""
        ...

    async def close(self) -> None:
        """Stops every session; called on SIGTERM and before a replacement."""
        ...


class CopyError(Exception):
    """The built-in library has to be used. ``reason`` is stable; the text is for people.

    Reasons: ``not_installed``, ``not_unique``, ``not_writable``, ``no_space``, ``not_executable``,
    ``damaged``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class ClientLibrary(Protocol):
    """Copies of an engine's native library that announce another client build.

    All methods block and raise :class:`CopyError`.
    """

    def builtin_build(self) -> int: ...

    def make(self, build: int, folder: Path) -> Path:
        """A whole, checked copy in ``folder`` that announces ``build``."""
        ...

    def remove_others(self, folder: Path, keep: Collection[int]) -> None:
        """Deletes every copy in ``folder`` but those of the builds ``keep``. Never raises."""
        ...
