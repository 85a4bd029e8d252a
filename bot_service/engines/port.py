"""The port of an engine inside a worker process: one implementation per folder, one contract suite over all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from bot_service.domain.message import InboundMessage, OutgoingMessage, Receipt, Sent
from bot_service.domain.signals import SignalKind


class EngineError(Exception):
    """A command that failed. ``code`` is stable: ``not_started``, ``not_connected``, ``timeout``, ``rejected``,
    ``not_supported``, ``not_pairing``, ``unknown_action``, ``invalid``, ``timelocked``; of the worker: ``journal`` (a
    message could not be journalled), ``internal``; of the pool: ``worker_lost`` (the outcome of the command is unknown),
    ``no_worker``; ``outdated``: WhatsApp refuses the client version that this worker announces.
    ``field`` is the argument that is wrong, where it is one."""

    def __init__(self, code: str, detail: str, *, retryable: bool = False, field: str | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.retryable, self.field = code, detail, retryable, field


class EngineSink(Protocol):
    """Where an engine puts what happens; the worker hands it to the engine. Callable from the engine's own threads."""

    def signal(self, session: str, kind: SignalKind, data: dict[str, Any] | None = None) -> None: ...

    def inbound(self, message: InboundMessage) -> None:
        """Returns once the message is in the journal; only then may the engine acknowledge it to the server.

        Raises :class:`EngineError` ``journal`` when it cannot be kept: the engine must not acknowledge it then.
        """
        ...

    def receipt(self, receipt: Receipt) -> None: ...

    def frame_seen(self, session: str) -> None:
        """A frame of any kind came from the server: the link is alive."""
        ...


class Engine(Protocol):
    """All methods are called from the worker's event loop and raise :class:`EngineError` only.

    The worker itself tells STARTED (just before :meth:`start`), STOPPED and UNLINKED; it never calls :meth:`start` for a
    session that runs, nor two of start, stop and logout for one session at the same time. A call that takes too long is
    cancelled.
    """

    async def start(
        self, session: str, *, jid: str | None, proxy: str | None, pairing: bool, canary: bool = False
    ) -> None:
        """Begin to connect and return; what follows comes as signals. ``pairing`` shows QR codes when there is no jid.

        ``canary``: this login finds out whether the client version is accepted, so nothing holds it. Any other one raises
        :class:`EngineError` ``outdated`` while the version is known to be refused.
        """
        ...

    async def stop(self, session: str) -> None:
        """Disconnect, drain what arrived, forget the client; the pairing stays. Idempotent."""
        ...

    async def logout(self, session: str) -> None:
        """Unlink the phone at the server, then stop. Raises ``not_connected`` when the server cannot be told."""
        ...

    async def pairing_code(self, session: str, phone: str) -> str: ...

    async def send(self, session: str, message: OutgoingMessage) -> Sent: ...

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None: ...

    async def typing(self, session: str, chat: str, state: str) -> None:
        """``state`` is ``composing``, ``recording`` or ``paused``."""
        ...

    async def simulate(self, session: str | None, action: str, args: dict[str, Any]) -> Any:
        """Only the simulator knows actions; every other engine raises ``not_supported``."""
        ...

    async def close(self) -> None:
        """Stop every session; called on SIGTERM and before a recycle."""
        ...


class CopyError(Exception):
    """The built-in library has to be used. ``reason`` is stable: ``not_installed``, ``not_unique``, ``not_writable``,
    ``no_space``, ``not_executable``, ``damaged``; the text is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class ClientLibrary(Protocol):
    """Copies of an engine's native library that announce another client build. All block and raise :class:`CopyError`."""

    def builtin_build(self) -> int:
        """The build that the installed library announces."""
        ...

    def make(self, build: int, folder: Path) -> Path:
        """A whole, checked copy in ``folder`` that announces ``build``."""
        ...

    def remove_others(self, folder: Path, keep: Collection[int]) -> None:
        """Delete every copy in ``folder`` but those of the builds ``keep``. Never raises."""
        ...


class EngineFactory(Protocol):
    def __call__(self, sink: EngineSink, *, data_dir: Path, options: dict[str, str]) -> Engine: ...
