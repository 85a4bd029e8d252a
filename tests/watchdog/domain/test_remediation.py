"""The rules of repair: each refusal by name, the ladder, the waits, and a budget that no history can break."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from watchdog.domain.remediation import (
    DAY_MS,
    HOUR_MS,
    LADDER,
    MINUTE_MS,
    Act,
    PastRepair,
    Refusal,
    Refuse,
    RepairFacts,
    RepairHistory,
    RepairPolicy,
    after_health,
    budget_left,
    decide,
    forget_old,
    ladder_of,
)
from watchdog.domain.states import Incident, IncidentKind

NOW = 100 * DAY_MS
POLICY = RepairPolicy()
FULL = ladder_of(("bot", "docker"))


def _incident(kind: IncidentKind = IncidentKind.DOWN, name: str = "i1") -> Incident:
    return Incident(name, "bot", kind, NOW - MINUTE_MS, NOW - MINUTE_MS, "timeout")


def _scene(kind: IncidentKind = IncidentKind.DOWN, **what: Any) -> RepairFacts:
    return RepairFacts(incident=_incident(kind), known_since_ms=NOW - MINUTE_MS, **what)


def _past(ago_ms: int, name: str = "i1", **what: Any) -> PastRepair:
    return PastRepair(NOW - ago_ms, name, what.pop("ended", NOW - ago_ms), **what)


@pytest.mark.parametrize(
    ("scene", "why"),
    [
        (RepairFacts(), Refusal.NOTHING_WRONG),
        (_scene(IncidentKind.BLIND), Refusal.NOT_REPAIRABLE),
        (_scene(IncidentKind.REFUSED), Refusal.NOT_REPAIRABLE),
        (_scene(IncidentKind.FLAPPING), Refusal.NOT_REPAIRABLE),
        (_scene(blind=True), Refusal.BLIND),
        (_scene(refused=True), Refusal.REFUSED_BY_BOT),
        (_scene(paused=True), Refusal.MAINTENANCE),
        (_scene(planned=True), Refusal.PLANNED_STOP),
        (_scene(starting=True), Refusal.STARTING),
        (_scene(upstream_outage=True), Refusal.UPSTREAM_OUTAGE),
        (_scene(IncidentKind.DEGRADED, answers=True, only_persons=True), Refusal.LOGGED_OUT),
        (_scene(IncidentKind.DEGRADED), Refusal.NO_STEP),
    ],
)
def test_each_reason_not_to_repair_is_named(scene: RepairFacts, why: Refusal) -> None:
    assert decide(scene, FULL, RepairHistory(), POLICY, NOW) == Refuse(why)


def test_nothing_is_done_when_nothing_is_configured() -> None:
    assert decide(_scene(), ladder_of(()), RepairHistory(), POLICY, NOW) == Refuse(Refusal.NOT_CONFIGURED)


def test_an_incident_that_is_over_is_not_repaired() -> None:
    over = replace(_scene(), incident=replace(_incident(), closed_at_ms=NOW))
    assert decide(over, FULL, RepairHistory(), POLICY, NOW) == Refuse(Refusal.NOTHING_WRONG)


def test_a_bot_that_does_not_answer_is_restarted_and_one_that_does_is_asked_first() -> None:
    assert decide(_scene(), FULL, RepairHistory(), POLICY, NOW) == Act(LADDER[2])
    assert decide(_scene(answers=True), FULL, RepairHistory(), POLICY, NOW) == Act(LADDER[1])


def test_the_ladder_is_climbed_within_an_incident_and_begun_anew_with_the_next() -> None:
    memory = RepairHistory((_past(20 * MINUTE_MS),))
    assert decide(_scene(answers=True), FULL, memory, POLICY, NOW) == Act(LADDER[2])
    other = replace(_scene(answers=True), incident=_incident(name="i2"))
    assert decide(other, FULL, memory, POLICY, NOW) == Act(LADDER[1])


def test_degraded_sessions_never_restart_the_program() -> None:
    scene = _scene(IncidentKind.DEGRADED, answers=True)
    actions = set()
    for climbed in range(3):
        memory = RepairHistory(tuple(_past((100 - climbed) * MINUTE_MS) for _ in range(climbed)))
        decided = decide(scene, FULL, memory, POLICY, NOW)
        assert isinstance(decided, Act)
        actions.add(decided.step.action)
    assert actions == {"reconnect_session", "recycle_worker"}


def test_the_first_repair_leaves_the_platform_ten_seconds() -> None:
    scene = replace(_scene(), known_since_ms=NOW)
    assert decide(scene, FULL, RepairHistory(), POLICY, NOW + 9_999) == Refuse(Refusal.BACKOFF, NOW + 10_000)
    assert isinstance(decide(scene, FULL, RepairHistory(), POLICY, NOW + 10_000), Act)


@pytest.mark.parametrize(("repairs", "wait_s"), [(1, 20), (2, 40), (3, 80), (4, 160), (5, 300), (40, 300)])
def test_waits_double_up_to_five_minutes(repairs: int, wait_s: int) -> None:
    policy = RepairPolicy(per_30_min=100, per_day=100)
    memory = RepairHistory(tuple(_past(0) for _ in range(repairs)))
    scene = _scene(answers=True)
    assert decide(scene, FULL, memory, policy, NOW + wait_s * 1000 - 1) == Refuse(Refusal.BACKOFF, NOW + wait_s * 1000)
    assert isinstance(decide(scene, FULL, memory, policy, NOW + wait_s * 1000), Act)


def test_one_action_is_in_flight_at_a_time() -> None:
    memory = RepairHistory((_past(HOUR_MS, ended=None),))
    assert decide(_scene(), FULL, memory, POLICY, NOW) == Refuse(Refusal.IN_FLIGHT)


def test_a_restarted_bot_is_given_a_minute_to_come_up() -> None:
    memory = RepairHistory((_past(30_000, restarts=True),))
    assert decide(_scene(), FULL, memory, POLICY, NOW) == Refuse(Refusal.BOOT_GRACE, NOW + 30_000)


def test_waits_begin_anew_only_after_ten_minutes_of_health() -> None:
    memory = RepairHistory((_past(3 * HOUR_MS), _past(2 * HOUR_MS)))
    assert after_health(memory, NOW - 10 * MINUTE_MS + 1, POLICY, NOW) == memory
    assert after_health(memory, None, POLICY, NOW) == memory
    assert after_health(memory, NOW - 10 * MINUTE_MS, POLICY, NOW).reset_at_ms == NOW


def test_a_spent_budget_pages_a_person_and_leaves_one_try_an_hour() -> None:
    memory = RepairHistory(tuple(_past(minutes * MINUTE_MS) for minutes in (25, 20, 15)))
    assert budget_left(memory, POLICY, NOW) == 0
    scene = replace(_scene(), known_since_ms=NOW - 26 * MINUTE_MS)
    refused = decide(scene, FULL, memory, POLICY, NOW)
    assert refused == Refuse(Refusal.BUDGET_SPENT, NOW + 45 * MINUTE_MS, page=True)
    day = RepairHistory(tuple(_past(hours * HOUR_MS) for hours in (20, 15, 10, 5, 3, 1)))
    assert decide(scene, FULL, day, POLICY, NOW) == Act(LADDER[2], slow=True)


def test_a_skipped_repair_costs_no_budget_but_does_make_wait() -> None:
    memory = RepairHistory(tuple(_past(0, skipped=True) for _ in range(3)))
    assert budget_left(memory, POLICY, NOW) == 3
    assert decide(_scene(), FULL, memory, POLICY, NOW + 60_000) == Refuse(Refusal.BACKOFF, NOW + 80_000)


def test_what_no_window_looks_at_is_forgotten() -> None:
    memory = RepairHistory((_past(3 * DAY_MS), _past(HOUR_MS)))
    assert len(forget_old(memory, NOW).past) == 1


_STEPS = st.lists(
    st.tuples(
        st.integers(1, 90 * MINUTE_MS // 1000),  # seconds that pass
        st.sampled_from(["down", "degraded", "healthy"]),
        st.integers(0, 120),  # seconds that the action takes
        st.booleans(),  # the bot answers
    ),
    min_size=1,
    max_size=120,
)


@given(_STEPS)
def test_no_history_breaks_the_budget(steps: list[tuple[int, str, int, bool]]) -> None:
    now, memory, healthy_since, count = NOW, RepairHistory(), None, 0
    incident: Incident | None = None
    done: list[Act] = []
    at: list[int] = []
    for seconds, what, takes, answers in steps:
        now += seconds * 1000
        if what == "healthy":
            healthy_since = healthy_since if healthy_since is not None else now
            incident = None
        else:
            kind = IncidentKind(what)
            if incident is None or incident.kind is not kind:
                count += 1
                incident = Incident(f"i{count}", "bot", kind, now, now, "x")
            healthy_since = None
        memory = forget_old(after_health(memory, healthy_since, POLICY, now), now)
        scene = RepairFacts(
            incident=incident, known_since_ms=incident.decided_at_ms if incident else 0, answers=answers
        )
        decided = decide(scene, FULL, memory, POLICY, now)
        if isinstance(decided, Act):
            done.append(decided)
            at.append(now)
            past = PastRepair(now, incident.id if incident else "", now + takes * 1000, decided.step.restarts)
            memory = replace(memory, past=(*memory.past, past))
            now += takes * 1000
    for number, (when, act) in enumerate(zip(at, done, strict=True)):
        in_30_min = sum(when - 30 * MINUTE_MS < other <= when for other in at)
        assert in_30_min <= POLICY.per_30_min
        in_a_day = sum(when - DAY_MS < other <= when for other in at)
        if in_a_day > POLICY.per_day:
            assert act.slow
            assert when - at[number - 1] >= HOUR_MS
