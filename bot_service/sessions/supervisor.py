"""The road of a session: fact -> ``advance`` -> memory and store -> news, timers and engine. Nothing else moves a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bot_service.domain.ports import ClientVersionPool, EngineSignal
from bot_service.domain.session_record import (
    Command,
    DueKind,
    Effect,
    EffectKind,
    Fact,
    Fired,
    SessionPolicy,
    SessionRecord,
    Signal,
    Transition,
    transition,
)
from bot_service.domain.session_rules import advance
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State, Wanted
from bot_service.sessions.activity import ActivityTracker
from bot_service.sessions.client_version_refusals import ClientVersionRefusals
from bot_service.sessions.effects import EffectRunner
from bot_service.sessions.leases import Leases
from bot_service.sessions.notifications import SessionNotifications
from bot_service.sessions.pairing_codes import PairingCodes
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.timers import Timers
from bot_service.store.sessions import SessionStore
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """The first step of a session that nobody knows yet."""

    before: SessionRecord
    after: SessionRecord
    effects: tuple[Effect, ...]
    change: Transition | None


class Supervisor:
    """Owns the sessions of this service. All methods but :meth:`settle` are immediate.

    ``life`` takes the signs that a session is used and receives, ``fleet`` what concerns all sessions at once, ``codes`` holds
    what phones can pair with.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        store: SessionStore,
        hands: EffectRunner,
        life: ActivityTracker,
        news: SessionNotifications,
        leases: Leases,
        clock: Clock,
        policy: SessionPolicy,
        pool: ClientVersionPool,
    ) -> None:
        self._registry, self._store, self._hands = registry, store, hands
        self._news, self._leases, self._clock = news, leases, clock
        self.life = life
        self.fleet = ClientVersionRefusals(policy, registry, news, self.apply, pool)
        self.codes = PairingCodes()
        self.timers: Timers | None = None
        self.observers: list[Callable[[SessionRecord, Transition], None]] = []
        self.signal_observers: list[Callable[[str, SignalKind], None]] = []

    # --- what others look at ---

    def now_ms(self) -> int:
        return to_ms(self._clock.now())

    @property
    def policy(self) -> SessionPolicy:
        """What every session is judged by now."""
        return self.fleet.policy

    def record(self, session: str) -> SessionRecord | None:
        return self._registry.get(session)

    def is_canary(self, session: str) -> bool:
        """Whether this session finds out for all whether the client version is accepted."""
        return self.policy.fleet_outdated and self.policy.canary == session

    # --- what happens ---

    def apply(self, session: str, fact: Fact, *, admitted: bool = False) -> SessionRecord | None:
        """One fact about one session; the record it became, or None when there is no such session."""
        before = self._registry.get(session)
        if before is None:
            return None
        now_ms = self.now_ms()
        after, effects = advance(before, fact, self.policy, now_ms)
        if after is not before:
            self._keep(before, after, now_ms, admitted=admitted)
        for effect in effects:
            self._follow(after, effect)
        return after

    def on_signal(self, signal: EngineSignal) -> None:
        """The engine pool's listener."""
        try:
            kind = SignalKind(signal.kind)
        except ValueError:
            log.warning("An engine gave an unknown signal", event_name="engine.unknown_signal", kind=signal.kind)
            return
        for observer in self.signal_observers:
            observer(signal.session, kind)
        if signal.session not in self._registry:
            return
        if kind is not SignalKind.PAIRED and not self._hands.fresh(signal.session, signal.incarnation):
            return
        self._look_at(signal.session, kind, signal)
        ours = self._leases.ours(signal.session)
        others = kind is SignalKind.OUTDATED and self.fleet.others_accepted(signal.session)
        self.apply(signal.session, Signal(kind, signal.data, lease_ours=ours, others_accepted=others))
        if kind is SignalKind.OUTDATED:
            self.fleet.login_refused(signal.session)
        elif kind is SignalKind.CONNECTED and not signal.data.get("earlier"):
            self.fleet.login_accepted(signal.session)
        elif kind in (SignalKind.DISCONNECTED, SignalKind.SERVER_UNAVAILABLE):
            self.fleet.link_lost(signal.session)

    def _look_at(self, session: str, kind: SignalKind, signal: EngineSignal) -> None:
        if kind in (SignalKind.QR, SignalKind.PAIRING_CODE):
            record = self._registry.get(session)
            if record is not None and record.jid is None and record.wanted is Wanted.RUN:
                shown = self.codes.show(session, kind, signal.data, self.now_ms())
                self._news.code_shown(record, shown)
        elif kind is SignalKind.CONNECTED:
            self.life.evidence(session).linked()
        elif kind is SignalKind.RECEIPT:
            self.life.receipt(session)

    def signal(self, session: str, signal: Signal) -> None:
        """A signal of our own making, from the hands."""
        for observer in self.signal_observers:
            observer(session, signal.kind)
        self.apply(session, signal)

    def version_is_refused(self, session: str) -> None:
        """A start was held because its client version is known to be refused: as a refused login, without one."""
        if self.fleet.announced in self.fleet.refused:
            self.apply(session, Signal(SignalKind.OUTDATED))
        else:
            # Its worker was chosen before that was known; the next one announces another version.
            self.signal(session, Signal(SignalKind.CONNECT_ERROR, {"reason": "outdated"}))

    def fired(self, session: str, kind: DueKind) -> None:
        """The timers' listener."""
        may_recycle = kind is not DueKind.LADDER or self._hands.may_recycle(session)
        self.apply(session, Fired(kind, may_recycle))

    # --- making and removing ---

    def begin(self, record: SessionRecord, command: Command | None) -> Begun:
        """What a new session becomes by its first command. Nothing has happened yet: store it, then :meth:`admit` it."""
        now_ms = self.now_ms()
        after, effects = advance(record, command, self.policy, now_ms) if command is not None else (record, ())
        return Begun(record, after, tuple(effects), transition(record, after, now_ms))

    def admit(self, begun: Begun) -> None:
        """A new session that is stored: everybody is told, and what follows is done."""
        self.add(begun.after)
        self._spread(begun.before, begun.after, begun.change, admitted=False)
        for effect in begun.effects:
            self._follow(begun.after, effect)

    def add(self, record: SessionRecord) -> None:
        """A new session, or one that was read from the store."""
        self._registry.put(record)
        self.life.begin(record)

    def change(self, record: SessionRecord) -> None:
        """A person changed the name, owner or metadata."""
        self._registry.put(record)
        self._store.mark(record)

    def remove(self, session: str) -> None:
        record = self._registry.get(session)
        if record is not None:
            self._news.perhaps_cured(record, None)
        self._registry.remove(session)
        self._hands.forget(session)
        self.codes.hide(session)
        self.life.forget(session)

    async def settle(self, session: str, timeout_s: float) -> None:
        """Wait, for ``timeout_s`` at most, until the engine has done what was asked for this session."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._hands.idle(session)
        except TimeoutError:
            pass

    # --- what follows ---

    def _keep(self, before: SessionRecord, after: SessionRecord, now_ms: int, *, admitted: bool) -> None:
        self._registry.put(after)
        self._news.perhaps_cured(before, after)
        change = transition(before, after, now_ms)
        if (
            change is not None
            or after.due != before.due
            or after.jid != before.jid
            or after.wanted is not before.wanted
        ):
            self._store.mark(after, change)
        self._spread(before, after, change, admitted=admitted)

    def _spread(
        self, before: SessionRecord, after: SessionRecord, change: Transition | None, *, admitted: bool
    ) -> None:
        if after.due != before.due and self.timers is not None:
            self.timers.set(after.id, after.due, admitted=admitted)
        if after.state is not State.PAIRING:
            self.codes.hide(after.id)
        if change is not None:
            for observer in self.observers:
                observer(after, change)
            self._news.moved(before, after)

    def _follow(self, record: SessionRecord, effect: Effect) -> None:
        match effect.kind:
            case EffectKind.ATTENTION:
                self._news.attention(record, effect.reason)
            case EffectKind.FLEET_OUTDATED:
                self.fleet.outdated(record)
            case _:
                self._hands.do(self, record.id, effect.kind)
