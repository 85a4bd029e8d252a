"""The real watchdog while the wall clock of its machine is set: one incident, with the time that it really lasted."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.members import members
from tests.support.processes import QUICK, Client, Program
from tests.support.receiver import Receiver
from tests.support.step_clock import StepClock
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]

HOUR = 3600.0


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Program]:
    program = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500")
    yield program
    program.close()


@pytest.fixture
def step_clock(tmp_path: Path) -> StepClock:
    return StepClock(tmp_path / "clock")


def dog_of(tmp_path: Path, bot: Program, hook: Receiver, step_clock: StepClock) -> Program:
    settings: dict[str, Any] = QUICK | step_clock.env | {"ALERT_URLS": hook.url, "CLOCK_STEADY_AFTER": "2000"}
    return processes.watchdog(tmp_path, bot.url, **settings)


async def state(dog: Program, wanted: str) -> None:
    async with Client(dog.url) as client:

        async def reached() -> bool:
            return f'target_state{{state="{wanted}",target="bot"}} 1.0' in str(
                (await client.call("GET", "/metrics"))[1]
            )

        await eventually(reached, every_s=0.1, what=wanted)


async def incidents(dog: Program) -> list[dict[str, Any]]:
    async with Client(dog.url) as client:
        return list((await client.get("/api/incidents"))["incidents"])


def steps(dog: Program) -> int:
    return sum(line.get("event") == "clock.step" for line in dog.events())


async def stepped(dog: Program, count: int) -> None:
    await eventually(lambda: steps(dog) == count, what=f"{count} steps in the log")


def notices(hook: Receiver) -> list[str]:
    return [got.raw.decode() for got in hook.requests]


@pytest.mark.parametrize("step_s", members([-2 * HOUR, 2 * HOUR, 60 * 24 * HOUR]), ids=lambda step_s: f"{step_s:.0f}s")
async def test_an_incident_lasts_as_long_as_it_does_when_the_clock_is_set_in_it(
    tmp_path: Path, bot: Program, hook: Receiver, step_clock: StepClock, step_s: float
) -> None:
    dog = dog_of(tmp_path, bot, hook, step_clock)
    bot.start()
    await bot.ready()
    async with dog.running():
        await state(dog, "UP")
        bot.kill()
        died = time.monotonic()
        await state(dog, "DOWN")
        step_clock.set(step_s)
        await stepped(dog, 1)
        async with bot.running():
            await state(dog, "UP")
            lasted_s = time.monotonic() - died
            incident, *others = await incidents(dog)
            assert others == []
            assert incident["kind"] == "down"
            assert incident["lastedMs"] / 1000 == pytest.approx(lasted_s, abs=30)
            # Now that nothing is wrong, the time follows the wall clock.
            await eventually(
                lambda: any(line.get("event") == "clock.followed" for line in dog.events()), what="the clock followed"
            )
            async with Client(dog.url) as client:
                shown_s = (await client.get("/api/status"))["generatedAtMs"] / 1000
            assert shown_s - time.time() == pytest.approx(step_s, abs=30)
            assert len(await incidents(dog)) == 1
            await eventually(lambda: len(hook.requests) == 2, what="DOWN and UP")
            assert "again after 0" not in notices(hook)[1]
    assert steps(dog) == 1


@pytest.mark.parametrize("step_s", members([2 * HOUR, -2 * HOUR]), ids=lambda step_s: f"{step_s:.0f}s")
async def test_an_incident_lasts_as_long_as_it_does_when_the_clock_is_set_while_the_watchdog_is_off(
    tmp_path: Path, bot: Program, hook: Receiver, step_clock: StepClock, step_s: float
) -> None:
    dog = dog_of(tmp_path, bot, hook, step_clock)
    bot.start()
    await bot.ready()
    async with dog.running():
        await state(dog, "UP")
        bot.kill()
        died = time.monotonic()
        await state(dog, "DOWN")
        await eventually(lambda: _saved(dog), what="the time being stored")
        dog.kill()
    step_clock.set(step_s)
    async with dog.running(), bot.running():
        await state(dog, "UP")
        incident, *others = await incidents(dog)
        assert others == []
        assert incident["lastedMs"] / 1000 == pytest.approx(time.monotonic() - died, abs=30)


async def test_a_clock_that_steps_to_and_fro_tells_nothing(
    tmp_path: Path, bot: Program, hook: Receiver, step_clock: StepClock
) -> None:
    dog = dog_of(tmp_path, bot, hook, step_clock)
    async with bot.running(), dog.running():
        await state(dog, "UP")
        for turn, offset_s in enumerate((-300, 2 * 24 * HOUR, 0, -HOUR, 0)):
            step_clock.set(offset_s)
            await stepped(dog, turn + 1)
        await state(dog, "UP")
        assert await incidents(dog) == []
        assert notices(hook) == []


def _saved(dog: Program) -> bool:
    connection = sqlite3.connect(Path(dog.env["DATA_DIR"]) / "watchdog.db")
    try:
        return connection.execute("SELECT 1 FROM meta WHERE key = 'clock'").fetchone() is not None
    finally:
        connection.close()
