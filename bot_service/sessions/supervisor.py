"""The road of a session: fact -> ``advance`` -> memory and store -> bus, timers and engine. Nothing else changes a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from bot_service.domain.ladder import forget_rung, gave_up
from bot_service.domain.ports import EngineSignal
from bot_service.domain.readiness import Evidence, Pattern
from bot_service.domain.record import (
    Command,
    CommandKind,
    DueKind,
    Effect,
    EffectKind,
    Fact,
    Fired,
    FleetRecovered,
    Policy,
    Record,
    Signal,
    Transition,
    transition,
)
from bot_service.domain.session import advance
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import State, Wanted
from bot_service.sessions.bus import Event, EventBus
from bot_service.sessions.codes import Codes
from bot_service.sessions.hands import Hands
from bot_service.sessions.leases import Leases
from bot_service.sessions.registry import SessionRegistry
from bot_service.sessions.timers import Timers
from bot_service.store.sessions import SessionStore
from shared import logs
from shared.breath import Breath
from shared.clock import Clock, iso
from shared.tasks import spawn

log = logs.get(__name__)

# A sign of life is written to the store when the stored one is older than this: not at every message.
ACTIVITY_STEP_MS = 60_000


@dataclass(frozen=True, slots=True)
class Begun:
    """The first step of a session that nobody knows yet."""

    before: Record
    after: Record
    effects: tuple[Effect, ...]
    change: Transition | None


class Supervisor:
    """Owns the sessions of this service. All methods but :meth:`settle` are immediate."""

    def __init__(
        self,
        registry: SessionRegistry,
        store: SessionStore,
        hands: Hands,
        bus: EventBus,
        leases: Leases,
        clock: Clock,
        policy: Policy,
    ) -> None:
        self._registry, self._store, self._hands, self._bus = registry, store, hands, bus
        self._leases, self._clock, self.policy = leases, clock, policy
        self._evidence: dict[str, Evidence] = {}
        self._stored_active_ms: dict[str, int] = {}
        self.codes = Codes()
        self.timers: Timers | None = None
        self.observers: list[Callable[[Record, Transition], None]] = []
        self.signal_observers: list[Callable[[str, SignalKind], None]] = []

    # --- what others look at ---

    def now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def record(self, session: str) -> Record | None:
        return self._registry.get(session)

    def evidence(self, session: str) -> Evidence:
        return self._evidence.setdefault(session, Evidence())

    def patterns(self) -> list[tuple[str, Pattern]]:
        """What each session usually receives."""
        return [(session, evidence.pattern) for session, evidence in self._evidence.items()]

    # --- what happens ---

    def apply(self, session: str, fact: Fact, *, admitted: bool = False) -> Record | None:
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
        self.apply(signal.session, Signal(kind, signal.data, lease_ours=ours))

    def _look_at(self, session: str, kind: SignalKind, signal: EngineSignal) -> None:
        if kind in (SignalKind.QR, SignalKind.PAIRING_CODE):
            record = self._registry.get(session)
            if record is not None and record.jid is None and record.wanted is Wanted.RUN:
                shown = self.codes.show(session, kind, signal.data, self.now_ms())
                self._tell(record, "session.qr", {"kind": shown.kind, "expiresAt": _iso(shown.expires_ms)})
        elif kind is SignalKind.CONNECTED:
            self.evidence(session).linked()
        elif kind is SignalKind.RECEIPT:
            self.receipt(session)

    def signal(self, session: str, signal: Signal) -> None:
        """A signal of our own making, from the hands."""
        for observer in self.signal_observers:
            observer(session, signal.kind)
        self.apply(session, signal)

    def fired(self, session: str, kind: DueKind) -> None:
        """The timers' listener."""
        may_recycle = kind is not DueKind.LADDER or self._hands.may_recycle(session)
        self.apply(session, Fired(kind, may_recycle))

    # --- signs of life ---

    def touch(self, session: str) -> None:
        """Somebody uses the session: a message, a receipt, a call of the API."""
        record = self._registry.get(session)
        if record is not None:
            self._touched(record, {"active_ms": self.now_ms()})

    def heard(self, session: str, *, sent_ms: int | None = None) -> None:
        """An inbound message, sent at ``sent_ms``, was journalled: receiving works."""
        record = self._registry.get(session)
        if record is None:
            return
        now_ms = self.now_ms()
        self.evidence(session).heard(now_ms, sent_ms)
        if record.state is State.READY and (after := forget_rung(record)) is not record:
            self._store.mark(after)
            self._tell_of_cure(record, after)
            record = after
        self._touched(record, {"active_ms": now_ms, "inbound_ms": now_ms})

    def receipt(self, session: str) -> None:
        """A receipt came in: receiving works."""
        evidence = self.evidence(session)
        evidence.receipt_ms = self.now_ms()
        evidence.proven()
        self.touch(session)

    def rang(self, session: str) -> None:
        """A receive probe arrived as a message: receiving works, and no person has shown a sign of life."""
        evidence = self.evidence(session)
        evidence.probe_returned_ms = self.now_ms()
        evidence.proven()

    def proven(self, session: str) -> None:
        """Receiving is proven without a sign of life of a person: a probe came back."""
        record = self._registry.get(session)
        if record is not None and record.state is State.READY:
            after = forget_rung(record)
            if after is not record:
                self._registry.put(after)
                self._store.mark(after)
                self._tell_of_cure(record, after)

    def sent(self, session: str, chat: str) -> None:
        """A message went out; receipts are expected."""
        self.evidence(session).sent(chat, self.now_ms())
        self.touch(session)

    def _touched(self, record: Record, changes: dict[str, int]) -> None:
        after = msgspec.structs.replace(record, **changes)
        self._registry.put(after)
        if after.active_ms - self._stored_active_ms.get(record.id, 0) >= ACTIVITY_STEP_MS:
            self._stored_active_ms[record.id] = after.active_ms
            self._store.mark(after)

    # --- making and removing ---

    def begin(self, record: Record, command: Command | None) -> Begun:
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

    def add(self, record: Record) -> None:
        """A new session, or one that was read from the store."""
        self._registry.put(record)
        self._stored_active_ms[record.id] = record.active_ms

    def change(self, record: Record) -> None:
        """A person changed the name, owner or metadata."""
        self._registry.put(record)
        self._store.mark(record)

    def remove(self, session: str) -> None:
        record = self._registry.get(session)
        if record is not None and gave_up(record):
            self._tell(record, "session.cured", {"session": session})
        self._registry.remove(session)
        self._hands.forget(session)
        self.codes.hide(session)
        self._evidence.pop(session, None)
        self._stored_active_ms.pop(session, None)

    async def settle(self, session: str, timeout_s: float) -> None:
        """Wait, for ``timeout_s`` at most, until the engine has done what was asked for this session."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._hands.idle(session)
        except TimeoutError:
            pass

    # --- what follows ---

    def _keep(self, before: Record, after: Record, now_ms: int, *, admitted: bool) -> None:
        self._registry.put(after)
        self._tell_of_cure(before, after)
        change = transition(before, after, now_ms)
        if (
            change is not None
            or after.due != before.due
            or after.jid != before.jid
            or after.wanted is not before.wanted
        ):
            self._store.mark(after, change)
        self._spread(before, after, change, admitted=admitted)

    def _spread(self, before: Record, after: Record, change: Transition | None, *, admitted: bool) -> None:
        if after.due != before.due and self.timers is not None:
            self.timers.set(after.id, after.due, admitted=admitted)
        if after.state is not State.PAIRING:
            self.codes.hide(after.id)
        if change is not None:
            for observer in self.observers:
                observer(after, change)
            self._tell(after, "session.state", state_data(before, after))
            log.info(
                f"Session {after.state.value}: {after.reason}",
                event_name="session.state",
                session=after.id,
                was=before.state.value,
                state=after.state.value,
                reason=after.reason,
                detail=after.detail,
                acts=after.actor.value,
            )

    def _follow(self, record: Record, effect: Effect) -> None:
        match effect.kind:
            case EffectKind.ATTENTION:
                self._attention(record, effect.reason)
            case EffectKind.FLEET_OUTDATED:
                self.fleet_outdated(record)
            case EffectKind.FLEET_RECOVERED:
                spawn(self._fleet_recovered(), name="fleet.recovered")
            case _:
                self._hands.do(self, record.id, effect.kind)

    def _attention(self, record: Record, reason: str) -> None:
        data = state_data(record, record) | {"attention": reason}
        self._tell(record, "session.attention", data)
        log.warning(
            f"Session needs attention: {reason}",
            event_name="session.attention",
            session=record.id,
            reason=reason,
            acts=record.actor.value,
        )

    def _tell_of_cure(self, before: Record, after: Record) -> None:
        """What a person was told of is over: receiving is proven, or a person has taken it in hand."""
        if gave_up(before) and not gave_up(after):
            self._tell(after, "session.cured", {"session": after.id})

    def _tell(self, record: Record, kind: str, data: dict[str, object]) -> None:
        self._bus.publish(Event(kind, record.id, record.owner, self._clock.now(), data))

    # --- the fleet ---

    def fleet_outdated(self, canary: Record) -> None:
        """WhatsApp refuses this version of the client: no session tries any more but ``canary``, now and then."""
        if self.policy.fleet_outdated:
            return
        self.policy = replace(self.policy, fleet_outdated=True, canary=canary.id)
        log.critical(
            "WhatsApp refuses this version of the client: all reconnects have stopped, upgrade the engine",
            event_name="fleet.outdated",
            session=canary.id,
        )
        self._tell(canary, "fleet.outdated", {"canary": canary.id})

    async def _fleet_recovered(self) -> None:
        if not self.policy.fleet_outdated:
            return
        canary = self._registry.get(self.policy.canary or "")
        self.policy = replace(self.policy, fleet_outdated=False, canary=None)
        log.info("WhatsApp takes this version of the client again", event_name="fleet.recovered")
        if canary is not None:
            self._tell(canary, "fleet.recovered", {})
        breath = Breath()
        for session in self._registry.ids():
            self.apply(session, FleetRecovered())
            if breath.spent:
                await breath.take()

    def check_canary(self) -> None:
        """Sees to it that exactly one session asks for the fleet while the client is outdated."""
        if not self.policy.fleet_outdated:
            return
        canary = self._registry.get(self.policy.canary or "")
        if canary is not None and canary.wanted is Wanted.RUN and canary.state is not State.LOGGED_OUT:
            return
        for record in self._registry:
            if record.state is State.OUTDATED and record.wanted is Wanted.RUN:
                self.policy = replace(self.policy, canary=record.id)
                self.apply(record.id, Command(CommandKind.ASK_FOR_FLEET))
                return
        self.policy = replace(self.policy, fleet_outdated=False, canary=None)


def _iso(at_ms: int) -> str:
    return iso(datetime.fromtimestamp(at_ms / 1000, UTC))


def state_data(before: Record, after: Record) -> dict[str, object]:
    """A change of state as events carry it; no telephone number in it."""
    return {
        "session": after.id,
        "name": after.name,
        "state": after.state.value,
        "previous": before.state.value,
        "wanted": after.wanted.value,
        "reason": after.reason,
        "detail": after.detail,
        "acts": after.actor.value,
        "since": _iso(after.since_ms),
    }
