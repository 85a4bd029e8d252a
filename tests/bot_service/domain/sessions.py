"""Sessions in a given state, for tests of the domain."""

from __future__ import annotations

from typing import Any

from bot_service.domain.session_record import Decision, Due, DueKind, EffectKind, SessionPolicy, SessionRecord, Signal
from bot_service.domain.session_rules import advance
from bot_service.domain.signals import SignalKind
from bot_service.domain.states import LINKED, State, Wanted

NOW = 1_800_000_000_000
POLICY = SessionPolicy()
JID = "me@s.whatsapp.net"


def session(state: State = State.READY, **fields: Any) -> SessionRecord:
    """A session that is wanted, paired unless it is PAIRING, and was linked an hour ago where the state says so."""
    given: dict[str, Any] = {
        "wanted": Wanted.RUN,
        "jid": None if state is State.PAIRING else JID,
        "linked": state in LINKED,
        "linked_ms": NOW - 3_600_000 if state in LINKED else None,
        "engaged": True,
        "created_ms": NOW - 7_200_000,
        "since_ms": NOW - 60_000,
        "active_ms": NOW - 60_000,
        "aged_from_ms": NOW - 7_200_000,
        "reason": "before",
    }
    return SessionRecord(id="s1", owner="main", name="s1", state=state, **(given | fields))


def on(
    record: SessionRecord, kind: SignalKind, policy: SessionPolicy = POLICY, now: int = NOW, **data: Any
) -> Decision:
    ours = bool(data.pop("lease_held", True))
    return advance(record, Signal(kind, data, lease_held=ours), policy, now)


def kinds(step: Decision) -> list[EffectKind]:
    return [effect.kind for effect in step[1]]


def due_in(record: SessionRecord, kind: DueKind, now: int = NOW) -> int:
    """Milliseconds until what is due; asserts that it is ``kind``."""
    assert isinstance(record.due, Due)
    assert record.due.kind is kind
    return record.due.at_ms - now
