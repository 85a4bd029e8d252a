"""What the heartbeat says weighs more than pings that get lost, and what the bot says of itself has limits."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from shared.contract.heartbeat import LONGEST_STOP_MS, Stopping
from tests.support.fold import EPOCH_MS, Folded
from watchdog.domain.facts import BeatSeen, StopAnnounced, WatchdogStarted
from watchdog.domain.outcome import Cause, Outcome, ProbeResult
from watchdog.domain.policy import Policy
from watchdog.domain.states import IncidentKind, State


@pytest.fixture
def bot() -> Folded:
    folded = Folded()
    folded.ok(boot="b1")
    folded.beat()
    return folded


UNREACHED = ["dns_unavailable", "dns_no_such_name", "connect_refused", "no_route", "unreachable"]
SLOW = ["timeout", "http_502", "not_the_bot", "disconnected", "tls"]


@pytest.mark.parametrize("reason", UNREACHED)
def test_a_minute_without_a_way_to_connect_is_nothing_while_beats_arrive(bot: Folded, reason: str) -> None:
    bot.failing_while_it_beats(58, reason)
    assert bot.kinds == []
    bot.ok(boot="b1")
    bot.wait(2).ok(boot="b1")
    assert (bot.kinds, bot.state.state) == ([], State.UP), "and no flapping either"


@pytest.mark.parametrize("reason", UNREACHED)
def test_what_lasts_longer_is_an_incident_of_its_own_and_never_down(bot: Folded, reason: str) -> None:
    bot.failing_while_it_beats(600, reason)
    assert (bot.kinds, bot.state.state) == (["unanswered"], State.DEGRADED)
    bot.wait(2).ok(boot="b1")
    assert bot.is_open(IncidentKind.UNANSWERED), "one answer may be luck"
    bot.wait(2).ok(boot="b1")
    assert (bot.kinds, bot.state.state) == (["unanswered", "-unanswered"], State.UP)
    assert bot.last_flip == (State.DEGRADED, State.UP, "answered_again")


@pytest.mark.parametrize("reason", SLOW)
def test_a_bot_that_lets_requests_hang_is_reported_at_the_threshold_but_is_not_down(bot: Folded, reason: str) -> None:
    bot.failing_while_it_beats(4, reason)
    assert bot.kinds == []
    bot.failing_while_it_beats(2, reason)
    assert bot.kinds == ["unanswered"]
    bot.failing_while_it_beats(3600, reason)
    assert bot.kinds == ["unanswered"]


@pytest.mark.parametrize("reason", [*UNREACHED, *SLOW])
@pytest.mark.parametrize("minutes", [0.1, 0.5, 10])
def test_when_the_beats_stop_too_it_is_down_after_three_failures_since_the_last(
    bot: Folded, reason: str, minutes: float
) -> None:
    bot.failing_while_it_beats(int(60 * minutes), reason)
    bot.wait(1).beats_lost()
    bot.wait(2).fail(reason=reason)
    assert "down" not in bot.kinds, "the second failure since the last beat"
    bot.wait(2).fail(reason=reason)
    assert bot.kinds[-1] == "down"


def test_a_link_that_never_reports_its_end_is_no_life_for_ever(bot: Folded) -> None:
    bot.failing_while_it_beats(10, "timeout")
    for _ in range(10):
        bot.wait(2).fail(reason="timeout")
    assert bot.kinds[-1] == "down"


def test_a_beat_with_a_very_long_interval_is_fresh_for_minutes_only(bot: Folded) -> None:
    bot.take(BeatSeen("b1", interval_ms=10**15))
    for _ in range(100):
        bot.wait(2).fail()
    assert bot.kinds[-1] == "down"


@pytest.mark.parametrize("reason", ["http_503", "unwell"])
def test_a_bot_that_says_itself_that_it_is_unwell_is_down_whatever_it_beats(bot: Folded, reason: str) -> None:
    bot.failing_while_it_beats(6, reason, by_bot=True)
    assert bot.kinds == ["down"]


def test_beats_of_a_bot_that_is_down_do_not_end_the_incident(bot: Folded) -> None:
    bot.beats_lost()
    bot.go_down()
    bot.failing_while_it_beats(60, "dns_unavailable")
    assert (bot.kinds, bot.state.alive(bot.now.steady_ms)) == (["down"], True)


def test_a_restart_of_the_watchdog_forgets_beats(bot: Folded) -> None:
    bot.restart_watchdog(1)
    bot.go_down()
    assert bot.kinds == ["down"]


@pytest.mark.parametrize("asked_ms", [3_600_000, 86_400_000, 2**60, LONGEST_STOP_MS])
def test_an_announced_stop_excuses_for_five_minutes_at_most(bot: Folded, asked_ms: int) -> None:
    bot.take(StopAnnounced("b1", asked_ms))
    bot.beats_lost()
    for _ in range(149):
        bot.wait(2).fail()
    assert bot.kinds == []
    bot.wait(2).fail()
    bot.wait(2).fail()
    assert bot.kinds == ["down"]


@pytest.mark.parametrize("asked_ms", [-1, -(2**60), 0])
def test_a_deadline_in_the_past_excuses_nothing(bot: Folded, asked_ms: int) -> None:
    bot.take(StopAnnounced("b1", asked_ms))
    bot.beats_lost()
    bot.go_down()
    assert bot.kinds == ["down"]


def _again(bot: Folded) -> None:
    bot.take(StopAnnounced("b1", 300_000))


def _of_a_boot_never_seen(bot: Folded) -> None:
    bot.take(StopAnnounced(f"x{bot.elapsed_ms}", 300_000))


def _draining(bot: Folded) -> None:
    bot.take(BeatSeen("b1", draining=True))
    bot.beats_lost()


def _after_a_restart_of_the_watchdog(bot: Folded) -> None:
    bot.restart_watchdog(0)
    bot.take(StopAnnounced("b1", 300_000))


@pytest.mark.parametrize("announce", [_again, _of_a_boot_never_seen, _draining, _after_a_restart_of_the_watchdog])
def test_announcing_again_and_again_excuses_no_longer(bot: Folded, announce: object) -> None:
    assert callable(announce)
    bot.take(StopAnnounced("b1", 300_000))
    for _ in range(20):
        announce(bot)
        for _ in range(15):
            bot.wait(2).fail()
    assert bot.kinds == ["down"]
    assert 300_000 <= bot.opened[0].decided_at_ms - EPOCH_MS < 310_000


def test_the_excuse_outlives_a_restart_of_the_watchdog_and_does_not_grow(bot: Folded) -> None:
    bot.take(StopAnnounced("b1", 300_000))
    bot.restart_watchdog(100)
    for _ in range(99):
        bot.wait(2).fail()
    assert bot.kinds == []
    for _ in range(3):
        bot.wait(2).fail()
    assert bot.kinds == ["down"]


def test_after_a_clock_that_was_set_back_the_excuse_is_five_minutes_again_at_most(bot: Folded) -> None:
    bot.take(StopAnnounced("b1", 300_000))
    bot.elapsed_ms -= 86_400_000
    bot.restart_watchdog(1)
    for _ in range(151):
        bot.wait(2).fail()
    assert bot.kinds == ["down"]


def test_a_new_boot_may_announce_its_own_stop(bot: Folded) -> None:
    bot.take(StopAnnounced("b1", 10_000))
    bot.wait(2).ok(boot="b2")
    bot.take(StopAnnounced("b2", 10_000))
    bot.go_down()
    assert bot.kinds == []


@pytest.mark.parametrize("word", ["starting", "draining"])
def test_starting_or_stopping_for_ever_does_not_hide_sessions_that_are_not_ready(bot: Folded, word: str) -> None:
    beat = replace(BeatSeen("b1", wanted=10, ready=0), **{word: True})
    for _ in range(60):
        bot.wait(60).take(beat)
    assert bot.kinds == ["degraded"]
    limit_ms = Policy().longest_start_ms if word == "starting" else LONGEST_STOP_MS
    assert bot.opened[0].decided_at_ms - bot.steps[0].state.ok_since_ms >= limit_ms


@pytest.mark.parametrize(("asked", "excused"), [(10_000, 10_000), (10**30, 300_000), (-5, 0)])
def test_the_contract_bounds_the_deadline(asked: int, excused: int) -> None:
    raw = b'{"bootId":"b1","deadlineMs":%d}' % asked
    assert msgspec.json.decode(raw, type=Stopping).excused_ms == excused


@pytest.mark.parametrize(
    ("stops", "quiet"), [(("b1",), True), (("b3", "b2", "b1"), True), ((), False), (("b3", "b2"), False)]
)
@pytest.mark.parametrize("by", ["ping", "beat"])
def test_a_restart_is_planned_when_the_bot_knows_that_the_last_run_it_showed_was_stopped_in_order(
    bot: Folded, by: str, stops: tuple[str, ...], quiet: bool
) -> None:
    bot.restart_watchdog(100)
    if by == "beat":
        step = bot.take(BeatSeen("b9", orderly_stops=stops))
    else:
        now = bot.now.wall_ms
        step = bot.take(
            ProbeResult("bot", Cause.SCHEDULE, now, now, Outcome.OK, "ok", boot_id="b9", orderly_stops=stops)
        )
    assert [(event.planned, event.quiet) for event in step.events] == [(quiet, quiet)]


@pytest.mark.parametrize(("in_order", "seconds"), [(True, 15), (False, 5)])
def test_a_watchdog_that_was_stopped_in_order_waits_for_a_bot_that_starts_with_it(
    bot: Folded, in_order: bool, seconds: int
) -> None:
    bot.take(WatchdogStarted(bot.now.wall_ms, in_order))
    for _ in range(seconds - 1):
        bot.wait(1).fail() if bot.state.failures < 3 or in_order else bot.wait(1)
    assert ("down" in bot.kinds) != in_order
    bot.wait(2).fail()
    assert bot.kinds == ["down"]


def test_the_wait_after_a_start_ends_with_the_first_answer(bot: Folded) -> None:
    bot.take(WatchdogStarted(bot.now.wall_ms, in_order=True))
    bot.wait(1).ok(boot="b1")
    bot.go_down()
    assert bot.kinds == ["down"]


def test_pings_without_a_heartbeat_decide_as_ever(bot: Folded) -> None:
    alone = Folded()
    alone.ok(boot="b1")
    alone.ping(Outcome.TARGET_FAIL, reason="dns_unavailable")
    alone.go_down()
    assert alone.kinds == ["down"]
