"""Whole stories on a fake clock: what happens to a bot, and exactly which notices arrive when."""

from __future__ import annotations

import pytest

from shared.contract.heartbeat import SessionShares
from tests.support.timeline import Timeline, quick
from watchdog.domain.policy import Policy
from watchdog.domain.states import State


async def test_a_crash_is_told_within_five_seconds_although_regular_pings_are_ten_minutes_apart() -> None:
    line = Timeline()
    line.at(123.4, line.bot.dies).notice("down", 127.4, 128.5, says="connection refused")
    line.at(200, line.bot.starts).notice("up", 202, 209)
    await line.plays_out(1500)


async def test_a_hang_is_told_within_twenty_seconds() -> None:
    line = Timeline()
    line.at(100, line.bot.hangs).notice("down", 115, 120, says="no answer in time")
    line.at(300, line.bot.wakes).notice("up", 300, 309)
    await line.plays_out(1000)


@pytest.mark.parametrize("gone_s", [0.5, 1.5, 3.0])
async def test_a_restart_within_three_seconds_is_told_as_a_restart_and_not_as_down(gone_s: float) -> None:
    line = Timeline()
    line.at(100, line.bot.dies).at(100 + gone_s, line.bot.starts).notice("restarted", 100, 106)
    await line.plays_out(1000)


async def test_a_bot_without_heartbeat_is_watched_by_pings_alone() -> None:
    line = Timeline()
    line.bot.beats = False
    line.at(100, line.bot.dies).notice("down", 605, 611)
    line.at(1000, line.bot.starts).notice("up", 1000, 1009)
    await line.plays_out(1500)


async def test_a_hang_without_heartbeat_is_confirmed_by_overlapping_pings() -> None:
    line = Timeline()
    line.bot.beats = False
    line.at(100, line.bot.hangs).notice("down", 605 + 14, 605 + 15)
    line.at(900, line.bot.wakes).notice("up", 900, 909)
    await line.plays_out(1500)


async def test_six_outages_in_a_quarter_of_an_hour_are_each_told_and_then_the_bot_is_flapping() -> None:
    line = Timeline(quick())
    for turn in range(8):
        line.at(100 + 60 * turn, line.bot.dies).at(130 + 60 * turn, line.bot.wakes)
        if turn < 6:
            line.notice("down", 104 + 60 * turn, 106 + 60 * turn).notice("up", 130 + 60 * turn, 140 + 60 * turn)
    line.notice("flapping", 430, 440).notice("flapping_over", 1140, 1170)
    await line.plays_out(2000)


async def test_flapping_is_told_once_and_its_end_once() -> None:
    line = Timeline(quick(flap_changes=4))
    for turn in range(8):
        line.at(100 + 60 * turn, line.bot.dies).at(130 + 60 * turn, line.bot.wakes)
    line.notice("down", 104, 106).notice("up", 130, 140).notice("down", 164, 166).notice("up", 190, 200)
    line.notice("flapping", 190, 200).notice("reminder", 1090, 1100).notice("flapping_over", 1140, 1170)
    await line.plays_out(2000)


async def test_a_flapping_bot_that_then_stays_dead_is_told_as_down_within_a_minute() -> None:
    line = Timeline(quick(flap_changes=4))
    for turn in range(3):
        line.at(100 + 60 * turn, line.bot.dies).at(130 + 60 * turn, line.bot.wakes)
    line.notice("down", 104, 106).notice("up", 130, 140).notice("down", 164, 166).notice("up", 190, 200)
    line.notice("flapping", 190, 200)
    line.at(300, line.bot.dies).notice("down", 345, 360)
    line.at(500, line.bot.wakes).notice("up", 500, 510)
    line.notice("reminder", 1090, 1100).notice("flapping_over", 1100, 1115)
    await line.plays_out(2000)


async def test_a_bot_that_dies_at_every_start_and_then_starts_no_more_is_told_as_down_within_a_minute() -> None:
    line = Timeline(Policy(flap_changes=8))
    for turn in range(5):
        line.at(100 + 7 * turn, line.bot.dies).at(102 + 7 * turn, line.bot.starts)
    line.notice("restarted", 100, 106).notice("restarted", 107, 113).notice("restarted", 114, 120)
    line.notice("flapping", 121, 128)
    line.at(135, line.bot.dies).notice("down", 184, 195)
    line.at(400, line.bot.starts).notice("up", 402, 410).notice("flapping_over", 1000, 1020)
    await line.plays_out(1500)


async def test_a_bot_that_starts_and_dies_after_five_seconds_again_and_again_is_flapping() -> None:
    line = Timeline()
    at = 100.0
    for _ in range(20):
        line.at(at, line.bot.dies).at(at + 2, line.bot.starts)
        at += 7
    line.notice("restarted", 100, 106).notice("restarted", 107, 113).notice("restarted", 114, 120)
    line.notice("flapping", 135, 142).notice("flapping_over", 830, 860)
    await line.plays_out(2000)


async def test_maintenance_mutes_and_only_what_is_different_afterwards_is_told() -> None:
    line = Timeline(quick())
    line.at(100, line.pause, 600).at(200, line.bot.dies).at(400, line.bot.starts)
    line.at(1000, line.pause, 300).at(1100, line.bot.dies).notice("down", 1300, 1302)
    line.at(1400, line.bot.starts).notice("up", 1402, 1410)
    await line.plays_out(2000)


async def test_a_planned_deploy_tells_nothing() -> None:
    line = Timeline()
    line.at(100, line.bot.announces_stop, 60).at(101, line.bot.dies).at(140, line.bot.starts)
    await line.plays_out(1500)
    assert (await line.uptime()).down_ms == 0
    assert (await line.uptime()).maintenance_ms > 30_000


async def test_a_planned_deploy_that_does_not_come_back_is_told_when_its_deadline_has_passed() -> None:
    line = Timeline()
    line.at(100, line.bot.announces_stop, 60).at(101, line.bot.dies).notice("down", 160, 163)
    line.at(300, line.bot.starts).notice("up", 302, 309)
    await line.plays_out(1000)


@pytest.mark.usefixtures("unhurried")
async def test_reminders_come_at_15_minutes_at_an_hour_and_then_every_four_hours() -> None:
    line = Timeline()
    line.bot.beats = False
    line.at(10, line.bot.dies).notice("down", 605, 611)
    minute = 60
    line.notice("reminder", 610 + 15 * minute - 5, 610 + 15 * minute + 10, says="Reminder 1")
    line.notice("reminder", 610 + 60 * minute - 5, 610 + 60 * minute + 10, says="Reminder 2")
    line.notice("reminder", 610 + 300 * minute - 5, 610 + 300 * minute + 10, says="Reminder 3")
    line.at(610 + 310 * minute, line.bot.starts).notice("up", 610 + 310 * minute, 610 + 311 * minute)
    await line.plays_out(610 + 312 * minute)


@pytest.mark.usefixtures("unhurried")
async def test_down_and_up_that_both_waited_become_one_message() -> None:
    line = Timeline()

    async def breaks() -> None:
        from tests.support.fake_notifier import FAILS

        line.notifier.answer = lambda _notice: FAILS

    async def mends() -> None:
        line.notifier.answer = None

    line.at(50, breaks).at(100, line.bot.dies).at(700, line.bot.starts).at(3600, mends)
    line.notice("was_down", 3600, 3920, says="was down from")
    await line.plays_out(4000)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_step_of_an_hour_tells_nothing_and_delays_nothing(hours: int) -> None:
    line = Timeline()
    line.at(50, line.step_clock, 3600 * hours)
    line.at(100, line.bot.dies).notice("down", 104, 106)
    line.at(103, line.step_clock, -3600 * hours)
    line.at(200, line.bot.starts).notice("up", 202, 209)
    line.at(400, line.step_clock, 3600 * hours)
    await line.plays_out(1500)
    seen = await line.uptime("7d")
    assert seen.ratio is not None
    assert 0.9 < seen.ratio <= 1.0
    assert seen.down_ms < 110_000


async def test_a_watchdog_that_was_off_for_ten_minutes_finds_the_bot_down_and_tells_it_once() -> None:
    line = Timeline()
    line.at(100, line.stop_watchdog).at(150, line.bot.dies).at(700, line.start_watchdog)
    line.notice("down", 705, 712)
    line.at(900, line.bot.starts).notice("up", 902, 909)
    await line.plays_out(1500)


async def test_a_watchdog_that_was_killed_tells_no_known_incident_again_and_ends_the_one_it_left() -> None:
    line = Timeline()
    line.at(100, line.bot.dies).notice("down", 104, 106)
    line.at(200, line.kill_watchdog).at(800, line.start_watchdog).at(1000, line.bot.starts).notice("up", 1002, 1009)
    await line.plays_out(1500)


async def test_an_incident_that_ended_while_the_watchdog_was_off_is_ended_at_its_start() -> None:
    line = Timeline()
    line.at(100, line.bot.dies).notice("down", 104, 106)
    line.at(200, line.kill_watchdog).at(300, line.bot.starts).at(800, line.start_watchdog).notice("up", 800, 812)
    await line.plays_out(1500)
    seen = await line.uptime()
    assert seen.unknown_ms >= 590_000, "ten minutes without a look"


async def test_own_network_fault_of_five_minutes_is_one_blindness_and_no_down() -> None:
    line = Timeline(quick())

    async def blind() -> None:
        line.bot.blind = True

    async def sees() -> None:
        line.bot.blind = False

    line.at(100, blind).at(400, sees).notice("blind", 110, 140).notice("blind_over", 400, 420)
    await line.plays_out(1000)
    assert (await line.uptime()).down_ms == 0


async def test_an_own_stall_of_thirty_seconds_tells_nothing() -> None:
    line = Timeline(quick())
    line.at(97, line.stall, 30).at(301, line.stall, 30)
    await line.plays_out(600)


async def test_a_busy_loop_of_thirty_seconds_in_the_bot_is_down_and_up() -> None:
    line = Timeline()
    line.at(100, line.bot.hangs).at(130, line.bot.wakes).notice("down", 115, 120).notice("up", 130, 140)
    await line.plays_out(1000)


async def test_errors_of_the_bot_are_told_and_a_refusal_is_told_as_one() -> None:
    line = Timeline(quick())
    line.at(101, line.bot.answers, 500).notice("down", 105, 117, says="answered with status 500")
    line.at(200, line.bot.wakes).notice("up", 201, 212)
    await line.plays_out(1000)


async def test_too_many_sessions_not_ready_are_told_as_degraded() -> None:
    line = Timeline()

    async def sessions(ready: int) -> None:
        line.bot.sessions = SessionShares(10, 10, ready, 0, {})

    line.at(100, sessions, 2).notice("degraded", 160, 164)
    line.at(300, sessions, 10).notice("degraded_over", 330, 334)
    await line.plays_out(500)


async def test_regular_pings_stay_on_their_clock_whatever_happens_between() -> None:
    line = Timeline(quick())
    line.at(33, line.bot.dies).at(47, line.bot.wakes)
    line.notice("down", 33, 39).notice("up", 47, 58)
    starts: list[float] = []
    real = line.bot.ping

    async def ping(cause: object) -> object:
        if cause == "schedule":
            starts.append(line.clock.elapsed_s)
        return await real(cause)  # type: ignore[arg-type]

    line.bot.ping = ping  # type: ignore[assignment,method-assign]
    await line.plays_out(300)
    assert [round(at % 10, 3) for at in starts] == [5.0] * len(starts)
    assert len(starts) == 30
    assert line.pipeline is not None
    assert line.pipeline.state("bot").state is State.UP
