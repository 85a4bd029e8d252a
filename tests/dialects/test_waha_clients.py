"""WAHA's Python clients, unchanged, against the running service: from the QR code to the logout."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.processes import API_KEY, Client, free_port
from tests.support.receiver import Receiver

SCRIPTS = Path(__file__).parent / "clients"
# `make clients` installs each client into a folder of its own: two of them have a module of the same name.
CLIENTS = processes.ROOT / ".venv" / "clients"

pytestmark = [pytest.mark.system, pytest.mark.clients]


async def use(name: str, env: dict[str, str]) -> dict[str, object]:
    """Run the script of a client to its end; what it says last."""
    folder = CLIENTS / name
    if not folder.is_dir():
        pytest.skip(f"needs the package {name} in a folder of its own (.ci/run installs it by `make clients`)")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPTS / f"use_{name.replace('-', '_')}.py"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, problem = await process.communicate()
    assert process.returncode == 0, problem.decode()[-4000:]
    return dict(json.loads(out))


@pytest.mark.parametrize("name", ["waha", "waha-py", "waha-python"])
async def test_a_client_pairs_sends_receives_reads_restarts_and_logs_out(name: str, tmp_path: Path) -> None:
    root = free_port()
    bot = processes.bot(
        tmp_path,
        WEBHOOK_ALLOW_PRIVATE="true",
        WAHA_PORT=str(root),
        SEND_PER_MINUTE="0",
        SEND_NEW_CHATS_PER_HOUR="0",
    )
    async with bot.running(), Receiver() as receiver, Client(bot.url) as ours:
        env = {
            "BOT_URL": bot.url,
            "WAHA_URL": f"http://127.0.0.1:{root}",
            "BOT_KEY": API_KEY,
            "HOOK_URL": f"{receiver.url}/hook",
        }
        said = await use(name, env)
        stored = await ours.get("/api/sessions/default/messages?limit=50")
    assert base64.b64decode(str(said["qr"]))
    assert str(said["me"]).endswith("@c.us")
    assert said["end"] == "FAILED", "a session that was logged out needs a person"
    sent, history = said["sent"], said["history"]
    assert isinstance(sent, list)
    assert isinstance(history, list)
    kinds = [each["type"] for each in stored["messages"]][::-1]
    assert kinds == ["text", "image", "audio", "location", "contact", "text", "reaction"]
    assert {each["state"] for each in stored["messages"]} <= {"sent", "delivered", "read", "received"}
    # The ids of what was sent are those of the history, and what came is there too.
    assert {each["id"] for each in sent} < {each["id"] for each in history}
    assert "false_33612345678@c.us_IN1" in {each["id"] for each in history}
    events = [got.json for got in receiver.requests]
    assert [each["payload"]["body"] for each in events if each["event"] == "message"] == ["answer"]
    statuses = [each["payload"]["status"] for each in events if each["event"] == "session.status"]
    assert statuses[:2] == ["STARTING", "SCAN_QR_CODE"]
    assert "WORKING" in statuses
    for got in receiver.requests:
        assert got.headers["X-Webhook-Hmac"] == hmac.new(b"shared", got.raw, hashlib.sha512).hexdigest()
