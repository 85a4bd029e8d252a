"""The real watchdog with storage that refuses writes: before the bot dies, at its own start, and after kill -9."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support import full_disk, processes
from tests.support.fake_bot import FakeBot
from tests.support.processes import QUICK, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]


def of_kind(kind: str) -> Callable[[Any], bool]:
    return lambda body: bool(body["data"]["kind"] == kind)


async def state(dog: Program) -> str:
    async with aiohttp.ClientSession() as http, http.get(dog.url + "/api/status") as answer:
        return str((await answer.json())["state"])


async def is_state(dog: Program, wanted: str) -> None:
    async def reached() -> bool:
        return await state(dog) == wanted

    await eventually(reached, every_s=0.1, what=wanted)


async def test_a_full_disk_a_dead_bot_and_kill_9_are_alerted_and_the_history_catches_up(
    tmp_path: Path, hook: Receiver
) -> None:
    bot = await FakeBot(beats="absent").start()
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK)
    dog.own_interpreter = True  # it inherits the limit of this process
    async with dog.running():
        await is_state(dog, "UP")
        full_disk.fill(dog.pid)
        await bot.stop()
        down = (await hook.wait_for(of_kind("down"))).json["data"]
        assert down["historyKept"] is False
        await is_state(dog, "DOWN")
        dog.kill()
        hook.requests.clear()
        # It starts again although nothing can be written, finds the bot still dead and says so.
        with full_disk.filled_at_start():
            dog.start()
        again = (await hook.wait_for(of_kind("down"))).json["data"]
        assert again["historyKept"] is False
        await is_state(dog, "DOWN")
        full_disk.free(dog.pid)
        await bot.start()
        up = (await hook.wait_for(of_kind("up"))).json["data"]
        assert up["incidentId"] == again["incidentId"]

        async def healthy() -> bool:
            async with aiohttp.ClientSession() as http, http.get(dog.url + "/health") as answer:
                return answer.status == 200

        await eventually(healthy, every_s=0.2, what="the ledger in use again")
    await bot.stop()
    with closing(sqlite3.connect(Path(dog.env["DATA_DIR"]) / "watchdog.db")) as ledger:
        assert ledger.execute("SELECT id FROM incident WHERE closed_at IS NOT NULL").fetchall() == [(up["incidentId"],)]


@pytest.mark.parametrize("kind", ["damaged", "no folder", "locked"])
async def test_it_starts_watches_and_alerts_whatever_its_ledger_is(tmp_path: Path, hook: Receiver, kind: str) -> None:
    bot = await FakeBot(beats="absent").start()
    dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, **QUICK)
    folder = Path(dog.env["DATA_DIR"])
    with contextlib.ExitStack() as held:
        if kind == "no folder":
            folder.write_text("a file")
            dog.env["DATA_DIR"] = str(folder / "data")
        else:
            folder.mkdir()
            if kind == "damaged":
                (folder / "watchdog.db").write_bytes(b"no database" * 500)
            else:
                other = held.enter_context(closing(sqlite3.connect(folder / "watchdog.db", isolation_level=None)))
                other.execute("PRAGMA journal_mode = WAL")
                other.execute("BEGIN IMMEDIATE")
        try:
            dog.start()
            await dog.ready("/livez")
            await is_state(dog, "UP")
            await bot.stop()
            await hook.wait_for(of_kind("down"))
        finally:
            dog.close()
