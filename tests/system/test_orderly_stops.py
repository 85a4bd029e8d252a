"""Both programs stopped in order and started again: nothing is reported. What dies in that time is."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import processes
from tests.support.members import members
from tests.support.processes import QUICK, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]


async def boot_of(bot: Program) -> str:
    async with aiohttp.ClientSession() as http, http.get(bot.url + "/health") as answer:
        return str((await answer.json())["bootId"])


async def follows(dog: Program, bot: Program) -> None:
    """Wait until the watchdog has heard this boot by heartbeat and by some pings."""

    async def heard() -> bool:
        async with aiohttp.ClientSession() as http, http.get(dog.url + "/metrics") as answer:
            text = await answer.text()
        lines = [line for line in text.splitlines() if 'pings_total{outcome="ok",target="bot"}' in line]
        up = 'heartbeat_up{target="bot"} 1.0' in text and 'target_state{state="UP",target="bot"} 1.0' in text
        return up and bool(lines) and float(lines[0].rsplit(" ", 1)[1]) >= 2

    await eventually(heard, every_s=0.1, what="the heartbeat and two pings")


def kinds(hook: Receiver) -> list[Any]:
    return [got.json["data"]["kind"] if "data" in got.json else got.json for got in hook.requests]


async def stop(program: Program, number: int) -> None:
    program.signal(number)
    assert await program.exit_code() == 0


@pytest.mark.parametrize(
    ("stops", "starts", "number"),
    members(
        [
            ("bot dog", "bot dog", signal.SIGTERM),
            ("dog bot", "dog bot", signal.SIGINT),
            ("dog bot", "bot dog", signal.SIGHUP),
            ("both", "both", signal.SIGTERM),
            ("bot", "bot", signal.SIGHUP),
            ("dog", "dog", signal.SIGINT),
        ],
        first=2,
    ),
)
async def test_an_orderly_restart_in_any_order_is_silent_and_a_kill_after_it_is_not(
    tmp_path: Path, stops: str, starts: str, number: int
) -> None:
    bot = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500")
    async with Receiver() as hook, bot.running():
        dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK)
        async with dog.running():
            await follows(dog, bot)
            first = await boot_of(bot)
            programs = {"bot": [bot], "dog": [dog], "both": [bot, dog]}
            for name in stops.split():
                await asyncio.gather(*(stop(program, number) for program in programs[name]))
            for name in starts.split():
                for program in programs[name]:
                    program.start()
            await bot.ready()
            await dog.ready()
            await follows(dog, bot)
            assert ("bot" in stops) == (await boot_of(bot) != first)
            assert kinds(hook) == []
            bot.kill()
            bot.start()
            await bot.ready()
            await eventually(lambda: hook.requests, what="the restart on its own")
            assert kinds(hook)[0] in ("restarted", "down")


@pytest.mark.parametrize("dies", members([signal.SIGKILL, signal.SIGABRT]))
async def test_a_bot_that_died_while_the_watchdog_was_stopped_in_order_is_reported(tmp_path: Path, dies: int) -> None:
    bot = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500")
    async with Receiver() as hook, bot.running():
        dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK)
        async with dog.running():
            await follows(dog, bot)
            await stop(dog, signal.SIGTERM)
            bot.signal(dies)
            await bot.exit_code()
            bot.start()
            await bot.ready()
            dog.start()
            await eventually(lambda: hook.requests, what="the restart")
            assert kinds(hook) == ["restarted"]
            await stop(dog, signal.SIGTERM)
            bot.signal(dies)
            await bot.exit_code()
            dog.start()
            await eventually(lambda: len(hook.requests) > 1, what="that it is down")
            assert kinds(hook) == ["restarted", "down"]
