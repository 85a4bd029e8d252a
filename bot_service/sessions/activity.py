"""Last-activity times and receive evidence: in memory at once, stored at intervals.

Activity changes no state. The readiness check, the cleanup and the recovery steps decide by it.
"""

from __future__ import annotations

import msgspec

from bot_service.domain import attention
from bot_service.domain.readiness import Evidence, Pattern
from bot_service.domain.recovery import reset_recovery
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State
from bot_service.sessions.clock_moves import move_evidence
from bot_service.sessions.notifications import SessionNotifications
from bot_service.sessions.registry import SessionRegistry
from bot_service.store.sessions import SessionStore
from shared.clock import Clock, to_ms
from shared.service_clock import Move

# Activity is stored when the stored one is older than this, not at every message.
ACTIVITY_STEP_MS = 60_000


class ActivityTracker:
    """Unknown sessions are ignored."""

    def __init__(
        self, registry: SessionRegistry, store: SessionStore, notifications: SessionNotifications, clock: Clock
    ) -> None:
        self._registry, self._store = registry, store
        self._notifications, self._clock = notifications, clock
        self._evidence: dict[str, Evidence] = {}
        self._stored_active_ms: dict[str, int] = {}

    def evidence(self, session: str) -> Evidence:
        return self._evidence.setdefault(session, Evidence())

    def patterns(self) -> list[tuple[str, Pattern]]:
        """What each session usually receives."""
        return [(session, evidence.pattern) for session, evidence in self._evidence.items()]

    def touch(self, session: str) -> None:
        """The session is used: a message, a receipt, an API call."""
        record = self._own(session)
        if record is not None:
            self._set(msgspec.structs.replace(record, active_ms=self._now_ms()))

    def inbound(self, session: str, *, sent_ms: int | None = None) -> None:
        """An inbound message, sent at ``sent_ms``, was journaled: receiving works."""
        record = self._own(session)
        if record is None:
            return
        now_ms = self._now_ms()
        self.evidence(session).inbound(now_ms, sent_ms)
        if record.state is State.READY:
            record = self._reset_recovery(record)
        self._set(msgspec.structs.replace(record, active_ms=now_ms, inbound_ms=now_ms))

    def receipt(self, session: str) -> None:
        """A receipt came in: receiving works."""
        evidence = self.evidence(session)
        evidence.receipt_ms = self._now_ms()
        evidence.proven()
        self.touch(session)

    def probe_arrived(self, session: str) -> None:
        """A receive probe arrived as a message: receiving works; this is no activity."""
        evidence = self.evidence(session)
        evidence.probe_returned_ms = self._now_ms()
        evidence.proven()

    def receiving_proven(self, session: str) -> None:
        """A probe came back."""
        record = self._own(session)
        if record is not None and record.state is State.READY:
            self._reset_recovery(record)

    def sent(self, session: str, chat: str) -> None:
        """A message went out; receipts are expected."""
        self.evidence(session).sent(chat, self._now_ms())
        self.touch(session)

    def add(self, record: SessionRecord) -> None:
        """``record`` is as it is stored."""
        self._stored_active_ms[record.id] = record.active_ms

    def forget(self, session: str) -> None:
        """The session was deleted."""
        self._evidence.pop(session, None)
        self._stored_active_ms.pop(session, None)

    def let_go(self, session: str) -> None:
        """Another replica runs it. What it usually receives is kept for its return."""
        self._evidence[session] = Evidence(pattern=self.evidence(session).pattern)

    def move(self, move: Move) -> None:
        """The clock is set."""
        for evidence in self._evidence.values():
            move_evidence(evidence, move)
        self._stored_active_ms = {session: move.past(at_ms) for session, at_ms in self._stored_active_ms.items()}

    def _own(self, session: str) -> SessionRecord | None:
        return self._registry.get(session) if self._registry.runs_here(session) else None

    def _reset_recovery(self, record: SessionRecord) -> SessionRecord:
        after = reset_recovery(record)
        if after is not record:
            after = attention.follow(after, self._now_ms())
            self._registry.put(after)
            self._store.mark(after)
            self._notifications.end_alert(record, after)
        return after

    def _set(self, record: SessionRecord) -> None:
        self._registry.put(record)
        if record.active_ms - self._stored_active_ms.get(record.id, 0) >= ACTIVITY_STEP_MS:
            self._stored_active_ms[record.id] = record.active_ms
            self._store.mark(record)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
