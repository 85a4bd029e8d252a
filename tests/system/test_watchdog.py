"""Both programs as processes: kills, hangs, restarts and configuration faults, told by a real webhook."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import processes
from tests.support.processes import QUICK, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Program]:
    program = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500")
    async with program.running():
        yield program


@pytest.fixture
async def dog(tmp_path: Path, bot: Program, hook: Receiver) -> AsyncIterator[Program]:
    program = processes.watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK)
    async with program.running():
        await heard(program)
        yield program


async def heard(dog: Program) -> None:
    """Wait until it counts the bot as UP and hears its heartbeat."""

    async def up() -> bool:
        text = await fetch(dog.url + "/metrics")
        return 'heartbeat_up{target="bot"} 1.0' in text and 'target_state{state="UP",target="bot"} 1.0' in text

    await eventually(up, every_s=0.1, what="UP")


async def fetch(url: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await (answer.json() if answer.content_type.endswith("json") else answer.text())


async def pings(dog: Program) -> int:
    lines = str(await fetch(dog.url + "/metrics")).splitlines()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("veilleur_watchdog_pings_total"))


async def _more_pings(dog: Program, count: int) -> None:
    async def made() -> bool:
        return await pings(dog) >= count

    await eventually(made, every_s=0.1, what=f"{count} pings")


def of_kind(kind: str) -> Any:
    return lambda body: str(body.get("kind") or body.get("type", "")).rsplit(".", 1)[-1] == kind


def kinds(hook: Receiver) -> list[str]:
    return [str(got.json.get("kind") or got.json.get("type", "")).rsplit(".", 1)[-1] for got in hook.requests]


async def test_a_killed_bot_is_told_and_so_is_its_recovery_and_the_statistics_say_it(
    bot: Program, dog: Program, hook: Receiver
) -> None:
    bot.kill()
    await hook.wait_for(of_kind("down"))
    bot.start()
    await bot.ready()
    await hook.wait_for(of_kind("up"))

    async def told() -> dict[str, Any] | None:
        stats: dict[str, Any] = await fetch(bot.url + "/api/keepalive")
        return stats if stats["failedPings"] >= 3 and stats["state"] == "UP" else None

    stats = await eventually(told, every_s=0.2, what="the failures in the statistics")
    assert list(stats)[:8] == [
        "isRunning",
        "uptime",
        "uptimeHours",
        "pingCount",
        "failedPings",
        "successRate",
        "healthUrl",
        "pingInterval",
    ]
    assert stats["isRunning"] is True
    assert isinstance(stats["uptimeHours"], str)
    assert isinstance(stats["successRate"], str)
    assert stats["healthUrl"] == bot.url + "/health"
    assert stats["lifetime"]["pingCount"] >= stats["failedPings"]
    assert kinds(hook) == ["down", "up"]
    assert "ALERT: 3 consecutive keep-alive failures!" in dog.output()


async def test_a_frozen_bot_is_told_and_so_is_its_waking(bot: Program, dog: Program, hook: Receiver) -> None:
    bot.signal(signal.SIGSTOP)
    await hook.wait_for(of_kind("down"))
    bot.signal(signal.SIGCONT)
    await hook.wait_for(of_kind("up"))
    assert kinds(hook) == ["down", "up"]


async def test_a_planned_stop_of_the_bot_is_no_alert(bot: Program, dog: Program, hook: Receiver) -> None:
    bot.signal(signal.SIGTERM)
    assert await bot.exit_code() == 0
    await eventually(lambda: "announces a planned stop" in dog.output(), what="the announcement in the log")
    bot.start()
    await bot.ready()
    await heard(dog)
    assert kinds(hook) == []


async def test_a_killed_watchdog_ends_the_incident_it_left_and_tells_it_once(
    bot: Program, dog: Program, hook: Receiver
) -> None:
    bot.kill()
    await hook.wait_for(of_kind("down"))
    dog.kill()
    dog.start()
    await dog.ready()
    bot.start()
    await bot.ready()
    await hook.wait_for(of_kind("up"))
    ids = [got.headers["webhook-id"] for got in hook.requests if of_kind("down")(got.json)]
    assert len(set(ids)) == 1, "one incident, one id, however often it was sent"
    status = await fetch(dog.url + "/health")
    assert status["status"] == "ok"


@pytest.mark.deep
async def test_a_frozen_watchdog_that_wakes_blames_nobody_but_itself(
    bot: Program, dog: Program, hook: Receiver
) -> None:
    for _ in range(3):
        dog.signal(signal.SIGSTOP)
        await asyncio.sleep(2.5)  # longer than the time limit of a ping and the silence of the heartbeat
        dog.signal(signal.SIGCONT)
        await heard(dog)
        # What it pinged while it was frozen has an outcome, and so have two pings after its waking.
        seen = await pings(dog)
        await _more_pings(dog, seen + 2)
    assert [kind for kind in kinds(hook) if kind in ("down", "restarted")] == []


async def test_sigterm_stops_the_watchdog_cleanly_and_soon(dog: Program) -> None:
    dog.signal(signal.SIGTERM)
    assert await dog.exit_code(within_s=10) == 0
    assert "Stopped" in dog.output()
    with sqlite3.connect(Path(dog.env["DATA_DIR"]) / "watchdog.db") as ledger:
        assert ledger.execute("SELECT count(*) FROM run WHERE ended_at IS NULL").fetchone() == (0,)
    ledger.close()


async def test_with_keep_alive_disabled_it_serves_pings_nothing_and_says_so(tmp_path: Path, bot: Program) -> None:
    dog = processes.watchdog(tmp_path, bot.url, KEEP_ALIVE_ENABLED="false", **QUICK)
    dog.start()
    try:
        await dog.ready()
        assert (await fetch(dog.url + "/health"))["status"] == "disabled"

        async def pushed() -> bool:
            return (await fetch(bot.url + "/api/keepalive"))["state"] != "" and "is disabled" in dog.output()

        await eventually(pushed, what="the word of the disabled watchdog")
        stats = await fetch(bot.url + "/api/keepalive")
        assert (stats["isRunning"], stats["pingCount"]) == (False, 0)
    finally:
        dog.close()


async def run_to_the_end(dog: Program) -> tuple[int, str]:
    dog.own_interpreter = True
    dog.start()
    try:
        return await dog.exit_code(), dog.output()
    finally:
        dog.close()


async def test_all_wrong_variables_are_named_at_once_and_nothing_is_started(tmp_path: Path) -> None:
    dog = processes.watchdog(
        tmp_path, "ftp://bot", KEEP_ALIVE_INTERVAL="soon", KEEP_ALIVE_FAILURE_THRESHOLD="0", ALERT_URLS="nonsense"
    )
    code, output = await run_to_the_end(dog)
    assert code == 2
    for name in ("BOT_URL", "KEEP_ALIVE_INTERVAL", "KEEP_ALIVE_FAILURE_THRESHOLD", "ALERT_URLS"):
        assert name in output
    assert "'soon'" in output
    assert "nonsense" not in output, "an address may hold a token"
    assert not Path(dog.env["DATA_DIR"]).exists()


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    async with Receiver() as other:
        port = int(other.url.rsplit(":", 1)[1])
        code, output = await run_to_the_end(processes.watchdog(tmp_path, "http://127.0.0.1:9", port=port))
    assert code == 1
    assert f"Port {port} is already in use" in output
    assert len(output.strip().splitlines()) == 1


async def test_the_memory_of_a_running_watchdog_stays_small(tmp_path: Path, bot: Program) -> None:
    if sys.platform != "linux":
        pytest.skip("needs Linux with /proc (.ci/run has it)")
    program = processes.watchdog(tmp_path, bot.url, **QUICK)
    program.own_interpreter = True
    async with program.running():
        await heard(program)
        lines = Path(f"/proc/{program.pid}/status").read_text().splitlines()
    resident_mb = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
    assert resident_mb <= 60
