"""Decides what becomes of a notice that waits: sent, merged, held or muted, each for a named reason.

Also the reminders' schedule and the delivery's backoff. Pure; ``ledger/outbox.py`` gathers the facts.
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
    restarts_told: int = 3
    restarts_window_ms: int = 15 * MINUTE_MS
    hold_ms: int = 5000


class AlertDecision(StrEnum):
    SEND = "send"
    MERGE = "merge"  # this and its opener, which waits too, become one
    HOLD = "hold"  # look again later
    MUTE = "mute"  # never told on this channel


class Why(StrEnum):
    """The reason of a verdict; stored with the row and shown to people."""

    NEWS = "news"
    BOTH_WAITED = "both_waited"
    OPENER_NEVER_MEANT = "opener_never_meant"  # for this channel: it is told the whole story at once
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


class Judged(msgspec.Struct, frozen=True):
    verdict: AlertDecision
    why: Why


class AlertContext(msgspec.Struct, frozen=True):
    """What is known about a waiting notice's neighbours when it is judged.

    ``opener`` is the state of the opening notice's row on the same channel (None: it was never meant for it), ``closer``
    that of the row which tells that a DOWN incident is over.
    ``open_kinds`` are the kinds of other incidents open on the same target. ``restarts`` counts the restart notices of
    the target that were told within the window.
    """

    incident: Incident | None = None
    opener: str | None = None
    closer: str | None = None
    open_kinds: frozenset[IncidentKind] = frozenset()
    in_maintenance: bool = False
    newer_reminder: bool = False
    restarts: int = 0
    channel_works: bool = False


SEND = Judged(AlertDecision.SEND, Why.NEWS)
_NEVER_MUTED = frozenset({NoticeKind.DOWN, NoticeKind.WAS_DOWN, NoticeKind.TEST, NoticeKind.REPAIR_BUDGET_SPENT})
_INHIBITED = {
    NoticeKind.DEGRADED: (IncidentKind.DOWN, IncidentKind.BLIND, IncidentKind.FLAPPING),
    NoticeKind.REFUSED: (IncidentKind.DOWN, IncidentKind.BLIND),
    NoticeKind.RESTARTED: (IncidentKind.DOWN, IncidentKind.FLAPPING),
}
_INHIBITORS = {
    IncidentKind.DOWN: Why.INHIBITED_BY_DOWN,
    IncidentKind.BLIND: Why.INHIBITED_BY_BLIND,
    IncidentKind.FLAPPING: Why.INHIBITED_BY_FLAPPING,
}


def judge(notice: Notice, around: AlertContext, policy: AlertPolicy) -> Judged:
    """What becomes of ``notice`` on one channel now. DOWN is always told, alone or with its UP; UP unless DOWN never was."""
    if notice.kind is NoticeKind.DOWN and around.closer == "waiting":
        return Judged(AlertDecision.MERGE, Why.BOTH_WAITED)
    if notice.kind in _NEVER_MUTED:
        return SEND
    if notice.kind in OPENER_OF:
        return _judge_end(notice, around)
    if notice.kind is NoticeKind.REMINDER:
        return _judge_reminder(around)
    if notice.kind is NoticeKind.CHANNEL_FAILING:
        return _mute(Why.CHANNEL_WORKS_AGAIN) if around.channel_works else SEND
    return _judge_news(notice, around, policy)


def _judge_end(notice: Notice, around: AlertContext) -> Judged:
    if around.opener is None and notice.kind is NoticeKind.UP:
        # A fallback channel that is needed only now: "is UP again" would be the end of a story it never heard.
        return Judged(AlertDecision.MERGE, Why.OPENER_NEVER_MEANT)
    if around.opener in ("muted", "expired"):
        return _mute(Why.OPENER_MUTED)
    if around.opener == "leased":
        return Judged(AlertDecision.HOLD, Why.OPENER_IN_FLIGHT)
    if around.opener == "waiting":
        if notice.kind is NoticeKind.UP:
            return Judged(AlertDecision.MERGE, Why.BOTH_WAITED)
        return Judged(AlertDecision.HOLD, Why.OPENER_STILL_WAITS)
    return SEND


def _judge_reminder(around: AlertContext) -> Judged:
    incident = around.incident
    if incident is None or incident.closed_at_ms is not None:
        return _mute(Why.INCIDENT_OVER)
    if incident.acknowledged_at_ms is not None:
        return _mute(Why.ACKNOWLEDGED)
    if around.in_maintenance:
        return _mute(Why.MAINTENANCE)
    if around.newer_reminder:
        return _mute(Why.SUPERSEDED)
    if around.opener in ("waiting", "leased"):
        return _mute(Why.OPENER_STILL_WAITS)
    return SEND


def _judge_news(notice: Notice, around: AlertContext, policy: AlertPolicy) -> Judged:
    inhibitor = next((kind for kind in _INHIBITED.get(notice.kind, ()) if kind in around.open_kinds), None)
    if notice.kind is NoticeKind.RESTARTED:
        # A restart that is part of a bigger story is told by that story's own notices.
        if inhibitor is not None:
            return _mute(_INHIBITORS[inhibitor])
        if around.in_maintenance:
            return _mute(Why.MAINTENANCE)
        return _mute(Why.TOO_MANY_RESTARTS) if around.restarts >= policy.restarts_told else SEND
    # Nothing opens during maintenance: this was decided before it, and is told after it if it is still true.
    why = _INHIBITORS[inhibitor] if inhibitor is not None else Why.MAINTENANCE if around.in_maintenance else None
    if why is None:
        return SEND
    over = around.incident is not None and around.incident.closed_at_ms is not None
    return _mute(Why.INCIDENT_OVER) if over else Judged(AlertDecision.HOLD, why)


def _mute(why: Why) -> Judged:
    return Judged(AlertDecision.MUTE, why)


def reminder_due(incident: Incident, now_ms: int, policy: AlertPolicy) -> bool:
    """Whether the next reminder of ``incident`` is due; never for one that is over or acknowledged."""
    if incident.closed_at_ms is not None or incident.acknowledged_at_ms is not None:
        return False
    gaps = policy.reminder_gaps_ms
    gap = gaps[incident.reminders] if incident.reminders < len(gaps) else policy.reminder_every_ms
    last = incident.last_notice_at_ms if incident.last_notice_at_ms is not None else incident.decided_at_ms
    return now_ms - last >= gap


def retry_in_ms(tries: int, retry_after_s: float | None, policy: AlertPolicy, pick: float) -> int:
    """How long to wait after ``tries`` failures: full jitter, never less than what the receiver asked for.

    ``pick`` is a random number from 0 to 1. What the receiver asks for is obeyed up to an hour.
    """
    ceiling = min(policy.backoff_cap_ms, policy.backoff_first_ms * 2 ** min(max(tries - 1, 0), 32))
    asked = 0 if retry_after_s is None else min(policy.retry_after_cap_ms, int(retry_after_s * 1000))
    return asked + int(pick * ceiling)


def needs_fallback(tries: int, waited_ms: int, policy: AlertPolicy) -> bool:
    """Whether a notice that a first channel could not deliver also goes to the fallback channels."""
    return tries >= policy.fallback_after_tries or waited_ms >= policy.fallback_after_ms
