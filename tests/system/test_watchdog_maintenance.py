"""A watchdog process in planned maintenance: it begins by itself, survives kill -9, lets no alert leave, and measures all the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support import processes
from tests.support.fake_bot import FakeBot
from tests.support.operator import signed_in
from tests.support.processes import QUICK, WATCHDOG_TOKEN, Client, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(180), pytest.mark.deep]

BEGINS_IN_S, LASTS_S = 3.0, 12.0


async def reaches(dog: Program, state: str) -> dict[str, Any]:
    """The answer of /api/status once the bot has this state."""
    async with Client(dog.url, WATCHDOG_TOKEN) as api:

        async def look() -> dict[str, Any] | None:
            found: dict[str, Any] = await api.get("/api/status")
            return found if found["targets"][0]["state"] == state else None

        return dict(await eventually(look, every_s=0.1, what=state))


def sent(hook: Receiver) -> list[tuple[str, datetime]]:
    """Kind and time of every alert."""
    return [(got.json["data"]["kind"], datetime.fromisoformat(got.json["data"]["createdAt"])) for got in hook.requests]


async def test_a_bot_that_dies_in_planned_maintenance_is_alerted_when_that_ends(tmp_path: Path, hook: Receiver) -> None:
    async with FakeBot() as bot:
        dog = processes.watchdog(tmp_path, bot.url, ALERT_URLS=hook.url, INSTALLATION_NAME="Shop", **QUICK)
        async with dog.running():
            await reaches(dog, "UP")
            begin = datetime.now(UTC) + timedelta(seconds=BEGINS_IN_S)
            end = begin + timedelta(seconds=LASTS_S)
            async with signed_in(dog.url) as operator:
                moments = {"from_at": begin.isoformat(), "until_at": end.isoformat()}
                assert (await operator.post("plan", **moments, text="New disks"))[0] == 303
            await reaches(dog, "UP")
            await reaches(dog, "PAUSED")
            await bot.stop()
            dog.kill()
            dog.start()
            await dog.ready()
            paused = await reaches(dog, "PAUSED")
            assert [window["text"] for window in paused["pauses"]] == ["New disks"]

            async with Client(dog.url, WATCHDOG_TOKEN) as api:

                async def measures() -> bool:
                    target = (await api.get("/api/status"))["targets"][0]
                    return bool(target["state"] == "PAUSED" and target["consecutiveFailures"] >= 3)

                await eventually(measures, every_s=0.1, what="failed pings in the window")
            down = await hook.wait_for(lambda body: body["data"]["kind"] == "down")
            assert [kind for kind, _ in sent(hook)] == ["down"]
            assert sent(hook)[0][1] >= end
            assert down.json["text"].startswith("Shop: bot is DOWN")
            shown = await reaches(dog, "DOWN")
            assert shown["targets"][0]["uptime"]["24h"]["maintenanceMs"] > 0
        await bot.start()
