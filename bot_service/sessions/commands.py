"""What people and programs ask of sessions: each call is judged, done, stored, and only then answered."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field

import msgspec

from bot_service.domain.ports import EnginePool
from bot_service.domain.session_record import Command, CommandKind, SessionRecord, Signal
from bot_service.domain.session_rules import refusal
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LINKED, LIVE, State, Wanted
from bot_service.engines.port import EngineError
from bot_service.sessions.pairing_codes import Shown
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store.sessions import SessionStore, StoreUnavailable
from shared import logs

log = logs.get(__name__)

ENGINE_TIMEOUT_S = 35.0
START = Command(CommandKind.START, "user_start")


class SessionExists(Exception):
    """The id is taken."""


class SessionGone(Exception):
    """There is no such session, or it was deleted meanwhile."""


class Refused(Exception):
    """The state of the session does not allow it. ``code`` is stable."""

    def __init__(self, record: SessionRecord, code: str, detail: str) -> None:
        super().__init__(detail)
        self.record, self.code, self.detail = record, code, detail


@dataclass(frozen=True, slots=True)
class NewSession:
    owner: str
    id: str | None = None
    name: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class SessionCommands:
    """Raises :class:`SessionGone`, :class:`Refused`, ``StoreUnavailable`` and ``EngineError``."""

    def __init__(
        self, supervisor: Supervisor, registry: SessionRegistry, store: SessionStore, pool: EnginePool
    ) -> None:
        self._supervisor, self._registry, self._store, self._pool = supervisor, registry, store, pool
        self._creating: set[str] = set()

    async def create(self, new: NewSession, *, start: bool) -> SessionRecord:
        """A new session, stored. Raises :class:`SessionExists`."""
        session = new.id or f"s-{secrets.token_hex(6)}"
        if session in self._registry or session in self._creating:
            raise SessionExists(session)
        now_ms = self._supervisor.now_ms()
        record = SessionRecord(
            id=session, owner=new.owner, name=new.name or session, metadata=new.metadata,
            created_ms=now_ms, since_ms=now_ms, active_ms=now_ms, aged_from_ms=now_ms,
        )  # fmt: skip
        begun = self._supervisor.begin(record, START if start else None)
        self._creating.add(session)
        try:
            # The session and its first step are one transaction; the engine hears of it once that is committed.
            self._store.mark(begun.after, begun.change)
            await self._store.flush()
            self._supervisor.admit(begun)
        except StoreUnavailable:
            self._store.drop(session)
            raise
        except asyncio.CancelledError:
            if not self._store.drop(session):
                # Who asked has gone away, and the session is there: it must not come up only at the next start.
                self._supervisor.admit(begun)
            raise
        finally:
            self._creating.discard(session)
        return begun.after

    async def command(self, session: str, kind: CommandKind, reason: str = "") -> SessionRecord:
        """START, STOP, RESTART or RECONNECT. The wish holds at once; the answer comes when it is stored."""
        self._judge(session, kind)
        record = self._supervisor.apply(session, Command(kind, reason or f"user_{kind.value}"))
        await self._store.flush()
        return record if record is not None else self._known(session)

    async def logout(self, session: str) -> SessionRecord:
        """Unlink the phone; the row stays. The engine does it first, so that the answer is the truth."""
        record = self._judge(session, CommandKind.LOGGED_OUT)
        if record.jid is not None and record.state in LINKED:
            async with asyncio.timeout(ENGINE_TIMEOUT_S):
                await self._pool.logout_session(session)
        self._supervisor.apply(session, Command(CommandKind.LOGGED_OUT, "user_logout"))
        await self._store.flush()
        return self._known(session)

    async def delete(self, session: str) -> None:
        """Everything of it: the client, the engine's files, the rows. The phone keeps showing the link until logged out."""
        self._supervisor.apply(session, Command(CommandKind.STOP, "deleted"))
        await self._supervisor.settle(session, ENGINE_TIMEOUT_S)
        await self._store.delete(session)
        self._supervisor.remove(session)
        try:
            async with asyncio.timeout(ENGINE_TIMEOUT_S):
                await self._pool.forget_session(session)
        except (EngineError, TimeoutError) as error:
            log.warning(
                "The engine's files of a deleted session stay behind",
                event_name="session.files_left",
                session=session,
                why=str(error),
            )

    async def change(
        self, session: str, *, name: str | None, owner: str | None, metadata: dict[str, str] | None
    ) -> SessionRecord:
        given = {"name": name, "owner": owner, "metadata": metadata}
        record = msgspec.structs.replace(
            self._known(session), **{key: value for key, value in given.items() if value is not None}
        )
        self._supervisor.change(record)
        await self._store.flush()
        return record

    def code(self, session: str) -> Shown | None:
        """The QR code to scan now, if there is one."""
        self._supervisor.life.touch(session)
        shown = self._supervisor.codes.valid(session, self._supervisor.now_ms())
        return shown if shown is not None and shown.kind == SignalKind.QR.value else None

    async def pairing_code(self, session: str, phone: str) -> Shown:
        """A code to type into the phone with this number. Raises :class:`Refused` when the session is not pairing."""
        record = self._known(session)
        if record.jid is not None or record.state not in LIVE:
            raise Refused(
                record, "not_pairing", f"the session is {record.state.value}: start one that has no phone yet"
            )
        async with asyncio.timeout(ENGINE_TIMEOUT_S):
            code = await self._pool.pairing_code(session, phone)
        known = self._supervisor.codes.valid(session, self._supervisor.now_ms())
        if known is not None and known.code == code:
            return known
        data = {"code": code, "expiresInMs": 160_000}
        self._supervisor.apply(session, Signal(SignalKind.PAIRING_CODE, data))
        return self._supervisor.codes.show(session, SignalKind.PAIRING_CODE, data, self._supervisor.now_ms())

    async def simulate(self, session: str, action: str, args: dict[str, object]) -> object:
        async with asyncio.timeout(ENGINE_TIMEOUT_S):
            return await self._pool.simulate(session, action, args)

    def _judge(self, session: str, kind: CommandKind) -> SessionRecord:
        record = self._known(session)
        refused = refusal(record, kind, self._supervisor.now_ms())
        if refused is not None:
            raise Refused(record, refused.code, refused.detail)
        return record

    def _known(self, session: str) -> SessionRecord:
        record = self._registry.get(session)
        if record is None:
            raise SessionGone(session)
        return record


def sick(registry: SessionRegistry, now_ms: int, *, limit: int) -> list[SessionRecord]:
    """Wanted sessions that have not been READY for longest and wait for nobody: what a repair turns to."""
    waiting = (State.DEGRADED, State.RECONNECTING, State.CONNECTING, State.STARTING, State.SYNCING)
    found = [r for r in registry if r.wanted is Wanted.RUN and r.state in waiting and now_ms - r.since_ms > 30_000]
    return sorted(found, key=lambda record: record.since_ms)[:limit]
