"""Decides about a waiting notice on one channel: send, merge, hold or mute, with a reason.

Also the reminder schedule and the delivery backoff. Pure; ``ledger/claiming.py`` gathers the facts.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from watchdog.domain.notices import OPENER_OF
from watchdog.domain.states import Incident, IncidentKind, Notice, NoticeKind

MINUTE_MS = 60_000


class AlertPolicy(msgspec.Struct, frozen=True):
    """Times in ms. A reminder is due when its gap has passed since the notice before it."""

    reminder_gaps_ms: tuple[int, ...] = (15 * MINUTE_MS, 45 * MINUTE_MS)  # at 15 min and at 1 h
    reminder_every_ms: int = 240 * MINUTE_MS
    backoff_first_ms: int = 1000
    backoff_cap_ms: int = 5 * MINUTE_MS
    retry_after_cap_ms: int = 60 * MINUTE_MS
    fallback_after_tries: int = 3
    fallback_after_ms: int = 30_000
    channel_failing_after: int = 5
    restarts_sent: int = 3
    restarts_window_ms: int = 15 * MINUTE_MS
    hold_ms: int = 5000


class AlertDecision(StrEnum):
    SEND = "send"
    MERGE = "merge"  # with its opener, which waits too
    HOLD = "hold"  # check again later
    MUTE = "mute"  # never sent on this channel


class Why(StrEnum):
    """The reason of a decision; stored with the outbox row and shown to people."""

    NEWS = "news"
    BOTH_WAITED = "both_waited"
    OPENER_NEVER_MEANT = "opener_never_meant"  # this channel never got the opener
    OPENER_IN_FLIGHT = "opener_in_flight"
    OPENER_MUTED = "opener_muted"
    OPENER_STILL_WAITS = "opener_still_waits"
    INHIBITED_BY_DOWN = "inhibited_by_down"
    INHIBITED_BY_BLIND = "inhibited_by_blind"
    INHIBITED_BY_FLAPPING = "inhibited_by_flapping"
    MAINTENANCE = "maintenance"
    ACKNOWLEDGED = "acknowledged"
    INCIDENT_OVER = "incident_over"
    SUPERSEDED = "superseded"
    TOO_MANY_RESTARTS = "too_many_restarts"
    CHANNEL_WORKS_AGAIN = "channel_works_again"


class AlertRuling(msgspec.Struct, frozen=True):
    decision: AlertDecision
    why: Why


class AlertContext(msgspec.Struct, frozen=True):
    """The state around a waiting notice.

    ``opener`` is the state of the opening notice's row on the same channel, None when that channel
    has none; ``closer`` that of the UP notice of a DOWN incident. ``open_kinds`` are the kinds of
    other open incidents of the target. ``restarts`` counts its restart notices sent within the
    window.
    """

    incident: Incident | None = None
    opener: str | None = None
    closer: str | None = None
    open_kinds: frozenset[IncidentKind] = frozenset()
    in_maintenance: bool = False
    newer_reminder: bool = False
    restarts: int = 0
    channel_works: bool = False


SEND = AlertRuling(AlertDecision.SEND, Why.NEWS)
_NEVER_MUTED = frozenset({NoticeKind.DOWN, NoticeKind.WAS_DOWN, NoticeKind.TEST, NoticeKind.REPAIR_BUDGET_SPENT})
_INHIBITED = {
    NoticeKind.DEGRADED: (IncidentKind.DOWN, IncidentKind.BLIND, IncidentKind.FLAPPING),
    NoticeKind.REFUSED: (IncidentKind.DOWN, IncidentKind.BLIND),
    NoticeKind.UNANSWERED: (IncidentKind.DOWN, IncidentKind.BLIND),
    NoticeKind.RESTARTED: (IncidentKind.DOWN, IncidentKind.FLAPPING),
}
_INHIBITORS = {
    IncidentKind.DOWN: Why.INHIBITED_BY_DOWN,
    IncidentKind.BLIND: Why.INHIBITED_BY_BLIND,
    IncidentKind.FLAPPING: Why.INHIBITED_BY_FLAPPING,
}


def decide(notice: Notice, context: AlertContext, policy: AlertPolicy) -> AlertRuling:
    """The decision about ``notice`` now.

    DOWN is always sent, alone or merged with its UP. UP is sent unless DOWN was not.
    """
    if notice.kind is NoticeKind.DOWN and context.closer == "waiting":
        return AlertRuling(AlertDecision.MERGE, Why.BOTH_WAITED)
    if notice.kind in _NEVER_MUTED:
        return SEND
    if notice.kind in OPENER_OF:
        return _decide_end(notice, context)
    if notice.kind is NoticeKind.REMINDER:
        return _decide_reminder(context)
    if notice.kind is NoticeKind.CHANNEL_FAILING:
        return _mute(Why.CHANNEL_WORKS_AGAIN) if context.channel_works else SEND
    return _decide_other(notice, context, policy)


def _decide_end(notice: Notice, context: AlertContext) -> AlertRuling:
    if context.opener is None and notice.kind is NoticeKind.UP:
        # A fallback channel used only now never got DOWN: it gets both as one notice.
        return AlertRuling(AlertDecision.MERGE, Why.OPENER_NEVER_MEANT)
    if context.opener in ("muted", "expired"):
        return _mute(Why.OPENER_MUTED)
    if context.opener == "leased":
        return AlertRuling(AlertDecision.HOLD, Why.OPENER_IN_FLIGHT)
    if context.opener == "waiting":
        if notice.kind is NoticeKind.UP:
            return AlertRuling(AlertDecision.MERGE, Why.BOTH_WAITED)
        return AlertRuling(AlertDecision.HOLD, Why.OPENER_STILL_WAITS)
    return SEND


def _decide_reminder(context: AlertContext) -> AlertRuling:
    incident = context.incident
    if incident is None or incident.closed_at_ms is not None:
        return _mute(Why.INCIDENT_OVER)
    if incident.acknowledged_at_ms is not None:
        return _mute(Why.ACKNOWLEDGED)
    if context.in_maintenance:
        return _mute(Why.MAINTENANCE)
    if context.newer_reminder:
        return _mute(Why.SUPERSEDED)
    if context.opener in ("waiting", "leased"):
        return _mute(Why.OPENER_STILL_WAITS)
    return SEND


def _decide_other(notice: Notice, context: AlertContext, policy: AlertPolicy) -> AlertRuling:
    inhibitor = next((kind for kind in _INHIBITED.get(notice.kind, ()) if kind in context.open_kinds), None)
    if notice.kind is NoticeKind.RESTARTED:
        # The notices of a larger incident cover the restart.
        if inhibitor is not None:
            return _mute(_INHIBITORS[inhibitor])
        if context.in_maintenance:
            return _mute(Why.MAINTENANCE)
        return _mute(Why.TOO_MANY_RESTARTS) if context.restarts >= policy.restarts_sent else SEND
    # Nothing opens in maintenance: this was decided before it. Send it afterwards if still true.
    why = _INHIBITORS[inhibitor] if inhibitor is not None else Why.MAINTENANCE if context.in_maintenance else None
    if why is None:
        return SEND
    over = context.incident is not None and context.incident.closed_at_ms is not None
    return _mute(Why.INCIDENT_OVER) if over else AlertRuling(AlertDecision.HOLD, why)


def _mute(why: Why) -> AlertRuling:
    return AlertRuling(AlertDecision.MUTE, why)


def reminder_due(incident: Incident, now_ms: int, policy: AlertPolicy) -> bool:
    """Whether a reminder is due; never for an incident that is over or acknowledged."""
    if incident.closed_at_ms is not None or incident.acknowledged_at_ms is not None:
        return False
    gaps = policy.reminder_gaps_ms
    gap = gaps[incident.reminders] if incident.reminders < len(gaps) else policy.reminder_every_ms
    last = incident.last_notice_at_ms if incident.last_notice_at_ms is not None else incident.decided_at_ms
    return now_ms - last >= gap


def retry_in_ms(tries: int, retry_after_s: float | None, policy: AlertPolicy, pick: float) -> int:
    """Milliseconds to wait after ``tries`` failures: full jitter on top of Retry-After.

    ``pick`` is a random number from 0 to 1. Retry-After is obeyed up to an hour.
    """
    ceiling = min(policy.backoff_cap_ms, policy.backoff_first_ms * 2 ** min(max(tries - 1, 0), 32))
    asked = 0 if retry_after_s is None else min(policy.retry_after_cap_ms, int(retry_after_s * 1000))
    return asked + int(pick * ceiling)


def needs_fallback(tries: int, waited_ms: int, policy: AlertPolicy) -> bool:
    """Whether a notice that a primary channel could not deliver goes to the fallback channels."""
    return tries >= policy.fallback_after_tries or waited_ms >= policy.fallback_after_ms
