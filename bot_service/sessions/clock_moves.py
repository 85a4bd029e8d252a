"""Moves the moments of sessions when the service clock follows a step of the wall clock."""

from __future__ import annotations

import msgspec

from bot_service.domain.readiness import Evidence
from bot_service.domain.session_record import Due, DueKind, SessionRecord
from shared.service_clock import Move

# Moments that have been; 0 and None mean never.
PAST = (
    "created_ms",
    "since_ms",
    "linked_ms",
    "replaced_ms",
    "recovery_step_ms",
    "active_ms",
    "aged_from_ms",
    "inbound_ms",
    "exported_ms",
)
# Ends of limits that WhatsApp has set.
LIMITS = ("banned_until_ms", "timelocked_until_ms")


def moved_record(record: SessionRecord, move: Move) -> SessionRecord:
    """``record`` as if it had been made under the clock after ``move``."""
    changes: dict[str, object] = {
        name: move.past(at_ms) for name in PAST if (at_ms := getattr(record, name)) is not None and at_ms > 0
    }
    if move.shifts:
        changes |= {name: at_ms + move.by_ms for name in LIMITS if (at_ms := getattr(record, name)) is not None}
    errors = tuple(msgspec.structs.replace(error, at_ms=move.past(error.at_ms)) for error in record.errors)
    return msgspec.structs.replace(record, errors=errors, due=moved_due(record.due, move), **changes)


def moved_due(due: Due | None, move: Move) -> Due | None:
    # A ban ends when WhatsApp says so: no attempt before.
    if due is None or (due.kind is DueKind.BAN_OVER and not move.shifts):
        return due
    return Due(due.kind, move.due(due.at_ms))


def move_evidence(evidence: Evidence, move: Move) -> None:
    """Moves ``evidence`` in place; the hour that is being learned starts again."""
    evidence.sent_to = {chat: move.past(at_ms) for chat, at_ms in evidence.sent_to.items()}
    for name in ("probe_sent_ms", "probe_failed_ms", "probe_returned_ms", "probed_for_ms", "receipt_ms"):
        at_ms = getattr(evidence, name)
        if at_ms is not None:
            setattr(evidence, name, move.past(at_ms))
    evidence.pattern.slot, evidence.pattern.counted = -1, 0
