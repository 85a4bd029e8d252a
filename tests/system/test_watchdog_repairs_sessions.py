"""Both programs: sessions that are not ready make the bot DEGRADED; the watchdog asks the bot to mend them, and it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.processes import WATCHDOG_TOKEN, Client, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SESSIONS = ("one", "two", "three")
SICK = ("one", "two")


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Program]:
    program = processes.bot(tmp_path, HEARTBEAT_INTERVAL="500", SIMULATOR_OPTIONS="auto_pair_ms=50")
    async with program.running():
        yield program


async def _states(client: Client) -> dict[str, str]:
    return {name: (await client.get(f"/api/sessions/{name}"))["state"] for name in SESSIONS}


async def _all_ready(client: Client) -> None:
    async def look() -> bool:
        return set((await _states(client)).values()) == {"READY"}

    await eventually(look, every_s=0.2, what="every session READY")


@pytest.mark.long
@pytest.mark.deep
async def test_sessions_that_stay_unready_are_mended_by_the_bot_at_the_watchdogs_word(
    tmp_path: Path, bot: Program
) -> None:
    async with Receiver() as hook, Client(bot.url) as api:
        dog = processes.watchdog(
            tmp_path,
            bot.url,
            ALERT_URLS=hook.url,
            REMEDIATION="bot",
            DEGRADED_AFTER="1000",
            KEEP_ALIVE_INTERVAL="2000",
            HEARTBEAT_INTERVAL="500",
        )
        # READY before anybody looks: a start that takes longer than DEGRADED_AFTER would be told as well.
        for name in SESSIONS:
            await api.post("/api/sessions", {"id": name})
        await _all_ready(api)
        dog.start()
        try:
            await dog.ready()
            async with Client(dog.url, WATCHDOG_TOKEN) as watch:
                await _state(watch, "UP")
                # Pings of the link are not answered any more; by itself the bot would wait 75 s before it connects anew.
                for name in SICK:
                    await api.post(f"/api/sessions/{name}/simulate", {"action": "keepaliveTimeout"})
                await _state(watch, "DEGRADED")
                assert (await _states(api))["three"] == "READY"

                async def repaired() -> Any:
                    made = (await watch.get("/api/status"))["repairs"]
                    return next((one for one in made if one["result"] == "done"), None)

                repair = await eventually(repaired, within_s=100, every_s=0.5, what="the repair")
                assert (repair["remediator"], repair["detail"]) == ("bot", "2 sessions")
                await _all_ready(api)
                for name in SICK:
                    told = (await api.get(f"/api/sessions/{name}/transitions"))["transitions"]
                    assert "watchdog_repair" in [change["reason"] for change in told]
                shown = await _state(watch, "UP")
                incident = next(one for one in shown["incidents"] if one["kind"] == "degraded")
                assert incident["closeReason"] == "sessions_ready"
                assert repair["incidentId"] == incident["id"]
                await eventually(lambda: _kinds(hook) == ["degraded", "degraded_over"], what="both notices")
        finally:
            dog.close()


async def _state(watch: Client, state: str) -> dict[str, Any]:
    async def look() -> Any:
        shown = await watch.get("/api/status")
        return shown if shown["targets"][0]["state"] == state else None

    return dict(await eventually(look, every_s=0.2, what=f"the state {state}"))


def _kinds(hook: Receiver) -> list[str]:
    return [str(got.json.get("kind") or got.json.get("type", "")).rsplit(".", 1)[-1] for got in hook.requests]
