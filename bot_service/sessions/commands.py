"""The use cases of sessions: each call is checked, carried out and stored before it returns."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bot_service.access.names import check_name
from bot_service.access.principals import Principal
from bot_service.domain import session_ids
from bot_service.domain.addresses import telephone_number
from bot_service.domain.inputs import DEFAULT_OWNER, Metadata, Name, Owner, SessionId
from bot_service.domain.ports import CommandPool
from bot_service.domain.reasons import Reason
from bot_service.domain.refused import Refused, RunsElsewhere, invalid, not_found
from bot_service.domain.session_record import Command, CommandKind, SessionRecord, Signal
from bot_service.domain.session_rules import refusal
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LINKED, LIVE, State, Wanted
from bot_service.engines.port import EngineError
from bot_service.sessions import proxies
from bot_service.sessions.pairing_codes import PairingCode
from bot_service.sessions.proxies import LONGEST_PROXY
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.supervisor import Supervisor
from bot_service.store.sessions import SessionStore, StoreUnavailable
from shared import logs

log = logs.get(__name__)

ENGINE_TIMEOUT_S = 35.0
START = Command(CommandKind.START)
REPAIRS = ("reconnect_session", "recycle_worker")
_RECONNECTS_AT_ONCE = 10


class CreateSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``start`` begins at once, which shows a QR code; ``owner`` and ``proxy`` may be given by an
    administrator only. ``proxy``: through which WhatsApp is dialled, http://, https:// or
    socks5://, with user and password if it needs them."""

    id: SessionId | None = None
    name: Name | None = None
    owner: Owner | None = None
    metadata: Metadata = {}
    proxy: Annotated[str, Meta(min_length=1, max_length=LONGEST_PROXY)] | None = None
    start: bool = True


class ChangeSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``proxy`` takes effect at the next start; null: that of the settings."""

    name: Name | None = None
    owner: Owner | None = None
    metadata: Metadata | None = None
    proxy: Annotated[str, Meta(min_length=1, max_length=LONGEST_PROXY)] | UnsetType | None = UNSET


@asynccontextmanager
async def engine_call(timeout_s: float = ENGINE_TIMEOUT_S) -> AsyncIterator[None]:
    """Raises :class:`EngineError` ``timeout`` when the engine does not answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise EngineError("timeout", "the engine did not answer in time", retryable=True) from None


def anywhere(_session: str) -> None:
    """For parts without replicas: every session runs here."""


async def _claimed(_session: str) -> bool:
    return True  # the only service has every id


async def _no_owner(_session: str, _kind: CommandKind) -> bool:
    return False


def _check_words(name: str | None, metadata: dict[str, str] | None) -> None:
    check_name(name)
    for key in metadata or {}:
        check_name(key, "metadata")


class SessionCommands:
    """Every method raises :class:`Refused`, those that need the engine :class:`EngineError`.

    With replicas they raise :class:`RunsElsewhere` for sessions of another one. ``claim`` is then how
    this one gets a session that is not made yet; false when another replica has that id. ``ask_owner``
    gives a command to the replica that owns the session; false when it refuses.
    """

    def __init__(
        self, supervisor: Supervisor, registry: SessionRegistry, store: SessionStore, pool: CommandPool
    ) -> None:
        self._supervisor, self._registry, self._store, self._pool = supervisor, registry, store, pool
        self.claim: Callable[[str], Awaitable[bool]] = _claimed
        self.ask_owner: Callable[[str, CommandKind], Awaitable[bool]] = _no_owner
        # Created or deleted now: ids as stored, and with their owners as these know them.
        self._busy: set[str] = set()
        self._busy_own: set[tuple[str, str]] = set()

    async def create(self, who: Principal, wanted: CreateSession) -> SessionRecord:
        """A new session, stored. Refused: ``forbidden``, ``exists``."""
        who.require_owner(wanted.owner, "makes sessions for another owner")
        _check_words(wanted.name, wanted.metadata)
        proxy = proxies.read(who, wanted.proxy)
        owner = wanted.owner or who.owner or DEFAULT_OWNER
        asked = wanted.id or self._id_for(who, owner, wanted.name or "")
        session, now_ms = self.new_id(who, owner, asked), self._supervisor.now_ms()
        record = SessionRecord(
            id=session, owner=owner, name=wanted.name or asked,
            metadata=wanted.metadata, created_ms=now_ms, since_ms=now_ms, active_ms=now_ms, aged_from_ms=now_ms,
            creation=secrets.token_hex(4), proxy=proxy,
        )  # fmt: skip
        creation = self._supervisor.begin(record, START if wanted.start else None)
        with self.reserved(session, owner):
            try:
                if not await self.claim(session):
                    raise Refused("exists", "a session with this id was made a moment ago")
                await self._pool.forget_left_files(session)
                # The session and its first transition are one transaction; the engine starts after it.
                self._store.mark(creation.after, creation.change, new=True)
                await self._store.flush()
                self._supervisor.admit(creation)
            except StoreUnavailable:
                self._store.drop(session)
                raise
            except asyncio.CancelledError:
                if not self._store.drop(session):
                    # The caller is gone, but the session is stored: start it now, not at the next boot.
                    self._supervisor.admit(creation)
                raise
        return creation.after

    def _id_for(self, who: Principal, owner: str, name: str) -> str:
        """An id that reads like ``name`` and that ``who`` sees nowhere yet."""
        base = session_ids.from_name(name)
        for asked in (base, *(f"{base}-{number}" for number in range(2, 100))) if base else ():
            seen = who.owner is None and (asked in self._registry or asked in self._busy)
            if not seen and not self._has(owner, asked):
                return asked
        return f"s-{secrets.token_hex(6)}"

    def new_id(self, who: Principal, owner: str, asked: str) -> str:
        """The id to store. Refused ``exists`` only for a session that ``who`` sees: others get a mark."""
        taken = asked in self._registry or asked in self._busy
        if self._has(owner, asked) or (taken and who.owner is None):
            raise Refused("exists", "a session with this id exists already")
        return session_ids.marked(asked, secrets.token_hex(6)) if taken else asked

    def _has(self, owner: str, asked: str) -> bool:
        return self._registry.of_owner(owner, asked) is not None or (owner, asked) in self._busy_own

    @contextmanager
    def reserved(self, session: str, owner: str) -> Iterator[None]:
        """No other session gets this id in the meantime."""
        own = (owner, session_ids.shown(session))
        self._busy.add(session)
        self._busy_own.add(own)
        try:
            yield
        finally:
            self._busy.discard(session)
            self._busy_own.discard(own)

    async def command(self, session: str, kind: CommandKind) -> SessionRecord:
        """START, STOP or RESTART. It takes effect at once; returns when it is stored."""
        self._allowed(session, kind)
        record = self._supervisor.apply(session, Command(kind))
        await self._store.flush()
        self.require_here(session)  # lost before it was stored
        return record if record is not None else self._known(session)

    async def command_each(self, sessions: Iterable[str], kind: CommandKind) -> list[str]:
        """:meth:`command` for several sessions; returns those that refused it."""
        refused, elsewhere = [], []
        for session in sessions:
            try:
                self._allowed(session, kind)
            except Refused:
                refused.append(session)
            except RunsElsewhere:
                elsewhere.append(session)
            else:
                self._supervisor.apply(session, Command(kind))
        await self._store.flush()
        done = await asyncio.gather(*(self.ask_owner(session, kind) for session in elsewhere))
        return refused + [session for session, well in zip(elsewhere, done, strict=True) if not well]

    async def logout(self, session: str) -> SessionRecord:
        """Unlink the phone; the row stays. The engine does it before this returns."""
        record = self._allowed(session, CommandKind.LOGGED_OUT)
        if record.jid is not None and record.state in LINKED:
            async with engine_call():
                await self._pool.logout_session(session)
        self._supervisor.apply(session, Command(CommandKind.LOGGED_OUT))
        await self._store.flush()
        return self._known(session)

    async def delete(self, session: str) -> None:
        """Delete the client, the engine's files and the rows. The phone shows the link until logout."""
        self.require_here(session)
        known = self._registry.get(session)
        # Until all of it is gone, no session can have this id.
        with self.reserved(session, known.owner if known is not None else ""):
            self._supervisor.apply(session, Command(CommandKind.STOP, Reason.DELETED))
            await self._supervisor.settle(session, ENGINE_TIMEOUT_S)
            await self._store.delete(session)
            self._supervisor.remove(session)
            await self._forget_files(session)

    async def _forget_files(self, session: str) -> None:
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
        """What is not given stays. Refused: ``forbidden``; ``exists`` when the new owner has this id."""
        who.require_owner(wanted.owner, "gives a session to another owner")
        _check_words(wanted.name, wanted.metadata)
        record = self._known(session)
        given = {name: getattr(wanted, name) for name in ("name", "owner", "metadata")}
        given = {name: value for name, value in given.items() if value is not None}
        if wanted.proxy is not UNSET:
            given["proxy"] = proxies.read(who, wanted.proxy, record.proxy)
        if wanted.owner is not None and wanted.owner != record.owner:
            if self._has(wanted.owner, session_ids.shown(session)):
                raise Refused("exists", "the new owner has a session with this id already")
            record = record.handed_over(wanted.owner, self._supervisor.now_ms())
        record = msgspec.structs.replace(record, **given)
        self._supervisor.change(record)
        await self._store.flush()
        self.require_here(session)
        return record

    def code(self, session: str) -> PairingCode | None:
        """The QR code to scan now, if there is one."""
        self.require_here(session)
        self._supervisor.activity.touch(session)
        shown = self._supervisor.codes.valid(session, self._supervisor.now_ms())
        return shown if shown is not None and shown.kind == SignalKind.QR.value else None

    async def pairing_code(self, session: str, phone: str) -> PairingCode:
        """A code to type into the phone with this number. Refused: ``invalid``, ``not_pairing``."""
        record, phone = self._known(session), telephone_number(phone, "phone")
        if record.jid is not None or record.state not in LIVE:
            detail = f"the session is {record.state.value}: start one that has no phone yet"
            raise Refused("not_pairing", detail, state=record.state.value)
        async with engine_call():
            code = await self._pool.pairing_code(session, phone)
        known = self._supervisor.codes.valid(session, self._supervisor.now_ms())
        if known is not None and known.code == code:
            return known
        signal = Signal(SignalKind.PAIRING_CODE, {"code": code, "expiresInMs": 160_000})
        self._supervisor.apply(session, signal)
        return self._supervisor.codes.show(session, signal, self._supervisor.now_ms())

    async def simulate(self, session: str, action: str, args: dict[str, Any]) -> Any:
        """What the simulated phone or server answers."""
        self.require_here(session)
        async with engine_call():
            return await self._pool.simulate(session, action, args)

    async def repair(self, action: str, session: str | None) -> int:
        """Renew the connection of ``session``, or of those not ready for longest; how many.

        A session that a person stopped stays stopped. Refused: ``invalid``, ``not_found``,
        ``wrong_state``.
        """
        if action not in REPAIRS:
            raise invalid("action", "must be one of " + ", ".join(REPAIRS))
        recycles = action == "recycle_worker"
        if session is not None:
            chosen = [self._repairable(session)]
        else:
            limit = 1 if recycles else _RECONNECTS_AT_ONCE
            chosen = not_ready_for_longest(self._registry.here(), self._supervisor.now_ms(), limit)
        for record in chosen:
            if recycles:
                await self._pool.recycle_worker_of(record.id)
            else:
                self._supervisor.apply(record.id, Command(CommandKind.RECONNECT, Reason.WATCHDOG_REPAIR))
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

    def require_here(self, session: str) -> None:
        """Raises :class:`RunsElsewhere` for a session that another replica owns."""
        if session in self._registry and not self._supervisor.supervises(session):
            raise RunsElsewhere(session)

    def _known(self, session: str) -> SessionRecord:
        """The session, which runs here."""
        record = self._registry.get(session)
        if record is None:
            raise not_found("this session")
        self.require_here(session)
        return record


def not_ready_for_longest(registry: Iterable[SessionRecord], now_ms: int, limit: int) -> list[SessionRecord]:
    """Sessions that should run and are not READY for 30 s, unless they wait for a person."""
    waiting = (State.DEGRADED, State.RECONNECTING, State.CONNECTING, State.STARTING, State.SYNCING)
    found = [r for r in registry if r.wanted is Wanted.RUN and r.state in waiting and now_ms - r.since_ms > 30_000]
    return sorted(found, key=lambda record: record.since_ms)[:limit]
