"""What the fold makes of pings: thresholds both ways, the side of the fault, pings that overlap."""

from __future__ import annotations

import pytest

from tests.support.fold import Folded
from watchdog.domain.facts import PersonNeeded
from watchdog.domain.outcome import Outcome
from watchdog.domain.policy import Pause, Policy
from watchdog.domain.states import IncidentKind, State
from watchdog.domain.target import EventKind, Stretch


@pytest.fixture
def bot() -> Folded:
    folded = Folded()
    folded.ok(boot="b1")
    return folded


def test_the_first_answer_makes_it_up(bot: Folded) -> None:
    assert bot.states == [State.UP]
    assert bot.steps[0].flip is not None
    assert bot.steps[0].flip.reason == "first_answer"


def test_two_failures_are_suspect_and_the_third_in_a_row_is_down(bot: Folded) -> None:
    bot.wait(600).fail()
    bot.wait(2).fail()
    assert (bot.state.state, bot.kinds) == (State.SUSPECT, [])
    step = bot.wait(2).fail()
    assert bot.states == [State.UP, State.SUSPECT, State.DOWN]
    assert step.flip is not None
    assert step.flip.reason == "3_failures:connect_refused"
    assert step.opened[0].reason == "connect_refused"
    assert step.flip.incident_id == step.opened[0].id


def test_an_answer_between_failures_begins_the_count_anew(bot: Folded) -> None:
    for _ in range(2):
        bot.wait(1).fail()
        bot.wait(1).fail()
        bot.wait(1).ok()
    assert bot.kinds == []
    assert bot.state.state is State.UP


def test_down_began_with_the_first_failure_or_the_last_beat_before_it(bot: Folded) -> None:
    last_beat = bot.now.wall_ms
    bot.wait(5).fail(since_ms=last_beat)
    bot.wait(2).fail()
    step = bot.wait(2).fail()
    assert step.opened[0].opened_at_ms == last_beat
    assert step.opened[0].decided_at_ms == last_beat + 9000
    assert (step.stretch, step.stretch_since_ms) == (Stretch.DOWN, last_beat)


def test_more_failures_while_down_tell_nothing_new(bot: Folded) -> None:
    bot.go_down()
    for _ in range(50):
        bot.wait(5).fail()
    assert bot.kinds == ["down"]
    assert bot.state.failures == 53


def test_recovery_needs_two_answers_in_a_row(bot: Folded) -> None:
    bot.go_down()
    bot.wait(5).ok()
    bot.wait(2).fail()
    bot.wait(2).ok()
    assert bot.state.state is State.DOWN
    first_ok = bot.now.wall_ms
    step = bot.wait(2).ok()
    assert bot.kinds == ["down", "-down"]
    assert step.closed[0].closed_at_ms == first_ok
    assert {bot.state.state} == {State.UP}  # mypy believes that it is still what it was above


def test_own_faults_never_count_against_the_target_and_are_told_once(bot: Folded) -> None:
    for _ in range(20):
        bot.wait(2).own_fault()
    assert bot.state.failures == 0
    assert bot.kinds == ["blind"]
    assert bot.state.state is State.BLIND
    step = bot.wait(2).ok()
    assert bot.kinds == ["blind", "-blind"]
    assert (bot.state.state, step.stretch) == (State.UP, Stretch.UP)


def test_what_is_unknown_three_times_is_blindness_too(bot: Folded) -> None:
    for _ in range(3):
        bot.wait(2).ping(Outcome.UNKNOWN, reason="error_Odd")
    assert bot.kinds == ["blind"]


def test_failures_from_before_the_blindness_do_not_add_to_those_after_it(bot: Folded) -> None:
    bot.wait(2).fail()
    bot.wait(2).fail()
    for _ in range(3):
        bot.wait(2).own_fault()
    bot.wait(2).fail()
    assert "down" not in bot.kinds
    bot.wait(2).fail()
    bot.wait(2).fail()
    assert bot.kinds == ["blind", "-blind", "down"]


def test_a_ping_that_was_under_way_while_we_were_blind_says_nothing(bot: Folded) -> None:
    bot.wait(10).own_fault()
    for _ in range(3):  # begun before the blindness was proven, given up after it
        bot.wait(1).fail(took_s=9)
    assert bot.state.failures == 0


def test_a_time_out_that_a_later_ping_has_overtaken_does_not_count(bot: Folded) -> None:
    bot.wait(20).ok()
    bot.wait(1).fail(took_s=10)
    assert (bot.state.failures, bot.state.state) == (0, State.UP)


def test_refusals_are_their_own_incident_and_never_down(bot: Folded) -> None:
    for _ in range(10):
        bot.wait(2).refuse(403)
    assert bot.kinds == ["refused"]
    assert bot.opened[0].reason == "refused_403"
    assert bot.state.state is State.DEGRADED
    assert bot.state.reach is State.UP
    bot.wait(2).ok()
    assert bot.kinds == ["refused", "-refused"]
    assert bot.last_flip == (State.DEGRADED, State.UP, "accepted_again")


def test_a_new_boot_is_told_once_as_a_restart_and_not_as_down(bot: Folded) -> None:
    bot.wait(60).fail()
    bot.wait(2).ok(boot="b2")
    bot.wait(2).beat(boot="b2")
    happened = [h for step in bot.steps for h in step.events]
    assert [h.kind for h in happened] == [EventKind.RESTARTED]
    assert (happened[0].quiet, happened[0].planned) == (False, False)
    assert bot.kinds == []


def test_replicas_that_answer_in_turn_are_not_restarts_for_ever(bot: Folded) -> None:
    for _ in range(10):
        bot.wait(10).ok(boot="b2")
        bot.wait(10).ok(boot="b1")
    happened = [h for step in bot.steps for h in step.events]
    assert len(happened) == 1


def test_a_restart_that_ends_an_outage_needs_no_notice_of_its_own(bot: Folded) -> None:
    bot.go_down()
    step = bot.wait(5).ok(boot="b2")
    assert [h.quiet for h in step.events] == [True]


def test_an_announced_stop_is_no_alert_until_its_deadline(bot: Folded) -> None:
    bot.stop_announced(30)
    for _ in range(14):
        step = bot.wait(2).fail()
    assert bot.kinds == []
    assert (bot.state.state, step.stretch) == (State.SUSPECT, Stretch.MAINTENANCE)
    bot.wait(4).fail()
    assert bot.kinds == ["down"]


def test_time_alone_turns_a_stop_that_lasts_too_long_into_down(bot: Folded) -> None:
    bot.stop_announced(30)
    bot.go_down()
    bot.wait(30).tick()
    assert bot.kinds == ["down"]


def test_a_planned_restart_within_its_deadline_tells_nothing(bot: Folded) -> None:
    bot.stop_announced(60)
    bot.go_down()
    step = bot.wait(5).ok(boot="b2")
    assert bot.kinds == []
    assert [(h.planned, h.quiet) for h in step.events] == [(True, True)]
    bot.go_down()
    assert bot.kinds == ["down"], "the excuse ends with the new boot"


def test_maintenance_holds_everything_and_tells_afterwards_only_what_differs(bot: Folded) -> None:
    bot.policy = Policy(pauses=(Pause("p", "bot", bot.now.wall_ms, bot.now.wall_ms + 600_000, "ann"),))
    bot.tick()
    bot.wait(60)
    bot.go_down()
    assert (bot.state.state, bot.kinds) == (State.PAUSED, [])
    bot.recover()
    bot.wait(600).tick()
    assert (bot.state.state, bot.kinds) == (State.UP, [])


def test_what_is_still_down_after_maintenance_is_told_then(bot: Folded) -> None:
    bot.policy = Policy(pauses=(Pause("p", "*", bot.now.wall_ms, bot.now.wall_ms + 600_000, "ann"),))
    bot.go_down()
    bot.wait(600).tick()
    assert bot.kinds == ["down"]


def test_what_was_down_before_and_after_maintenance_is_not_told_twice(bot: Folded) -> None:
    bot.go_down()
    bot.policy = Policy(pauses=(Pause("p", "bot", bot.now.wall_ms, bot.now.wall_ms + 60_000, "ann"),))
    bot.wait(5).fail()
    bot.wait(60).fail()
    assert bot.kinds == ["down"]
    bot.recover()
    assert bot.kinds == ["down", "-down"]


def test_every_other_ping_failing_is_caught_although_never_three_in_a_row(bot: Folded) -> None:
    for _ in range(6):
        bot.wait(10).fail()
        bot.wait(10).ok()
    assert bot.kinds == ["flapping"]
    assert bot.state.flapping_reason == "5_of_11_pings_failed"


def test_ups_and_downs_become_one_flapping_until_it_is_stable(bot: Folded) -> None:
    bot.policy = Policy(flap_changes=4)
    for _ in range(6):
        bot.wait(20)
        bot.go_down()
        bot.recover()
    assert bot.kinds == ["down", "-down", "down", "-down", "flapping"]
    bot.wait(599).ok()
    assert bot.is_open(IncidentKind.FLAPPING)
    bot.wait(2).ok()
    assert bot.kinds[-1] == "-flapping"
    assert bot.state.state is State.UP


def test_a_flapping_target_that_stays_down_is_told_as_down_after_a_short_hold(bot: Folded) -> None:
    bot.policy = Policy(flap_changes=4)
    for _ in range(3):
        bot.wait(20)
        bot.go_down()
        bot.recover()
    bot.go_down()
    bot.wait(40).fail()
    assert (bot.kinds[-1], bot.state.state) == ("flapping", State.FLAPPING)
    bot.wait(5).fail()
    assert (bot.kinds[-2:], bot.state.state) == (["flapping", "down"], State.DOWN)
    for _ in range(120):
        bot.wait(5).fail()
    assert bot.kinds[-2:] == ["down", "-flapping"]


def test_too_many_sessions_not_ready_is_degraded_after_a_while(bot: Folded) -> None:
    bot.beat(wanted=10, ready=4)
    bot.wait(30).beat(wanted=10, ready=4)
    assert bot.kinds == []
    bot.wait(31).beat(wanted=10, ready=4)
    assert (bot.kinds, bot.state.state) == (["degraded"], State.DEGRADED)
    bot.wait(2).beat(wanted=10, ready=9)
    bot.wait(31).beat(wanted=10, ready=9)
    assert bot.kinds == ["degraded", "-degraded"]


@pytest.mark.parametrize(
    "beat",
    [
        {"wanted": 10, "ready": 5},
        {"wanted": 10, "ready": 0, "starting": True},
        {"wanted": 10, "ready": 0, "needs_person": 10},
        {"wanted": 0, "ready": 0},
    ],
    ids=["just the share", "starting", "only people can help", "no sessions"],
)
def test_what_is_not_degraded(bot: Folded, beat: dict[str, int]) -> None:
    for _ in range(10):
        bot.wait(30).beat(**beat)  # type: ignore[arg-type]
    assert bot.kinds == []


def test_a_restart_of_the_watchdog_tells_no_known_incident_again_and_leaves_none_open(bot: Folded) -> None:
    bot.go_down()
    bot.restart_watchdog(600)
    assert bot.state.state is State.DOWN
    bot.wait(5).fail()
    bot.wait(5).fail()
    bot.wait(5).fail()
    assert bot.kinds == ["down"]
    bot.recover()
    assert bot.kinds == ["down", "-down"]


def test_time_when_the_watchdog_was_away_is_unknown(bot: Folded) -> None:
    step = bot.restart_watchdog(600)
    assert (bot.state.state, step.stretch) == (State.UNKNOWN, Stretch.UNKNOWN)
    assert step.events[0].kind is EventKind.WATCHDOG_GAP


def test_failures_before_a_restart_of_the_watchdog_are_not_added_to_those_after(bot: Folded) -> None:
    bot.fail()
    bot.wait(2).fail()
    bot.restart_watchdog(60)
    bot.fail()
    assert bot.kinds == []


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_a_wall_clock_that_is_set_by_an_hour_decides_nothing(bot: Folded, step_ms: int) -> None:
    bot.wait(10).fail()
    bot.wall_step_ms = step_ms
    bot.wait(2).fail()
    assert bot.kinds == []
    bot.wait(2).ok()
    bot.wait(600).ok()
    assert (bot.kinds, bot.state.state) == ([], State.UP)
    bot.go_down()
    bot.recover()
    assert bot.kinds == ["down", "-down"]


def test_the_first_beat_of_a_new_boot_does_not_turn_an_announced_stop_into_down(bot: Folded) -> None:
    bot.stop_announced(60)
    bot.go_down()
    bot.wait(5).beat(boot="b2")
    assert bot.kinds == []
    bot.wait(1).ok(boot="b2")
    assert (bot.kinds, bot.state.state) == ([], State.UP)


@pytest.mark.parametrize("count", [1, 500])
def test_sessions_that_need_a_person_are_degraded_without_an_incident_until_none_does(count: int) -> None:
    target = Folded()
    target.ok(boot="b1")
    step = target.take(PersonNeeded(count))
    assert (target.state.state, step.flip and step.flip.reason) == (State.DEGRADED, "sessions_need_person")
    assert target.wait(10).ok().flip is None, "an answer that says nothing of it changes nothing"
    # What is worse is shown instead, and it is DEGRADED again afterwards.
    assert target.go_down().state.state is State.DOWN
    assert target.recover().state.state is State.DEGRADED
    target.restart_watchdog(30)
    assert target.ok().state.state is State.DEGRADED
    assert target.take(PersonNeeded(0)).flip is not None
    assert (target.state.state, target.kinds) == (State.UP, ["down", "-down"])
