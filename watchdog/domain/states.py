"""The states of a target, the flips between them, and the incidents and notices that follow."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class State(StrEnum):
    UNKNOWN = "UNKNOWN"  # nothing decided yet
    UP = "UP"
    SUSPECT = "SUSPECT"  # failed pings, fewer than the threshold
    DOWN = "DOWN"
    FLAPPING = "FLAPPING"  # changed too often; held until it has been stable
    DEGRADED = "DEGRADED"  # answers, but too many sessions are not ready, or one needs a person
    BLIND = "BLIND"  # the watchdog cannot see it
    PARTIAL = "PARTIAL"  # down for this watchdog or a peer, up for the others
    PAUSED = "PAUSED"  # maintenance window


class IncidentKind(StrEnum):
    DOWN = "down"
    FLAPPING = "flapping"
    DEGRADED = "degraded"
    BLIND = "blind"
    REFUSED = "refused"
    UNANSWERED = "unanswered"  # pings fail while the heartbeat goes on
    PARTIAL = "partial"  # down from one watchdog, up from another
    SILENT = "silent"  # another watchdog does not answer


class NoticeKind(StrEnum):
    DOWN = "down"
    UP = "up"
    WAS_DOWN = "was_down"  # DOWN and UP that both waited, merged: "was down from … to …"
    RESTARTED = "restarted"
    FLAPPING = "flapping"
    FLAPPING_OVER = "flapping_over"
    DEGRADED = "degraded"
    DEGRADED_OVER = "degraded_over"
    BLIND = "blind"
    BLIND_OVER = "blind_over"
    REFUSED = "refused"
    REFUSED_OVER = "refused_over"
    UNANSWERED = "unanswered"
    UNANSWERED_OVER = "unanswered_over"
    PARTIAL = "partial"
    PARTIAL_OVER = "partial_over"
    SILENT = "silent"
    SILENT_OVER = "silent_over"
    REMINDER = "reminder"
    CHANNEL_FAILING = "channel_failing"
    ATTENTION = "attention"  # sessions need a person
    ATTENTION_OVER = "attention_over"
    REPAIR_BUDGET_SPENT = "repair_budget_spent"
    LEDGER_FAILING = "ledger_failing"  # decisions and alerts go on in memory
    LEDGER_OVER = "ledger_over"
    LEDGER_DAMAGED = "ledger_damaged"  # kept aside, a new one began
    REPAIRS_LOCKED = "repairs_locked"  # the database of the repair lease is away
    REPAIRS_UNLOCKED = "repairs_unlocked"
    LOOP_FAILING = "loop_failing"
    LOOP_OVER = "loop_over"
    TEST = "test"


class Flip(msgspec.Struct, frozen=True):
    """One change of state, decided at ``at_ms``, begun at ``since_ms`` (both wall)."""

    target: str
    at_ms: int
    since_ms: int
    old: State
    new: State
    reason: str
    incident_id: str | None = None


class Incident(msgspec.Struct, frozen=True):
    """Something wrong, from its beginning to its end."""

    id: str
    target: str
    kind: IncidentKind
    opened_at_ms: int
    decided_at_ms: int
    reason: str
    closed_at_ms: int | None = None
    close_reason: str | None = None
    acknowledged_at_ms: int | None = None
    acknowledged_by: str | None = None
    reminders: int = 0
    last_notice_at_ms: int | None = None


class Notice(msgspec.Struct, frozen=True):
    """A message for the channels; its id is stable: ``<incident id>:<kind>[:n]``."""

    id: str
    target: str
    kind: NoticeKind
    created_at_ms: int
    title: str
    text: str
    incident_id: str | None = None
    fields: dict[str, Any] = {}
