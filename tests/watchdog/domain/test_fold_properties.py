"""What holds for any sequence of facts: incidents alternate and never overlap, states chain, and peace comes in the end."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.fold import Folded
from watchdog.domain.cadence import waits_for_time
from watchdog.domain.outcome import Outcome
from watchdog.domain.policy import Pause, Policy
from watchdog.domain.states import IncidentKind, State
from watchdog.domain.target import TargetState

OUTCOMES = ["ok", "fail", "own_fault", "unknown", "refuse"]
WAITS = st.sampled_from([0.01, 0.5, 2, 5, 60, 599, 601, 3600])

pings = st.tuples(st.sampled_from(OUTCOMES), WAITS, st.sampled_from([0.01, 1.0, 10.0]))
facts = st.one_of(
    pings,
    pings,
    pings,
    st.tuples(st.just("boot"), WAITS, st.integers(1, 12)),
    st.tuples(st.just("beat"), WAITS, st.integers(0, 10)),
    st.tuples(st.just("stop"), WAITS, st.sampled_from([1, 30, 3600])),
    st.tuples(st.just("pause"), WAITS, st.sampled_from([1, 60, 1000])),
    st.tuples(st.just("away"), WAITS, st.sampled_from([1, 600])),
    st.tuples(st.just("clock"), WAITS, st.sampled_from([3600, -3600])),
    st.tuples(st.just("tick"), WAITS, st.just(0)),
)


def play(bot: Folded, what: str, wait_s: float, value: float) -> None:
    bot.wait(wait_s)
    match what:
        case "ok":
            bot.ok(took_s=value)
        case "fail":
            bot.fail(took_s=value)
        case "own_fault":
            bot.own_fault(took_s=value)
        case "unknown":
            bot.ping(Outcome.UNKNOWN, reason="error_Odd", took_s=value)
        case "refuse":
            bot.refuse()
        case "boot":
            bot.ok(boot=f"b{value}")
        case "beat":
            bot.beat(wanted=10, ready=int(value))
        case "stop":
            bot.stop_announced(value)
        case "pause":
            begin = bot.now.wall_ms
            bot.policy = Policy(pauses=(Pause("p", "bot", begin, begin + int(value * 1000), "ann"),))
        case "away":
            bot.restart_watchdog(value)
        case "clock":
            bot.wall_step_ms += int(value * 1000)
        case "tick":
            bot.tick()


@settings(max_examples=examples(100))
@given(st.lists(facts, max_size=60))
@example([("fail", 2, 0.01)] * 3 + [("away", 2, 600)] + [("fail", 2, 0.01)] * 3 + [("ok", 2, 0.01)] * 2)
def test_incidents_of_a_kind_alternate_and_never_overlap(sequence: list[tuple[str, float, float]]) -> None:
    bot = Folded()
    for what, wait_s, value in sequence:
        play(bot, what, wait_s, value)
    open_now: dict[IncidentKind, str] = {}
    seen: set[str] = set()
    for step in bot.steps:
        for incident in step.closed:
            assert open_now.pop(incident.kind) == incident.id
            assert incident.closed_at_ms is not None
        for incident in step.opened:
            assert incident.kind not in open_now, "opened twice"
            assert incident.id not in seen, "an id used again"
            assert incident.opened_at_ms <= incident.decided_at_ms
            open_now[incident.kind] = incident.id
            seen.add(incident.id)
        assert not {IncidentKind.DOWN, IncidentKind.FLAPPING} <= open_now.keys(), "one trouble in two incidents"
    assert open_now == {ref.kind: ref.id for ref in bot.state.incidents}


@settings(max_examples=examples(50))
@given(st.lists(facts, max_size=60))
def test_flips_chain_and_name_their_reason(sequence: list[tuple[str, float, float]]) -> None:
    bot = Folded()
    shown = State.UNKNOWN
    for what, wait_s, value in sequence:
        play(bot, what, wait_s, value)
    for step in bot.steps:
        if step.flip is not None:
            assert step.flip.old is shown
            assert step.flip.new is not shown
            assert step.flip.reason
            shown = step.flip.new
        assert step.state.state is shown


@settings(max_examples=examples(50))
@given(st.lists(pings, max_size=60))
def test_only_failures_of_the_target_lead_to_down_and_enough_of_them_in_a_row(
    sequence: list[tuple[str, float, float]],
) -> None:
    bot = Folded()
    run = 0
    for what, wait_s, value in sequence:
        before = len(bot.opened)
        play(bot, what, wait_s, value)
        run = run + 1 if what == "fail" else 0 if what == "ok" else run
        for incident in bot.opened[before:]:
            assert incident.kind is not IncidentKind.DOWN or (what == "fail" and run >= bot.policy.threshold)


@settings(max_examples=examples(50))
@given(st.lists(facts, max_size=40))
def test_the_state_survives_the_ledger_unchanged(sequence: list[tuple[str, float, float]]) -> None:
    bot = Folded()
    for what, wait_s, value in sequence:
        play(bot, what, wait_s, value)
    assert msgspec.json.decode(msgspec.json.encode(bot.state), type=TargetState) == bot.state


@settings(max_examples=examples(100))
@given(st.lists(facts, max_size=40), st.integers(0, 7 * 86_400))
def test_time_alone_changes_nothing_where_nothing_waits_for_it(
    sequence: list[tuple[str, float, float]], wait_s: int
) -> None:
    bot = Folded()
    for what, pause_s, value in sequence:
        play(bot, what, pause_s, value)
        if waits_for_time(bot.state, bot.policy):
            continue
        unseen, seen = replace(bot, steps=[]).wait(wait_s), replace(bot, steps=[]).wait(wait_s)
        tick = seen.tick()
        assert (tick.flip, tick.opened, tick.closed, tick.events) == (None, (), (), ())
        # Nor does it matter to the next ping whether anybody looked before it.
        assert seen.fail() == unseen.fail()


@settings(max_examples=examples(50))
@given(st.lists(facts, max_size=60))
def test_when_the_target_is_well_long_enough_every_incident_ends(sequence: list[tuple[str, float, float]]) -> None:
    bot = Folded()
    for what, wait_s, value in sequence:
        play(bot, what, wait_s, value)
    bot.policy = Policy()
    bot.wait(7300)
    for _ in range(80):
        bot.wait(10).ok()
        bot.beat(wanted=10, ready=10)
    assert bot.state.incidents == ()
    assert bot.state.state is State.UP


@settings(max_examples=examples(50))
@given(st.lists(facts, max_size=60))
def test_when_the_target_is_dead_long_enough_it_is_told_as_down(sequence: list[tuple[str, float, float]]) -> None:
    bot = Folded()
    for what, wait_s, value in sequence:
        play(bot, what, wait_s, value)
    bot.policy = Policy()
    bot.wait(7300)
    for _ in range(140):
        bot.wait(5).fail()
    assert bot.is_open(IncidentKind.DOWN)
    assert bot.state.state is State.DOWN
