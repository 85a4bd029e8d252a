"""Notes every sign that a session is used and that it receives: in memory at once, in the store now and then.

A sign of life moves no session to another state; it is what the sweep, the cleanup and the ladder judge by.
"""

from __future__ import annotations

import msgspec

from bot_service.domain.readiness import Evidence, Pattern
from bot_service.domain.recovery import forget_rung
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State
from bot_service.sessions.notifications import SessionNotifications
from bot_service.sessions.registry import SessionRegistry
from bot_service.store.sessions import SessionStore
from shared.clock import Clock, to_ms

# A sign of life is written to the store when the stored one is older than this: not at every message.
ACTIVITY_STEP_MS = 60_000


class ActivityTracker:
    """Sessions that nobody knows are passed over."""

    def __init__(
        self, registry: SessionRegistry, store: SessionStore, news: SessionNotifications, clock: Clock
    ) -> None:
        self._registry, self._store, self._news, self._clock = registry, store, news, clock
        self._evidence: dict[str, Evidence] = {}
        self._stored_active_ms: dict[str, int] = {}

    def evidence(self, session: str) -> Evidence:
        return self._evidence.setdefault(session, Evidence())

    def patterns(self) -> list[tuple[str, Pattern]]:
        """What each session usually receives."""
        return [(session, evidence.pattern) for session, evidence in self._evidence.items()]

    def touch(self, session: str) -> None:
        """Somebody uses the session: a message, a receipt, a call of the API."""
        record = self._registry.get(session)
        if record is not None:
            self._touched(record, {"active_ms": self._now_ms()})

    def heard(self, session: str, *, sent_ms: int | None = None) -> None:
        """An inbound message, sent at ``sent_ms``, was journalled: receiving works."""
        record = self._registry.get(session)
        if record is None:
            return
        now_ms = self._now_ms()
        self.evidence(session).heard(now_ms, sent_ms)
        if record.state is State.READY:
            record = self._off_the_ladder(record)
        self._touched(record, {"active_ms": now_ms, "inbound_ms": now_ms})

    def receipt(self, session: str) -> None:
        """A receipt came in: receiving works."""
        evidence = self.evidence(session)
        evidence.receipt_ms = self._now_ms()
        evidence.proven()
        self.touch(session)

    def rang(self, session: str) -> None:
        """A receive probe arrived as a message: receiving works, and no person has shown a sign of life."""
        evidence = self.evidence(session)
        evidence.probe_returned_ms = self._now_ms()
        evidence.proven()

    def proven(self, session: str) -> None:
        """Receiving is proven without a sign of life of a person: a probe came back."""
        record = self._registry.get(session)
        if record is not None and record.state is State.READY:
            self._off_the_ladder(record)

    def sent(self, session: str, chat: str) -> None:
        """A message went out; receipts are expected."""
        self.evidence(session).sent(chat, self._now_ms())
        self.touch(session)

    def begin(self, record: SessionRecord) -> None:
        """The session is stored as ``record`` says."""
        self._stored_active_ms[record.id] = record.active_ms

    def forget(self, session: str) -> None:
        """The session is gone."""
        self._evidence.pop(session, None)
        self._stored_active_ms.pop(session, None)

    def _off_the_ladder(self, record: SessionRecord) -> SessionRecord:
        after = forget_rung(record)
        if after is not record:
            self._registry.put(after)
            self._store.mark(after)
            self._news.perhaps_cured(record, after)
        return after

    def _touched(self, record: SessionRecord, changes: dict[str, int]) -> None:
        after = msgspec.structs.replace(record, **changes)
        self._registry.put(after)
        if after.active_ms - self._stored_active_ms.get(record.id, 0) >= ACTIVITY_STEP_MS:
            self._stored_active_ms[record.id] = after.active_ms
            self._store.mark(after)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
