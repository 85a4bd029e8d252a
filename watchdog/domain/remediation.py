"""Decides whether to repair now and with what; every refusal has a name, and no sequence of events breaks the budget.

All times are steady milliseconds of one run; what an earlier run did is put on the same scale when it is loaded.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from watchdog.domain.states import Incident, IncidentKind

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class RepairPolicy(msgspec.Struct, frozen=True):
    """Times in ms. ``boot_grace_ms``: what was just restarted is given that long to come up."""

    backoff_first_ms: int = 10_000
    backoff_cap_ms: int = 5 * MINUTE_MS
    reset_after_healthy_ms: int = 10 * MINUTE_MS
    per_30_min: int = 3
    per_day: int = 6
    boot_grace_ms: int = MINUTE_MS
    slow_try_ms: int = HOUR_MS


class RepairStep(msgspec.Struct, frozen=True):
    """One step of the ladder. ``restarts`` the whole program; ``by_bot``: the bot itself must still answer to do it."""

    remediator: str
    action: str
    cures: frozenset[IncidentKind]
    restarts: bool = False
    by_bot: bool = False


DEGRADED = frozenset({IncidentKind.DEGRADED})
DOWN = frozenset({IncidentKind.DOWN})
# Mildest first. Trouble of sessions never restarts the program, and is never treated as trouble of the program.
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
    BLIND = "blind"
    REFUSED_BY_BOT = "refused_by_bot"
    MAINTENANCE = "maintenance"
    PLANNED_STOP = "planned_stop"
    STARTING = "starting"
    LOGGED_OUT = "logged_out"
    UPSTREAM_OUTAGE = "upstream_outage"
    NO_RUNG = "no_rung"
    IN_FLIGHT = "in_flight"
    BOOT_GRACE = "boot_grace"
    BACKOFF = "backoff"
    BUDGET_SPENT = "budget_spent"


class Scene(msgspec.Struct, frozen=True):
    """What is known of a target when a repair is considered. ``incident`` is the gravest that is open.

    ``decided_at_ms`` is when it was decided (steady). ``answers``: the bot answers requests, though perhaps badly.
    ``only_persons``: every session that is not ready waits for a person (logged out, banned, pairing).
    """

    incident: Incident | None = None
    decided_at_ms: int = 0
    answers: bool = False
    blind: bool = False
    refused: bool = False
    paused: bool = False
    planned: bool = False
    starting: bool = False
    only_persons: bool = False
    upstream_outage: bool = False


class Past(msgspec.Struct, frozen=True):
    """A repair that was begun. ``ended_at_ms`` is None while it runs; one that was skipped costs no budget."""

    at_ms: int
    incident_id: str
    ended_at_ms: int | None = None
    restarts: bool = False
    skipped: bool = False


class Memory(msgspec.Struct, frozen=True):
    """Earlier repairs, oldest first. ``reset_at_ms``: when ten minutes of health were last completed."""

    past: tuple[Past, ...] = ()
    reset_at_ms: int = 0


class Refuse(msgspec.Struct, frozen=True):
    """Nothing is done; ``until_ms`` when time alone may change that. ``page``: a person is needed."""

    why: Refusal
    until_ms: int | None = None
    page: bool = False


class Act(msgspec.Struct, frozen=True):
    """Do this now. ``slow``: the budget is spent and this is the one try an hour."""

    rung: RepairStep
    slow: bool = False


def ladder_of(remediators: tuple[str, ...]) -> tuple[RepairStep, ...]:
    """The rungs of the configured remediators, mildest first whatever the order they are named in."""
    return tuple(rung for rung in LADDER if rung.remediator in remediators)


def decide(
    scene: Scene, ladder: tuple[RepairStep, ...], memory: Memory, policy: RepairPolicy, now_ms: int
) -> Act | Refuse:
    """The one next action, or the reason why there is none."""
    incident = scene.incident
    if not ladder:
        return Refuse(Refusal.NOT_CONFIGURED)
    if incident is None or incident.closed_at_ms is not None:
        return Refuse(Refusal.NOTHING_WRONG)
    excuse = _excuse(scene, incident)
    if excuse is not None:
        return Refuse(excuse)
    rungs = tuple(rung for rung in ladder if incident.kind in rung.cures and (scene.answers or not rung.by_bot))
    if not rungs:
        return Refuse(Refusal.NO_RUNG)
    too_soon = _too_soon(scene, memory, policy, now_ms)
    if too_soon is not None:
        return too_soon
    climbed = sum(past.incident_id == incident.id and not past.skipped for past in memory.past)
    rung = rungs[min(climbed, len(rungs) - 1)]
    if budget_left(memory, policy, now_ms) > 0:
        return Act(rung)
    last = max(past.at_ms for past in memory.past if not past.skipped)
    if now_ms - last >= policy.slow_try_ms:
        return Act(rung, slow=True)
    return Refuse(Refusal.BUDGET_SPENT, last + policy.slow_try_ms, page=True)


def _excuse(scene: Scene, incident: Incident) -> Refusal | None:
    reasons = (
        (incident.kind not in (IncidentKind.DOWN, IncidentKind.DEGRADED), Refusal.NOT_REPAIRABLE),
        (scene.blind, Refusal.BLIND),
        (scene.refused, Refusal.REFUSED_BY_BOT),
        (scene.paused, Refusal.MAINTENANCE),
        (scene.planned, Refusal.PLANNED_STOP),
        (scene.starting, Refusal.STARTING),
        (scene.upstream_outage, Refusal.UPSTREAM_OUTAGE),
        (incident.kind is IncidentKind.DEGRADED and scene.only_persons, Refusal.LOGGED_OUT),
    )
    return next((why for applies, why in reasons if applies), None)


def _too_soon(scene: Scene, memory: Memory, policy: RepairPolicy, now_ms: int) -> Refuse | None:
    if any(past.ended_at_ms is None for past in memory.past):
        return Refuse(Refusal.IN_FLIGHT)
    last = memory.past[-1] if memory.past else None
    if last is not None and last.restarts and not last.skipped:
        ready = _end(last) + policy.boot_grace_ms
        if now_ms < ready:
            return Refuse(Refusal.BOOT_GRACE, ready)
    streak = sum(past.at_ms >= memory.reset_at_ms for past in memory.past)
    wait = min(policy.backoff_cap_ms, policy.backoff_first_ms * 2 ** min(streak, 32))
    # The first wait gives the platform's own restart policy its chance: most crashes need no repair of ours.
    since = max(scene.decided_at_ms, _end(last)) if last is not None and streak else scene.decided_at_ms
    if now_ms < since + wait:
        return Refuse(Refusal.BACKOFF, since + wait)
    return None


def _end(past: Past) -> int:
    return past.ended_at_ms if past.ended_at_ms is not None else past.at_ms


def budget_left(memory: Memory, policy: RepairPolicy, now_ms: int) -> int:
    """Repairs that both windows still allow, never negative."""
    counted = [past.at_ms for past in memory.past if not past.skipped]
    short = policy.per_30_min - sum(at > now_ms - 30 * MINUTE_MS for at in counted)
    day = policy.per_day - sum(at > now_ms - DAY_MS for at in counted)
    return max(0, min(short, day))


def after_health(memory: Memory, healthy_since_ms: int | None, policy: RepairPolicy, now_ms: int) -> Memory:
    """The backoff begins anew, but only after ten whole minutes of health; the budget does not."""
    if healthy_since_ms is None or now_ms - healthy_since_ms < policy.reset_after_healthy_ms:
        return memory
    return msgspec.structs.replace(memory, reset_at_ms=now_ms)


def forget_old(memory: Memory, now_ms: int) -> Memory:
    """Without what no window looks at any more."""
    kept = tuple(past for past in memory.past if past.ended_at_ms is None or past.at_ms > now_ms - 2 * DAY_MS)
    return memory if len(kept) == len(memory.past) else msgspec.structs.replace(memory, past=kept)
