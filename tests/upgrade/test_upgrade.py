"""Data folders that older versions wrote, killed in the middle of their work, start with this version and lose nothing."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.support import processes
from tests.support.processes import QUICK, Client, Program
from tests.support.receiver import Receiver
from tests.support.step_clock import StepClock
from tests.support.waiting import eventually
from tests.upgrade.write_folders import MESSAGES, PAIRED

ARCHIVES = sorted(Path(__file__).parent.glob("folders-*.tar.gz"))

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@dataclass
class Upgraded:
    """Both programs of this version over folders of an older one; ``expected`` is what the older one said of itself."""

    bot: Program
    watchdog: Program
    client: Client
    expected: dict[str, Any]


@pytest.fixture(params=ARCHIVES, ids=[archive.name.removesuffix(".tar.gz") for archive in ARCHIVES])
async def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Upgraded]:
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path, filter="data")
    expected = json.loads((tmp_path / "expected.json").read_text())
    # The programs start an hour after the older ones worked, however old the archive is: nothing has expired.
    worked = datetime.fromisoformat(expected["webhooks"][0]["createdAt"])
    clock = StepClock(tmp_path / "clock")
    clock.set((worked + timedelta(hours=1) - datetime.now(UTC)).total_seconds())
    bot = processes.bot(
        tmp_path, WEBHOOK_ALLOW_PRIVATE="true", HEARTBEAT_INTERVAL="500", **clock.env, **clock.worker_env
    )
    watchdog = processes.watchdog(tmp_path, bot.url, **QUICK, **clock.env)
    async with bot.running(), watchdog.running(), Client(bot.url) as client:
        yield Upgraded(bot, watchdog, client, expected)


async def test_sessions_are_ready_without_a_new_pairing(upgraded: Upgraded) -> None:
    async def ready() -> bool:
        found = (await upgraded.client.get("/api/sessions"))["sessions"]
        return {each["id"] for each in found if each["state"] == "READY"} == set(PAIRED)

    await eventually(ready, what="the sessions being READY")
    found = (await upgraded.client.get("/api/sessions"))["sessions"]
    for expected in upgraded.expected["sessions"]:
        session = next(each for each in found if each["id"] == expected["id"])
        assert expected.items() <= session.items()
    assert next(each["state"] for each in found if each["id"] == "stopped") == "STOPPED"
    for session_id in PAIRED:
        changes = (await upgraded.client.get(f"/api/sessions/{session_id}/transitions"))["transitions"]
        since = changes[: [change["reason"] for change in changes].index("restored") + 1]
        assert "PAIRING" not in {change["to"] for change in since}


async def test_webhooks_deliver_what_was_waiting_with_the_old_secret(upgraded: Upgraded) -> None:
    kept = (await upgraded.client.get("/api/webhooks"))["webhooks"]
    for webhook, expected in zip(kept, upgraded.expected["webhooks"], strict=True):
        assert webhook.pop("health")["waiting"] >= 0
        assert webhook == {**expected, "dialect": None, "headers": {}, "oldSecretUntil": None}
    async with Receiver() as receiver:
        status, _ = await upgraded.client.call(
            "PATCH", f"/api/webhooks/{upgraded.expected['broken']}", {"url": receiver.url}
        )
        assert status == 200
        await eventually(lambda: len(receiver.requests) >= MESSAGES, what="the deliveries that waited")
        for got in receiver.requests:
            headers = {name.lower(): value for name, value in got.headers.items()}
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            signature = Webhook(upgraded.expected["secret"]).sign(headers["webhook-id"], at, got.raw.decode())
            assert headers["webhook-signature"] == signature
        assert len({got.json["data"]["id"] for got in receiver.requests}) == MESSAGES


async def test_messages_and_keys_are_kept_and_new_messages_come(upgraded: Upgraded) -> None:
    path = "/api/sessions/one/messages?limit=200"
    kept = [[each["id"], each["direction"]] for each in (await upgraded.client.get(path))["messages"]]
    assert kept == upgraded.expected["messages"]
    async with Client(upgraded.bot.url, upgraded.expected["key"]) as reader:
        assert (await reader.call("GET", "/api/sessions"))[0] == 200

    async def ready() -> bool:
        return bool((await upgraded.client.get("/api/sessions/one"))["state"] == "READY")

    await eventually(ready, what="the session being READY")
    await upgraded.client.post("/api/sessions/one/simulate", {"action": "message", "text": "new"})

    async def came() -> bool:
        return len((await upgraded.client.get(path))["messages"]) == len(kept) + 1

    await eventually(came, what="the new message")


async def test_the_ledger_keeps_its_incidents_and_goes_on(upgraded: Upgraded) -> None:
    def count(statement: str) -> int:
        ledger = Path(upgraded.watchdog.env["DATA_DIR"]) / "watchdog.db"
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
            return int(connection.execute(statement).fetchone()[0])

    await eventually(
        lambda: count("SELECT count(*) FROM result") > upgraded.expected["pings"], every_s=0.2, what="more pings"
    )
    assert count("SELECT count(*) FROM incident") >= upgraded.expected["incidents"] > 0
    async with Client(upgraded.watchdog.url, processes.WATCHDOG_TOKEN) as client:
        status = await client.get("/api/status")
    assert len(status["incidents"]) >= upgraded.expected["incidents"]
    assert status["targets"][0]["state"] == "UP"
