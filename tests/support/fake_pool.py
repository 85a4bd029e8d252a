"""An engine pool in memory: it notes every call and gives whatever signal a test asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot_service.domain.message import OutgoingMessage, Sent
from bot_service.domain.session_record import Signal
from bot_service.domain.signals import SignalKind
from bot_service.engines.port import EngineError
from shared.hooks import Hook


class FakePool:
    """Satisfies ``EnginePool``. ``calls`` are (method, session); ``online`` makes every start of a paired session
    connect at once, and every start of an unpaired one show a code."""

    def __init__(self, *, online: bool = False) -> None:
        self.online = online
        self.watched = self.journals_well = True
        self.may_recycle = True
        self.calls: list[tuple[str, str]] = []
        self.sent: list[tuple[str, OutgoingMessage]] = []
        self.proxies: dict[str, str | None] = {}
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[type, Any] = {}
        """What WhatsApp answers, by the type of the question."""
        self.running: dict[str, int] = {}
        self.fail: dict[str, EngineError] = {}
        self.hang: set[str] = set()
        self._released = asyncio.Event()
        self.ages: dict[str, tuple[int | None, int | None]] = {}
        self.signals: Hook[[str, int, Signal]] = Hook()
        self.journals: Hook[[str, int]] = Hook()
        self.journal_rows: Hook[[]] = Hook()
        self._count = 0
        self.opened = False
        self.owned_until_s: float | None = None
        self.announced: list[int] = []
        self.refused: frozenset[int] = frozenset()
        self.allowed: list[int] = []
        self.copies_fail = False
        self.builds: dict[str, int] = {}
        self.outdated: set[int] = set()
        """Client builds that the server refuses."""
        self.outdated_accounts: set[str] = set()
        """Sessions that the server refuses whatever they announce."""
        self.logins: list[tuple[str, int]] = []
        self.unreachable: set[str] = set()

    async def open(self) -> None:
        self.opened = True

    async def close(self) -> None:
        self.opened = False

    def own_until(self, until_s: float) -> None:
        self.owned_until_s = until_s

    def use_epochs(self, epochs: Mapping[str, int]) -> None:
        self.epochs = epochs

    async def abandon(self) -> None:
        self.calls.append(("abandon", ""))
        self.running.clear()

    def emit(self, session: str, kind: SignalKind, **data: Any) -> None:
        """A signal of the client that runs now."""
        self.signals(session, self.running.get(session, self._count), Signal(kind, data))

    def pair(self, session: str) -> None:
        """What a scan leads to."""
        self.emit(session, SignalKind.PAIRED, jid=f"jid-{session}@s.whatsapp.net", lid=None, pushName="Someone")
        self.connect(session)

    def connect(self, session: str) -> None:
        self.emit(session, SignalKind.CONNECTED)
        self.emit(session, SignalKind.OFFLINE_SYNC_COMPLETED, count=0)

    def log_in(self, session: str) -> None:
        """What the server answers to a login: it looks at the client build first."""
        build = self.builds.get(session, 0)
        if session in self.unreachable:
            self.emit(session, SignalKind.CONNECT_ERROR, reason="no route")
            return
        self.logins.append((session, build))
        if build in self.outdated or session in self.outdated_accounts:
            self.emit(session, SignalKind.OUTDATED, code=405)
        else:
            self.connect(session)

    def drop(self, *sessions: str) -> None:
        """Connections are lost; the engine dials again by itself unless its build is refused."""
        for session in sessions:
            self.emit(session, SignalKind.DISCONNECTED)
        for session in sessions:
            if session in self.running and self.builds.get(session, 0) not in self.refused:
                self.emit(session, SignalKind.CONNECTING)
                self.log_in(session)

    def release(self) -> None:
        """What hangs goes on, and nothing hangs any more."""
        self.hang.clear()
        self._released.set()

    async def _call(self, name: str, session: str) -> None:
        self.calls.append((name, session))
        if name in self.hang:
            await self._released.wait()
        if name in self.fail:
            raise self.fail[name]

    def announce(self, build: int, library: Path | None) -> None:
        self.announced.append(build)

    def refuse(self, builds: frozenset[int]) -> None:
        self.refused = builds

    def allow_one_login(self, build: int) -> None:
        self.allowed.append(build)

    def copies_failed(self) -> bool:
        return self.copies_fail

    def build_of(self, session: str) -> int | None:
        return self.builds.get(session)

    def builds_in_use(self) -> frozenset[int]:
        return frozenset(self.builds.values())

    async def start_session(
        self, session: str, *, jid: str | None, proxy: str | None, creation: str = "", canary: bool = False
    ) -> int:
        await self._call("start", session)
        self.proxies[session] = proxy
        if self.announced:
            self.builds[session] = self.announced[-1]
        self._count += 1
        self.running[session] = self._count
        self.emit(session, SignalKind.STARTED)
        if self.online and jid is not None:
            self.log_in(session)
        elif self.online:
            self.emit(session, SignalKind.QR, code=f"2@{session},key", expiresInMs=60_000, round=1)
        return self._count

    async def stop_session(self, session: str) -> None:
        await self._call("stop", session)
        if self.running.get(session) is not None:
            self.emit(session, SignalKind.STOPPED)
            del self.running[session]

    async def logout_session(self, session: str) -> None:
        await self._call("logout", session)
        self.emit(session, SignalKind.UNLINKED)
        self.running.pop(session, None)

    async def pairing_code(self, session: str, phone: str) -> str:
        await self._call("pairing_code", session)
        return "ABCD-EFGH"

    async def send(self, session: str, message: OutgoingMessage) -> Sent:
        await self._call("send", session)
        self.sent.append((session, message))
        return Sent(message.id, 0)

    async def mark_read(self, session: str, chat: str, sender: str, message_ids: list[str]) -> None:
        await self._call("mark_read", session)

    async def typing(self, session: str, chat: str, state: str) -> None:
        await self._call("typing", session)

    async def ask(self, session: str, question: Any) -> Any:
        await self._call("ask", session)
        self.asked.append((session, question))
        if type(question) not in self.answers:
            raise EngineError("not_connected", "no answer is prepared", retryable=True)
        return self.answers[type(question)]

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any:
        await self._call("simulate", session)
        if action == "scan":
            self.pair(session)
        return {"action": action, **args}

    async def recycle_worker_of(self, session: str) -> None:
        await self._call("recycle", session)

    def may_recycle_worker_of(self, session: str) -> bool:
        return self.may_recycle

    async def move_session(self, session: str) -> None:
        await self._call("move", session)

    async def forget_session(self, session: str) -> None:
        await self._call("forget", session)

    async def end_client(self, session: str) -> None:
        await self._call("end_client", session)

    async def forget_left_files(self, session: str) -> None:
        pass

    async def stop_unclaimed(self) -> None:
        return None

    def watching(self) -> bool:
        return self.watched

    def journalling(self) -> bool:
        return self.journals_well

    def journals_in_use(self) -> set[str]:
        return set()

    def frame_ages_ms(self, session: str) -> tuple[int | None, int | None]:
        return self.ages.get(session, (0, None))
