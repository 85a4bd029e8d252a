"""The use cases of sessions: each call is checked, carried out and stored before it returns."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bot_service.access.principals import Principal
from bot_service.domain.inputs import DEFAULT_OWNER, Metadata, Name, Owner, SessionId
from bot_service.domain.ports import EnginePool
from bot_service.domain.refused import Refused, invalid, not_found
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
REPAIRS = ("reconnect_session", "recycle_worker")
_RECONNECTS_AT_ONCE = 10


class CreateSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``start`` begins at once, which shows a QR code; ``owner`` may be given by an administrator only."""

    id: SessionId | None = None
    name: Name | None = None
    owner: Owner | None = None
    metadata: Metadata = {}
    start: bool = True


class ChangeSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: Name | None = None
    owner: Owner | None = None
    metadata: Metadata | None = None


@asynccontextmanager
async def engine_call(timeout_s: float = ENGINE_TIMEOUT_S) -> AsyncIterator[None]:
    """Raises :class:`EngineError` ``timeout`` when the engine does not answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise EngineError("timeout", "the engine did not answer in time", retryable=True) from None


class SessionCommands:
    """Every method raises :class:`Refused`, those that need the engine :class:`EngineError`."""

    def __init__(
        self, supervisor: Supervisor, registry: SessionRegistry, store: SessionStore, pool: EnginePool
    ) -> None:
        self._supervisor, self._registry, self._store, self._pool = supervisor, registry, store, pool
        self._creating: set[str] = set()

    async def create(self, who: Principal, wanted: CreateSession) -> SessionRecord:
        """A new session, stored. Refused: ``forbidden``, ``exists``."""
        who.require_owner(wanted.owner, "makes sessions for another owner")
        session = wanted.id or f"s-{secrets.token_hex(6)}"
        if session in self._registry or session in self._creating:
            raise Refused("exists", "a session with this id exists already")
        now_ms = self._supervisor.now_ms()
        record = SessionRecord(
            id=session, owner=wanted.owner or who.owner or DEFAULT_OWNER, name=wanted.name or session,
            metadata=wanted.metadata, created_ms=now_ms, since_ms=now_ms, active_ms=now_ms, aged_from_ms=now_ms,
        )  # fmt: skip
        begun = self._supervisor.begin(record, START if wanted.start else None)
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
        """START, STOP, RESTART or RECONNECT. It holds at once; returns when it is stored."""
        self._allowed(session, kind)
        record = self._supervisor.apply(session, Command(kind, reason or f"user_{kind.value}"))
        await self._store.flush()
        return record if record is not None else self._known(session)

    async def logout(self, session: str) -> SessionRecord:
        """Unlink the phone; the row stays. The engine does it first, so that the answer is the truth."""
        record = self._allowed(session, CommandKind.LOGGED_OUT)
        if record.jid is not None and record.state in LINKED:
            async with engine_call():
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
            async with engine_call():
                await self._pool.forget_session(session)
        except EngineError as error:
            log.warning(
                "The engine's files of a deleted session stay behind",
                event_name="session.files_left",
                session=session,
                why=str(error),
            )

    async def change(self, who: Principal, session: str, wanted: ChangeSession) -> SessionRecord:
        """What is not given stays. Refused: ``forbidden``."""
        who.require_owner(wanted.owner, "gives a session to another owner")
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
        record = msgspec.structs.replace(self._known(session), **given)
        self._supervisor.change(record)
        await self._store.flush()
        return record

    def code(self, session: str) -> Shown | None:
        """The QR code to scan now, if there is one."""
        self._supervisor.life.touch(session)
        shown = self._supervisor.codes.valid(session, self._supervisor.now_ms())
        return shown if shown is not None and shown.kind == SignalKind.QR.value else None

    async def pairing_code(self, session: str, phone: str) -> Shown:
        """A code to type into the phone with this number. Refused: ``not_pairing``."""
        record = self._known(session)
        if record.jid is not None or record.state not in LIVE:
            detail = f"the session is {record.state.value}: start one that has no phone yet"
            raise Refused("not_pairing", detail, state=record.state.value)
        async with engine_call():
            code = await self._pool.pairing_code(session, phone)
        known = self._supervisor.codes.valid(session, self._supervisor.now_ms())
        if known is not None and known.code == code:
            return known
        data = {"code": code, "expiresInMs": 160_000}
        self._supervisor.apply(session, Signal(SignalKind.PAIRING_CODE, data))
        return self._supervisor.codes.show(session, SignalKind.PAIRING_CODE, data, self._supervisor.now_ms())

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any:
        """What the simulated phone or server answers."""
        async with engine_call():
            return await self._pool.simulate(session, action, args)

    async def repair(self, action: str, session: str | None) -> int:
        """Renew the connection of ``session``, or of those not ready for longest; how many were touched.

        A session that a person stopped stays so. Refused: ``invalid``, ``not_found``, ``wrong_state``.
        """
        if action not in REPAIRS:
            raise invalid("action", "must be one of " + ", ".join(REPAIRS))
        recycles = action == "recycle_worker"
        if session is not None:
            chosen = [self._repairable(session)]
        else:
            limit = 1 if recycles else _RECONNECTS_AT_ONCE
            chosen = not_ready_for_longest(self._registry, self._supervisor.now_ms(), limit)
        for record in chosen:
            if recycles:
                await self._pool.recycle_worker_of(record.id)
            else:
                self._supervisor.apply(record.id, Command(CommandKind.RECONNECT, "watchdog_repair"))
        return len(chosen)

    def _repairable(self, session: str) -> SessionRecord:
        record = self._known(session)
        if record.wanted is Wanted.STOP or refusal(record, CommandKind.RECONNECT, self._supervisor.now_ms()):
            raise Refused("wrong_state", "there is no connection to renew", state=record.state.value)
        return record

    def _allowed(self, session: str, kind: CommandKind) -> SessionRecord:
        record = self._known(session)
        refused = refusal(record, kind, self._supervisor.now_ms())
        if refused is not None:
            raise Refused(refused.code, refused.detail, state=record.state.value)
        return record

    def _known(self, session: str) -> SessionRecord:
        record = self._registry.get(session)
        if record is None:
            raise not_found("this session")
        return record


def not_ready_for_longest(registry: Iterable[SessionRecord], now_ms: int, limit: int) -> list[SessionRecord]:
    """Sessions that should run and have not been READY for 30 s or more, unless they wait for a person."""
    waiting = (State.DEGRADED, State.RECONNECTING, State.CONNECTING, State.STARTING, State.SYNCING)
    found = [r for r in registry if r.wanted is Wanted.RUN and r.state in waiting and now_ms - r.since_ms > 30_000]
    return sorted(found, key=lambda record: record.since_ms)[:limit]
