"""Which sessions have expired, and whether each is closed or gets a fresh connection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot_service.domain.reasons import Reason
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LIVE, Wanted


class ExpiryAction(StrEnum):
    """AUTO closes only unused sessions: a bot that is used stays online whatever its age."""

    AUTO = "auto"
    CLOSE = "close"
    RECYCLE = "recycle"


@dataclass(frozen=True, slots=True)
class ExpiryPolicy:
    """Milliseconds."""

    inactive_ms: int
    max_age_ms: int
    action: ExpiryAction = ExpiryAction.AUTO


class ExpiryDecision(StrEnum):
    CLOSE_INACTIVE = "inactive"
    CLOSE_OLD = "max_age"
    RECYCLE_INACTIVE = "recycle_inactive"
    RECYCLE_OLD = "recycle_max_age"

    @property
    def closes(self) -> bool:
        return self in (ExpiryDecision.CLOSE_INACTIVE, ExpiryDecision.CLOSE_OLD)

    @property
    def reason(self) -> Reason:
        return Reason(self.value)


def decide_expiry(record: SessionRecord, policy: ExpiryPolicy, now_ms: int) -> ExpiryDecision | None:
    """None for a session that may go on. Only running sessions can expire."""
    if record.wanted is not Wanted.RUN or record.state not in LIVE:
        return None
    inactive = now_ms - max(record.active_ms, record.created_ms) >= policy.inactive_ms
    old = now_ms - (record.aged_from_ms or record.created_ms) >= policy.max_age_ms
    paired = record.jid is not None
    if inactive:
        # A recycled session is still unused. Its age starts at zero, so that not every check renews
        # it.
        if policy.action is ExpiryAction.RECYCLE and paired:
            fresh = now_ms - (record.aged_from_ms or record.created_ms) < policy.inactive_ms
            return None if fresh else ExpiryDecision.RECYCLE_INACTIVE
        return ExpiryDecision.CLOSE_INACTIVE
    if old:
        recycles = paired and policy.action is not ExpiryAction.CLOSE
        return ExpiryDecision.RECYCLE_OLD if recycles else ExpiryDecision.CLOSE_OLD
    return None
