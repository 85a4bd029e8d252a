"""The real bot service restarted on a full disk: its sessions connect, and a send says that nothing can be kept."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import full_disk, processes
from tests.support.processes import Client, Program
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]


async def is_state(client: Client, wanted: str) -> None:
    async def reached() -> bool:
        return bool((await client.get("/api/sessions/one"))["state"] == wanted)

    await eventually(reached, every_s=0.1, what=wanted)


async def stopped(bot: Program, how: str) -> None:
    if how == "kill":
        bot.kill()
    else:
        bot.signal(signal.SIGTERM)
        assert await bot.exit_code() == 0


@pytest.mark.parametrize("how", ["kill", "orderly stop", "kill with its workers"])
async def test_a_restart_on_a_full_disk_keeps_the_sessions_connected(tmp_path: Path, how: str) -> None:
    bot = processes.bot(tmp_path)
    bot.own_interpreter = True  # it inherits the limit of this process
    message = {"to": "33612345678", "text": "hello"}
    async with bot.running(), Client(bot.url) as client:
        await client.post("/api/sessions", {"id": "one"})
        await is_state(client, "PAIRING")
        await client.post("/api/sessions/one/simulate", {"action": "scan"})
        await is_state(client, "READY")
        await stopped(bot, how.partition(" ")[0])
        if how == "kill with its workers":
            bot.kill_workers()
        with full_disk.filled_at_start():
            bot.start()
        await bot.ready("/livez")
        await is_state(client, "READY")
        status, problem = await client.call("POST", "/api/sessions/one/messages", message)
        assert (status, problem["code"]) == (503, "store_unavailable")
        status, health = await client.call("GET", "/health")
        assert (status, health["reasons"]) == (503, ["store"])

        for pid in (bot.pid, *bot.worker_pids()):
            full_disk.free(pid)
        await bot.ready()
        await client.post("/api/sessions/one/messages", message)
        # Other programs, such as a backup, can read the database again.
        with closing(sqlite3.connect(Path(bot.env["DATA_DIR"]) / "bot.db", timeout=30)) as store:
            assert store.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
