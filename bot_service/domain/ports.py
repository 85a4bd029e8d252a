"""What the sessions need from the outside, as small protocols; adapters live in engines/, store/ and delivery/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bot_service.domain.message import OutgoingMessage, Sent


@dataclass(frozen=True, slots=True)
class EngineSignal:
    """One signal as it reaches the supervisor. ``kind`` is a ``SignalKind`` value; ``at_ms`` ms since the epoch."""

    session: str
    incarnation: int
    kind: str
    at_ms: int
    data: dict[str, Any]


class ClientVersionPool(Protocol):
    """What the pool does about the client build that its workers announce to WhatsApp."""

    def announce(self, build: int, library: Path | None) -> None:
        """New workers announce ``build`` with this copy of the native library; None is the built-in one. Running ones go on."""
        ...

    def refuse(self, builds: frozenset[int]) -> None:
        """With these builds no session is started and no client of the engine dials by itself; the canary may. Raises ``OSError``."""
        ...

    def allow_one_login(self, build: int) -> None:
        """A refused login of ``build`` may be the trouble of one account: one of the clients that wait may dial."""
        ...

    def build_of(self, session: str) -> int | None:
        """What the worker of ``session`` announces; None while it has none, or when its engine announces nothing."""
        ...

    def builds_in_use(self) -> frozenset[int]:
        """What all living workers announce."""
        ...

    def copies_failed(self) -> bool:
        """Whether a living worker could not load its copy of the native library and announces the built-in build."""
        ...


class EnginePool(ClientVersionPool, Protocol):
    """All workers of this service seen as one engine. Raises ``bot_service.engines.port.EngineError``."""

    async def open(self) -> None:
        """Begin, once the listeners are registered: adopt what an earlier process left running."""
        ...

    async def close(self) -> None:
        """Stop every session and end every process of the pool; pairings stay."""
        ...

    async def start_session(self, session: str, *, jid: str | None, proxy: str | None, canary: bool = False) -> int:
        """Returns the incarnation of this start: signals of lower ones are to be ignored, higher ones are newer.

        Incarnations grow over restarts of this service too. A session that runs already is started anew, with one
        exception: the first start of a session that a worker kept running while this process was away. That one is
        taken over as it is, and the signals that tell where it stands are repeated. Signals of the new incarnation may
        arrive before this returns. After WORKER_LOST the pool starts the session again by itself, with a higher
        incarnation; a start that cannot be done then is told as START_TIMEOUT and tried again. ``canary``: this start
        finds out whether WhatsApp accepts the build that is announced now.
        """
        ...

    async def stop_session(self, session: str) -> None: ...

    async def logout_session(self, session: str) -> None: ...

    async def pairing_code(self, session: str, phone: str) -> str: ...

    async def send(self, session: str, message: OutgoingMessage) -> Sent: ...

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None: ...

    async def typing(self, session: str, chat: str, state: str) -> None: ...

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any: ...

    async def recycle_worker_of(self, session: str) -> None:
        """Replace the worker that holds ``session``; its sessions come back in the new one."""
        ...

    def may_recycle_worker_of(self, session: str) -> bool:
        """Whether that may be asked for now: no session of the worker went through it within the last hour."""
        ...

    async def move_session(self, session: str) -> None:
        """The next start of a stopped ``session`` happens in another worker than the one that held it."""
        ...

    async def forget_session(self, session: str) -> None:
        """Delete the engine's own files of a deleted session."""
        ...

    async def stop_unclaimed(self) -> None:
        """Stop what workers kept running and nobody has started since; for the end of the boot."""
        ...

    def watching(self) -> bool:
        """False when nobody looks after the workers any more: the service is not healthy then."""
        ...

    def journalling(self) -> bool:
        """False when a worker's disk refuses its journal: what arrives there is not acknowledged and waits."""
        ...

    def journals_in_use(self) -> set[str]:
        """Names of the journal files that a living worker may still append to; all others are complete."""
        ...

    def frame_ages_ms(self, session: str) -> tuple[int | None, int | None]:
        """Milliseconds since the last frame and the last inbound; None when unknown."""
        ...

    def on_signal(self, listener: Callable[[EngineSignal], None]) -> None: ...

    def on_journal(self, listener: Callable[[str, int], None]) -> None:
        """``listener(file name, end byte)`` whenever a journal grew; also once per adopted or left-over file.

        A worker begins a new file when the old one is long (see ``engines/wire/journal_file.py``); a file that is not in
        :meth:`journals_in_use` and is wholly ingested may be deleted.
        """
        ...
