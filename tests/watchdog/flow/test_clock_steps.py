"""The history of the watchdog is deleted at its real age, whatever is done to the wall clock; and when a step is followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from msgspec.structs import replace

from shared.service_clock import ServiceClock
from tests.support.fake_clock import FakeClock
from tests.support.memory_ledger import open_in_memory
from watchdog.domain.states import IncidentKind, State
from watchdog.domain.target import OpenRef, TargetState
from watchdog.flow.clock_watch import ClockWatch, resume
from watchdog.flow.housekeeping import Housekeeping
from watchdog.flow.steady_time import SteadyTime
from watchdog.ledger import runs
from watchdog.ledger.sqlite import Ledger

DAY = 86_400.0


@dataclass
class OnePipeline:
    """As far as the clock asks it."""

    state: TargetState

    @property
    def states(self) -> dict[str, TargetState]:
        return {"bot": self.state}


def housekeeping(ledger: Ledger, clock: ServiceClock) -> Housekeeping:
    pipeline = cast(Any, OnePipeline(TargetState("bot")))
    return Housekeeping(ledger=ledger, pipeline=pipeline, clock=clock, steady_time=SteadyTime(clock), boot_id="b")


async def event(ledger: Ledger, at_ms: int) -> None:
    await ledger.write(
        lambda c: c.execute("INSERT INTO event (target, at, kind, detail) VALUES ('bot', ?, 'restarted', '')", (at_ms,))
    )


async def events(ledger: Ledger) -> int:
    return await ledger.read(lambda c: int(c.execute("SELECT count(*) FROM event").fetchone()[0]))


async def test_a_start_far_ahead_deletes_no_history_until_that_was_steady() -> None:
    fake, ledger = FakeClock(), open_in_memory()
    before = ServiceClock(fake, machine="m")
    await event(ledger, before.now_ms())
    fake.step(400 * DAY)
    clock = ServiceClock(fake, machine="another run")
    clock.resume(before.saved())
    await housekeeping(ledger, clock)._prune()
    assert await events(ledger) == 1
    fake.stall(601)
    await housekeeping(ledger, clock)._prune()
    assert await events(ledger) == 0, "the machine was really off for so long"


async def test_a_step_that_is_followed_makes_no_history_older() -> None:
    fake, ledger = FakeClock(), open_in_memory()
    clock = ServiceClock(fake)
    await event(ledger, clock.now_ms())
    fake.step(400 * DAY)
    clock.check()
    fake.stall(601)
    clock.check()
    move = clock.next_move()
    assert move is not None
    clock.follow(move, clock.moved(move))
    fake.stall(61)
    assert clock.steady
    await housekeeping(ledger, clock)._prune()
    assert await events(ledger) == 1
    fake.stall(90 * DAY)
    clock.check()
    await housekeeping(ledger, clock)._prune()
    assert await events(ledger) == 0


@pytest.mark.parametrize(
    "trouble",
    [
        {"incidents": (OpenRef(IncidentKind.DOWN, "i"),), "reach": State.DOWN},
        {"failures": 1, "reach": State.SUSPECT},
        {"blind": True},
        {"degraded": True},
    ],
    ids=["incident", "failed ping", "blind", "degraded"],
)
async def test_a_step_is_followed_only_while_nothing_is_wrong(trouble: dict[str, Any]) -> None:
    fake, ledger = FakeClock(), open_in_memory()
    clock, pipeline = ServiceClock(fake, machine="m"), OnePipeline(replace(TargetState("bot"), **trouble))
    watch = ClockWatch(clock, ledger, cast(Any, pipeline))
    fake.step(7200)
    assert watch._work()
    fake.stall(7200)
    watch._work()
    assert clock.next_move() is not None
    assert not watch._calm()
    pipeline.state = TargetState("bot", reach=State.UP)
    assert watch._calm()


async def test_the_time_is_kept_over_a_restart_and_a_damaged_one_is_left_out() -> None:
    fake, ledger = FakeClock(), open_in_memory()
    clock = ServiceClock(fake, machine="m")
    await ClockWatch(clock, ledger, cast(Any, OnePipeline(TargetState("bot"))))._save()
    fake.step(-7200)
    after = ServiceClock(fake, machine="m")
    await resume(after, ledger)
    assert after.now_ms() == clock.now_ms()
    await ledger.write(lambda c: runs.keep_clock(c, "no JSON"))
    last = ServiceClock(fake, machine="m")
    await resume(last, ledger)
    assert last.ahead_ms() == 0
