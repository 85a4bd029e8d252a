"""Decides whether to repair now, and by which step. Each refusal has a reason.

All times are steady milliseconds of this run. No order of events exceeds the budget.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from watchdog.domain.states import Incident, IncidentKind

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class RepairPolicy(msgspec.Struct, frozen=True):
    """Times in ms. ``boot_grace_ms`` is the time for a restarted bot to come up."""

    backoff_first_ms: int = 10_000
    backoff_cap_ms: int = 5 * MINUTE_MS
    reset_after_healthy_ms: int = 10 * MINUTE_MS
    per_30_min: int = 3
    per_day: int = 6
    boot_grace_ms: int = MINUTE_MS
    slow_try_ms: int = HOUR_MS
    unknown_history_ms: int = 30 * MINUTE_MS


class RepairStep(msgspec.Struct, frozen=True):
    """One repair step. ``restarts`` the program; ``by_bot``: the bot must answer to do it."""

    remediator: str
    action: str
    cures: frozenset[IncidentKind]
    restarts: bool = False
    by_bot: bool = False


DEGRADED = frozenset({IncidentKind.DEGRADED})
DOWN = frozenset({IncidentKind.DOWN})
# Mildest first. A fault of sessions never restarts the program.
LADDER = (
    RepairStep("bot", "reconnect_session", DEGRADED, by_bot=True),
    RepairStep("bot", "recycle_worker", DEGRADED | DOWN, by_bot=True),
    RepairStep("docker", "restart_container", DOWN, restarts=True),
    RepairStep("railway", "restart_deployment", DOWN, restarts=True),
)


class Refusal(StrEnum):
    """Why nothing is done."""

    NOT_CONFIGURED = "not_configured"
    NOTHING_WRONG = "nothing_wrong"
    NOT_REPAIRABLE = "not_repairable"
    LEASE_ELSEWHERE = "lease_elsewhere"  # another watchdog repairs
    LEASE_UNKNOWN = "lease_unknown"  # the database of the lease is away
    BLIND = "blind"
    HEARTBEAT_LIVES = "heartbeat_lives"
    REFUSED_BY_BOT = "refused_by_bot"
    MAINTENANCE = "maintenance"
    PLANNED_STOP = "planned_stop"
    STARTING = "starting"
    LOGGED_OUT = "logged_out"
    UPSTREAM_OUTAGE = "upstream_outage"
    NO_STEP = "no_rung"
    IN_FLIGHT = "in_flight"
    BOOT_GRACE = "boot_grace"
    BACKOFF = "backoff"
    BUDGET_SPENT = "budget_spent"
    HISTORY_UNKNOWN = "history_unknown"


class RepairFacts(msgspec.Struct, frozen=True):
    """The input of a repair decision. ``incident`` is the most severe open one.

    ``known_since_ms`` (steady) is when it was noticed. ``answers``: the bot answers requests, even
    with errors. ``alive``: its heartbeat goes on. ``only_persons``: every session that is not ready waits for a person (logged out,
    banned, pairing). ``healthy_since_ms`` (steady) is None while anything is wrong.
    """

    incident: Incident | None = None
    known_since_ms: int = 0
    answers: bool = False
    blind: bool = False
    alive: bool = False
    refused: bool = False
    paused: bool = False
    planned: bool = False
    starting: bool = False
    only_persons: bool = False
    upstream_outage: bool = False
    healthy_since_ms: int | None = None


class PastRepair(msgspec.Struct, frozen=True):
    """A started repair. ``ended_at_ms`` is None while it runs; a skipped one costs no budget."""

    at_ms: int
    incident_id: str
    ended_at_ms: int | None = None
    restarts: bool = False
    skipped: bool = False


class RepairHistory(msgspec.Struct, frozen=True):
    """Earlier repairs, oldest first. ``reset_at_ms``: the last end of ten minutes of health.

    ``unknown_until_ms``: earlier repairs could not be read, and may still count until then.
    """

    past: tuple[PastRepair, ...] = ()
    reset_at_ms: int = 0
    unknown_until_ms: int = 0


class Refuse(msgspec.Struct, frozen=True):
    """No repair. ``until_ms``: when time alone may change that. ``page``: a person is needed."""

    why: Refusal
    until_ms: int | None = None
    page: bool = False


class Act(msgspec.Struct, frozen=True):
    """Repair now. ``slow``: the budget is spent and this is the one try an hour."""

    step: RepairStep
    slow: bool = False


def ladder_of(remediators: tuple[str, ...]) -> tuple[RepairStep, ...]:
    """The steps of the configured remediators, mildest first."""
    return tuple(step for step in LADDER if step.remediator in remediators)


def decide(
    facts: RepairFacts, ladder: tuple[RepairStep, ...], history: RepairHistory, policy: RepairPolicy, now_ms: int
) -> Act | Refuse:
    """The next repair, or the reason why there is none."""
    incident = facts.incident
    if not ladder:
        return Refuse(Refusal.NOT_CONFIGURED)
    if incident is None or incident.closed_at_ms is not None:
        return Refuse(Refusal.NOTHING_WRONG)
    refusal = _refusal(facts, incident)
    if refusal is not None:
        return Refuse(refusal)
    steps = tuple(step for step in ladder if incident.kind in step.cures and (facts.answers or not step.by_bot))
    if not steps:
        return Refuse(Refusal.NO_STEP)
    too_soon = _too_soon(facts, history, policy, now_ms)
    if too_soon is not None:
        return too_soon
    climbed = sum(past.incident_id == incident.id and not past.skipped for past in history.past)
    step = steps[min(climbed, len(steps) - 1)]
    if budget_left(history, policy, now_ms) > 0:
        return Act(step)
    last = max(past.at_ms for past in history.past if not past.skipped)
    if now_ms - last >= policy.slow_try_ms:
        return Act(step, slow=True)
    return Refuse(Refusal.BUDGET_SPENT, last + policy.slow_try_ms, page=True)


def _refusal(facts: RepairFacts, incident: Incident) -> Refusal | None:
    reasons = (
        (incident.kind not in (IncidentKind.DOWN, IncidentKind.DEGRADED), Refusal.NOT_REPAIRABLE),
        (facts.blind, Refusal.BLIND),
        (incident.kind is IncidentKind.DOWN and facts.alive, Refusal.HEARTBEAT_LIVES),
        (facts.refused, Refusal.REFUSED_BY_BOT),
        (facts.paused, Refusal.MAINTENANCE),
        (facts.planned, Refusal.PLANNED_STOP),
        (facts.starting, Refusal.STARTING),
        (facts.upstream_outage, Refusal.UPSTREAM_OUTAGE),
        (incident.kind is IncidentKind.DEGRADED and facts.only_persons, Refusal.LOGGED_OUT),
    )
    return next((why for applies, why in reasons if applies), None)


def _too_soon(facts: RepairFacts, history: RepairHistory, policy: RepairPolicy, now_ms: int) -> Refuse | None:
    if now_ms < history.unknown_until_ms:
        return Refuse(Refusal.HISTORY_UNKNOWN, history.unknown_until_ms)
    if any(past.ended_at_ms is None for past in history.past):
        return Refuse(Refusal.IN_FLIGHT)
    last = history.past[-1] if history.past else None
    if last is not None and last.restarts and not last.skipped:
        ready = _end(last) + policy.boot_grace_ms
        if now_ms < ready:
            return Refuse(Refusal.BOOT_GRACE, ready)
    streak = sum(past.at_ms >= history.reset_at_ms for past in history.past)
    wait = min(policy.backoff_cap_ms, policy.backoff_first_ms * 2 ** min(streak, 32))
    # The platform's own restart policy gets the first chance: it handles most crashes.
    since = max(facts.known_since_ms, _end(last)) if last is not None and streak else facts.known_since_ms
    if now_ms < since + wait:
        return Refuse(Refusal.BACKOFF, since + wait)
    return None


def _end(past: PastRepair) -> int:
    return past.ended_at_ms if past.ended_at_ms is not None else past.at_ms


def budget_left(history: RepairHistory, policy: RepairPolicy, now_ms: int) -> int:
    """Repairs that both windows still allow, never negative."""
    counted = [past.at_ms for past in history.past if not past.skipped]
    short = policy.per_30_min - sum(at > now_ms - 30 * MINUTE_MS for at in counted)
    day = policy.per_day - sum(at > now_ms - DAY_MS for at in counted)
    return max(0, min(short, day))


def after_health(
    history: RepairHistory, healthy_since_ms: int | None, policy: RepairPolicy, now_ms: int
) -> RepairHistory:
    """Ten minutes of health reset the backoff, not the budget."""
    if healthy_since_ms is None or now_ms - healthy_since_ms < policy.reset_after_healthy_ms:
        return history
    return msgspec.structs.replace(history, reset_at_ms=now_ms)


def forget_old(history: RepairHistory, now_ms: int) -> RepairHistory:
    """Without repairs that no window covers any more."""
    kept = tuple(past for past in history.past if past.ended_at_ms is None or past.at_ms > now_ms - 2 * DAY_MS)
    return history if len(kept) == len(history.past) else msgspec.structs.replace(history, past=kept)
