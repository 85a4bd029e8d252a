"""The service clock goes on evenly whatever is done to the wall clock, and follows it when that has become steady."""

from __future__ import annotations

import pytest

from shared.clock import epoch_ms
from shared.service_clock import LONGEST_WAIT_MS, Move, ServiceClock, ago_ms, steady
from tests.support.fake_clock import FakeClock

HOUR, DAY = 3600.0, 86_400.0
DAY_MS = 86_400_000


async def pass_time(clock: ServiceClock, fake: FakeClock, seconds: float, *, follow: bool = True) -> list[Move]:
    """Check every second, as the bot service does; returns what was followed."""
    moves = []
    for _ in range(int(seconds)):
        before = clock.now_ms()
        await fake.advance(1)
        clock.check()
        assert 900 <= clock.now_ms() - before <= 1100, "a second of the service clock is a second"
        move = clock.next_move() if follow else None
        if move is not None:
            clock.follow(move, clock.moved(move))
            moves.append(move)
    return moves


@pytest.mark.parametrize("step_s", [-5 * 60, -1 * HOUR, 2 * DAY, 60 * DAY, -400 * DAY])
async def test_a_step_that_is_undone_was_never_followed(step_s: float) -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    begun = clock.now_ms()
    await pass_time(clock, fake, 5)
    fake.step(step_s)
    assert clock.now_ms() == begun + 5000
    assert clock.check() == int(step_s * 1000)
    assert not clock.steady
    assert await pass_time(clock, fake, 30) == []
    fake.step(-step_s)
    assert clock.check() == int(-step_s * 1000)
    assert await pass_time(clock, fake, 700) == []
    assert clock.now_ms() == begun + 735_000
    assert clock.steady


@pytest.mark.parametrize("step_s", [-5 * 60, 2 * DAY, 60 * DAY])
async def test_a_step_for_good_is_followed_after_ten_steady_minutes_and_then_things_expire_again(step_s: float) -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    fake.step(step_s)
    clock.check()
    assert await pass_time(clock, fake, 590) == []
    assert not clock.steady
    (move,) = await pass_time(clock, fake, 20)
    assert move == Move(int(step_s * 1000), epoch_ms(fake) - 10_000, shifts=True)
    assert clock.ahead_ms() == 0
    assert not clock.steady, "what began before it has time to end"
    await pass_time(clock, fake, 60)
    assert clock.steady


async def test_a_clock_that_steps_again_and_again_is_not_followed() -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    begun = clock.now_ms()
    for turn in range(12):
        fake.step(DAY if turn % 2 == 0 else -DAY - 100)
        clock.check()
        assert await pass_time(clock, fake, 300) == []
        assert not clock.steady
    assert clock.now_ms() == begun + 12 * 300_000


@pytest.mark.parametrize("ppm", [500, -500, 20_000, -20_000])
async def test_a_clock_that_is_slewed_is_no_step_and_is_followed_all_the_time(ppm: int) -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    for _ in range(2000):
        fake.step(ppm / 1e6)
        before = clock.now_ms()
        await fake.advance(1)
        assert clock.check() == 0
        assert clock.now_ms() > before
        assert clock.next_move() is None
    assert abs(clock.ahead_ms()) < 100
    assert clock.steady


@pytest.mark.parametrize("step_s", [3, -3, 45, -45])
async def test_a_small_step_is_noticed_and_followed_slowly(step_s: float) -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    fake.step(step_s)
    assert clock.check() == step_s * 1000
    assert clock.steady, "nothing expires wrongly by seconds"
    assert await pass_time(clock, fake, 1000) == []
    assert abs(clock.ahead_ms()) < 10


async def test_a_suspended_machine_is_no_step() -> None:
    fake, suspended_s = FakeClock(), 0.0
    clock = ServiceClock(fake, elapsed=lambda: fake.monotonic() + suspended_s)
    fake.step(HOUR)
    suspended_s = HOUR
    assert clock.check() == 0
    assert clock.steady


# --- starts ---


def after_stop(fake: FakeClock, before: ServiceClock, *, machine: str = "m") -> ServiceClock:
    clock = ServiceClock(fake, machine=machine)
    clock.resume(before.saved())
    return clock


@pytest.mark.parametrize("step_s", [-5 * 60, 2 * DAY, 60 * DAY])
async def test_a_step_while_the_program_was_stopped_is_seen_by_the_time_since_boot(step_s: float) -> None:
    fake = FakeClock()
    before = ServiceClock(fake, machine="m")
    saved_ms = before.now_ms()
    await fake.advance(3 * HOUR)
    fake.step(step_s)
    clock = after_stop(fake, before)
    assert clock.now_ms() == saved_ms + 3 * 3_600_000
    assert not clock.steady
    (move,) = await pass_time(clock, fake, 601)
    assert (move.by_ms, move.shifts) == (int(step_s * 1000), True)


async def test_after_a_stop_without_a_step_things_expire_at_once() -> None:
    fake = FakeClock()
    before = ServiceClock(fake, machine="m")
    await fake.advance(30 * DAY)
    assert after_stop(fake, before).steady


async def test_a_machine_that_starts_with_a_clock_of_the_past_does_not_go_back_and_is_corrected_at_once() -> None:
    fake = FakeClock()
    before = ServiceClock(fake, machine="m")
    saved_ms = before.now_ms()
    fake.step(-2000 * DAY)
    clock = after_stop(fake, before, machine="another run")
    assert clock.now_ms() == saved_ms
    assert not clock.steady
    await pass_time(clock, fake, 30)
    fake.step(2000 * DAY + 2 * HOUR)  # NTP: the machine was off for two hours
    clock.check()
    move = clock.next_move()
    assert move is not None
    assert not move.shifts, "what was stored before is right"
    clock.follow(move, clock.moved(move))
    assert not clock.steady
    await pass_time(clock, fake, 601)
    assert clock.steady


async def test_a_machine_that_starts_far_ahead_lets_nothing_expire_until_that_was_steady() -> None:
    fake = FakeClock()
    before = ServiceClock(fake, machine="m")
    fake.step(60 * DAY)
    clock = after_stop(fake, before, machine="another run")
    assert not clock.steady
    await pass_time(clock, fake, 60)
    fake.step(-60 * DAY)
    clock.check()
    (move,) = await pass_time(clock, fake, 602)
    assert not move.shifts, "what was stored before is right"
    # What was stored in between is not in the future, and nothing waits longer than it may.
    assert move.past(move.now_ms + 60 * DAY_MS) == move.now_ms
    assert move.past(move.now_ms - 5) == move.now_ms - 5
    assert move.due(move.now_ms + 60 * DAY_MS) == move.now_ms + LONGEST_WAIT_MS


async def test_a_short_restart_of_the_machine_is_trusted() -> None:
    fake = FakeClock()
    before = ServiceClock(fake, machine="m")
    fake.step(90)
    assert after_stop(fake, before, machine="another run").steady


# --- ages over steps that were followed ---


async def test_ages_leave_out_the_steps_that_were_followed() -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    first_ms = clock.now_ms()
    for _ in range(2):
        fake.step(60 * DAY)
        clock.check()
        assert len(await pass_time(clock, fake, 601)) == 1
    age_ms = 2 * 601_000
    assert clock.ago_ms(age_ms) == pytest.approx(first_ms, abs=5)
    assert clock.ago_ms(601_000) == pytest.approx(first_ms + 60 * DAY_MS + 601_000, abs=5)
    assert clock.ago_ms(1000) == clock.now_ms() - 1000
    after = ServiceClock(fake, machine="")
    after.resume(clock.saved())
    assert after.ago_ms(age_ms) == pytest.approx(first_ms, abs=5), "also after a restart"


async def test_a_step_back_lets_nothing_look_older_than_it_is() -> None:
    fake = FakeClock()
    clock = ServiceClock(fake)
    fake.step(-60 * DAY)
    clock.check()
    await pass_time(clock, fake, 601)
    assert clock.ago_ms(30 * DAY_MS) == clock.now_ms() - 30 * DAY_MS


async def test_other_clocks_are_always_steady() -> None:
    fake = FakeClock()
    assert steady(fake)
    assert ago_ms(fake, 5) == epoch_ms(fake) - 5
