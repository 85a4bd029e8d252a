"""The path of every session change: fact, decision, memory and store, events, effects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol

from bot_service.domain import attention
from bot_service.domain.ports import ClientVersionPool, SessionLifecycle
from bot_service.domain.reconnect import HerdLimit
from bot_service.domain.session_record import (
    Command,
    Due,
    DueKind,
    Effect,
    EffectKind,
    Fact,
    SessionPolicy,
    SessionRecord,
    Signal,
    TimerFired,
    Transition,
    transition,
)
from bot_service.domain.session_rules import advance
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State, Wanted
from bot_service.sessions.activity import ActivityTracker
from bot_service.sessions.client_version_refusals import ClientVersionRefusals
from bot_service.sessions.clock_moves import moved_record
from bot_service.sessions.effects import EffectRunner, StartLimits
from bot_service.sessions.leases import Leases
from bot_service.sessions.notifications import SessionNotifications
from bot_service.sessions.pairing_codes import PairingCodes
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.timers import Timers
from bot_service.store.sessions import SessionStore
from shared.clock import Clock, to_ms
from shared.hooks import Hook
from shared.service_clock import Move


class SupervisedPool(SessionLifecycle, ClientVersionPool, Protocol):
    """What the supervisor uses of the engine workers."""


@dataclass(frozen=True, slots=True)
class Creation:
    """The first decision about a session that does not exist yet."""

    before: SessionRecord
    after: SessionRecord
    effects: tuple[Effect, ...]
    change: Transition | None


class Supervisor:
    """Owns the sessions of this service. All methods but :meth:`settle` are immediate.

    ``activity`` takes the evidence that a session is used and receives, ``refusals`` is about the
    client version of all sessions, ``codes`` are what phones can pair with. Listeners subscribe to
    ``transitioned`` and, before the signal has any effect, to ``signalled``.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        store: SessionStore,
        pool: SupervisedPool,
        notifications: SessionNotifications,
        leases: Leases,
        clock: Clock,
        policy: SessionPolicy,
        *,
        starts: StartLimits,
        herd: HerdLimit,
    ) -> None:
        self._registry, self._store = registry, store
        self._notifications, self._leases, self._clock = notifications, leases, clock
        self.activity = ActivityTracker(registry, store, notifications, clock)
        self.refusals = ClientVersionRefusals(policy, registry, notifications, self.apply, pool)
        self.codes = PairingCodes()
        self.effects = EffectRunner(pool, leases, self, starts)
        self.timers = Timers(clock, herd, waits_for=self._due, fire=self.fired)
        self.transitioned: Hook[[SessionRecord, Transition]] = Hook()
        self.signalled: Hook[[str, Signal]] = Hook()

    # --- reading ---

    def now_ms(self) -> int:
        return to_ms(self._clock.now())

    @property
    def policy(self) -> SessionPolicy:
        """The limits of every session now."""
        return self.refusals.policy

    def record(self, session: str) -> SessionRecord | None:
        return self._registry.get(session)

    def supervises(self, session: str) -> bool:
        """False when another replica decides about it, or none does at the moment."""
        return self._leases.supervises(session)

    def is_canary(self, session: str) -> bool:
        """Whether this session finds out for all whether the client version is accepted."""
        return self.policy.client_outdated and self.policy.canary == session

    def _due(self, session: str) -> Due | None:
        record = self._registry.get(session)
        return record.due if record is not None else None

    # --- what happens ---

    def apply(self, session: str, fact: Fact, *, admitted: bool = False) -> SessionRecord | None:
        """Applies one fact. Returns the new record, None when there is no such session here."""
        before = self._registry.get(session)
        if before is None or not self._leases.supervises(session):
            return None
        now_ms = self.now_ms()
        after, effects = advance(before, fact, self.policy, now_ms)
        if after is not before:
            after = attention.follow(after, now_ms)
            self._keep(before, after, now_ms, admitted=admitted)
        for effect in effects:
            self._follow(after, effect)
        return after

    def on_signal(self, session: str, incarnation: int, signal: Signal) -> None:
        """Subscribed to the signals of the engine pool."""
        if not self._leases.supervises(session):
            return
        self.signalled(session, signal)
        if session not in self._registry:
            return
        kind = signal.kind
        if kind is not SignalKind.PAIRED and not self.effects.is_current(session, incarnation):
            return
        self._note(session, signal)
        if kind is SignalKind.REPLACED:
            signal = replace(signal, lease_held=self._leases.owns(session))
        elif kind is SignalKind.OUTDATED:
            signal = replace(signal, others_accepted=self.refusals.others_accepted(session))
        self.apply(session, signal)
        if kind is SignalKind.OUTDATED:
            self.refusals.login_refused(session)
        elif kind is SignalKind.CONNECTED and not signal.data.get("earlier"):
            self.refusals.login_accepted(session)
        elif kind in (SignalKind.DISCONNECTED, SignalKind.SERVER_UNAVAILABLE):
            self.refusals.link_lost(session)

    def _note(self, session: str, signal: Signal) -> None:
        if signal.kind in (SignalKind.QR, SignalKind.PAIRING_CODE):
            record = self._registry.get(session)
            if record is not None and record.jid is None and record.wanted is Wanted.RUN:
                shown = self.codes.show(session, signal, self.now_ms())
                self._notifications.code_shown(record, shown)
        elif signal.kind is SignalKind.CONNECTED:
            self.activity.evidence(session).linked()
        elif signal.kind is SignalKind.RECEIPT:
            self.activity.receipt(session)

    def signal(self, session: str, signal: Signal) -> None:
        """A signal of this service itself, from the effects."""
        self.signalled(session, signal)
        self.apply(session, signal)

    def start_refused(self, session: str) -> None:
        """The worker did not start it, because its client version is refused."""
        if self.refusals.announced in self.refusals.refused:
            self.apply(session, Signal(SignalKind.OUTDATED))
        else:
            # Its worker was chosen before that was known; the next one announces another version.
            self.signal(session, Signal(SignalKind.CONNECT_ERROR, {"reason": "outdated"}))

    def fired(self, session: str, kind: DueKind) -> None:
        """Called by the timers."""
        may_recycle = kind is not DueKind.RECOVERY or self.effects.may_recycle(session)
        self.apply(session, TimerFired(kind, may_recycle))

    # --- creating and removing ---

    def begin(self, record: SessionRecord, command: Command | None) -> Creation:
        """What a new session becomes by its first command: store it, then :meth:`admit` it."""
        now_ms = self.now_ms()
        after, effects = advance(record, command, self.policy, now_ms) if command is not None else (record, ())
        return Creation(record, after, effects, transition(record, after, now_ms))

    def admit(self, creation: Creation) -> None:
        """A new session is stored: publishes it and carries out the effects."""
        self.add(creation.after)
        self._spread(creation.before, creation.after, creation.change, admitted=False)
        for effect in creation.effects:
            self._follow(creation.after, effect)

    def add(self, record: SessionRecord) -> None:
        """A new session, or one that was read from the store."""
        self._registry.put(record)
        self.activity.add(record)

    def take_over(self, record: SessionRecord) -> SessionRecord:
        """A session from the store, perhaps written by a version that knew no needs."""
        now_ms = self.now_ms()
        # Written under a clock that was ahead: nothing has been in the future or waits for long.
        cut = moved_record(record, Move(0, now_ms, shifts=False))
        after = attention.follow(record if cut == record else cut, now_ms)
        self.add(after)
        if after is not record:
            self._store.mark(after)
        return after

    def change(self, record: SessionRecord) -> None:
        """A person changed the name, owner or metadata."""
        self._registry.put(record)
        self._store.mark(record)

    def move(self, move: Move) -> None:
        """The clock is set: every session keeps its ages and waits."""
        for record in [moved_record(record, move) for record in self._registry.here()]:
            self.change(record)
        self.activity.move(move)
        self.timers.move(move)

    def remove(self, session: str) -> None:
        record = self._registry.get(session)
        if record is not None:
            self._notifications.end_alert(record, None)
        self._registry.remove(session)
        self.effects.forget(session)
        self.codes.hide(session)
        self.activity.forget(session)

    def let_go(self, session: str) -> None:
        """Another replica is to run it: forgets what only matters here. Its record stays as it is."""
        self._registry.let_go(session)
        self.codes.hide(session)
        self.activity.let_go(session)

    async def settle(self, session: str, timeout_s: float) -> None:
        """Waits, for ``timeout_s`` at most, until the effects of this session are carried out."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.effects.idle(session)
        except TimeoutError:
            pass

    # --- what follows ---

    def _keep(self, before: SessionRecord, after: SessionRecord, now_ms: int, *, admitted: bool) -> None:
        self._registry.put(after)
        self._notifications.end_alert(before, after)
        change = transition(before, after, now_ms)
        if (
            change is not None
            or after.due != before.due
            or after.jid != before.jid
            or after.wanted is not before.wanted
            or after.need is not before.need
        ):
            self._store.mark(after, change)
        self._spread(before, after, change, admitted=admitted)

    def _spread(
        self, before: SessionRecord, after: SessionRecord, change: Transition | None, *, admitted: bool
    ) -> None:
        if after.due != before.due:
            self.timers.set(after.id, after.due, admitted=admitted)
        if after.state is not State.PAIRING:
            self.codes.hide(after.id)
        if change is not None:
            self.transitioned(after, change)
            self._notifications.changed(before, after)

    def _follow(self, record: SessionRecord, effect: Effect) -> None:
        match effect.kind:
            case EffectKind.ATTENTION:
                self._notifications.attention(record, effect.reason)
            case EffectKind.CLIENT_OUTDATED:
                self.refusals.outdated(record)
            case _:
                self.effects.run(record.id, effect.kind)
