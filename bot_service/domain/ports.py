"""What the sessions need from the engine workers, as one small protocol per kind of user.

``bot_service.engines.pool`` implements all of them. Methods that reach a worker raise
``bot_service.engines.port.EngineError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bot_service.domain.directory import Question
from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.domain.session_record import Signal

if TYPE_CHECKING:
    from shared.hooks import Hook


class SessionLifecycle(Protocol):
    """Starts and stops the client of a session, and replaces its worker."""

    async def start_session(
        self, session: str, *, jid: str | None, proxy: str | None, creation: str = "", canary: bool = False
    ) -> int:
        """Returns the incarnation of this start. They grow, over restarts of the service too.

        A running session restarts, with one exception: the first start of a session that a worker
        kept running while this process was away takes it over as it is, and the signals of its
        present state are repeated. Signals of the new incarnation may arrive before this returns.

        After WORKER_LOST the pool starts the session again by itself, with a higher incarnation. A
        start that fails then is reported as START_TIMEOUT. ``canary``: this start finds out whether
        WhatsApp accepts the build that is announced now. What the client receives is journaled with
        ``creation``; a running client with another one is never taken over.
        """
        ...

    async def stop_session(self, session: str) -> None: ...

    async def move_session(self, session: str) -> None:
        """The next start of a stopped ``session`` happens in another worker than its last one."""
        ...

    async def recycle_worker_of(self, session: str) -> None:
        """Replaces the worker that holds ``session``; its sessions come back in the new one."""
        ...

    def may_recycle_worker_of(self, session: str) -> bool:
        """False when a session of the worker went through that within the last hour."""
        ...


class SessionAccounts(Protocol):
    """What users do with the account of a session."""

    async def pairing_code(self, session: str, phone: str) -> str: ...

    async def logout_session(self, session: str) -> None: ...

    async def forget_session(self, session: str) -> None:
        """Deletes the engine's own files of a deleted session."""
        ...

    async def forget_left_files(self, session: str) -> None:
        """Before ``session`` is created: ends and deletes what a deleted one of that id left."""
        ...

    async def end_client(self, session: str) -> None:
        """Returns when no client of ``session`` runs in any worker; stops it where one does.

        Raises ``timeout`` while one may still run.
        """
        ...

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any: ...


class CommandPool(SessionLifecycle, SessionAccounts, Protocol):
    """What the commands on sessions use."""


class MessageSending(Protocol):
    async def send(self, session: str, message: OutgoingMessage) -> Sent: ...

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None: ...

    async def typing(self, session: str, chat: str, state: str) -> None: ...


class DirectoryPool(Protocol):
    async def ask(self, session: str, question: Question) -> Any:
        """The answer of WhatsApp, of ``domain.questions.answer_type(question)``."""
        ...


class FrameAges(Protocol):
    def frame_ages_ms(self, session: str) -> tuple[int | None, int | None]:
        """Milliseconds since the last frame and the last inbound; None when unknown."""
        ...


class ProbePool(MessageSending, FrameAges, Protocol):
    """What the receive probe uses."""


class JournalSource(Protocol):
    @property
    def journals(self) -> Hook[[str, int]]:
        """(file name, end byte) whenever a journal grew, and once per adopted or left-over file.

        A worker begins a new file when the old one is long. A file that is not in
        :meth:`journals_in_use` and is wholly read may be deleted.
        """
        ...

    @property
    def journal_rows(self) -> Hook[[]]:
        """Whenever a worker wrote what arrived into the PostgreSQL that replicas share, instead of a journal."""
        ...

    def journals_in_use(self) -> set[str]:
        """Names of the files that a living worker may still append to; all others are complete."""
        ...


class PoolHealth(Protocol):
    def watching(self) -> bool:
        """False when the loop that watches the workers has died: the service is not healthy."""
        ...

    def journalling(self) -> bool:
        """False when a disk refuses a journal: messages are not acknowledged and wait."""
        ...


class ClientVersionPool(Protocol):
    """The client build that workers announce to WhatsApp."""

    def announce(self, build: int, library: Path | None) -> None:
        """New workers announce ``build`` with this copy of the library; None: the built-in."""
        ...

    def refuse(self, builds: frozenset[int]) -> None:
        """Only the canary may start or dial with one of these builds. Raises ``OSError``."""
        ...

    def allow_one_login(self, build: int) -> None:
        """One waiting client may dial: the refusal of ``build`` may concern one account only."""
        ...

    def build_of(self, session: str) -> int | None:
        """What the worker of ``session`` announces; None without a worker or without a version."""
        ...

    def builds_in_use(self) -> frozenset[int]:
        """What all living workers announce."""
        ...

    def copies_failed(self) -> bool:
        """Whether a living worker could not load its copy and announces the built-in build."""
        ...


class LeasedPool(Protocol):
    """What a replica with a lease needs in addition."""

    def own_until(self, until_s: float) -> None:
        """At ``until_s`` of the monotonic clock every worker ends, and from then on none starts."""
        ...

    def use_epochs(self, epochs: Mapping[str, int]) -> None:
        """The leases of the sessions that this replica owns, under which clients use a shared device store."""
        ...

    async def abandon(self) -> None:
        """Ends every worker now, however that goes for its sessions, and forgets what ran in it."""
        ...


class EnginePool(
    SessionLifecycle,
    SessionAccounts,
    ProbePool,
    DirectoryPool,
    JournalSource,
    PoolHealth,
    ClientVersionPool,
    LeasedPool,
    Protocol,
):
    """All workers of this service, for the program that opens and closes them."""

    @property
    def signals(self) -> Hook[[str, int, Signal]]:
        """(session, incarnation, signal) for every signal of a session that is to run."""
        ...

    async def open(self) -> None:
        """Begins after the listeners subscribed: adopts what an earlier process left running."""
        ...

    async def close(self) -> None:
        """Stops every session and ends every process of the pool; pairings stay."""
        ...

    async def stop_unclaimed(self) -> None:
        """Stops what workers kept running and no start has claimed; for the end of the boot."""
        ...
