"""Writes the data folders of a version: ``python -m tests.upgrade.write_folders CHECKOUT ARCHIVE``.

Starts the real programs of the checkout in CHECKOUT, lets them work, kills them and packs both data folders
into ARCHIVE. Run it at each release that changes what is stored; :mod:`tests.upgrade.test_upgrade` reads them all.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.support import processes
from tests.support.processes import QUICK, Client, Program
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

SECRET = "whsec_" + "dmVpbGxldXItdXBncmFkZS10ZXN0LTAx"
PAIRED = ("one", "two", "three")
MESSAGES = 20


async def write(checkout: Path, archive: Path) -> None:
    """The folders, and ``expected.json`` with what they hold."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        here: dict[str, Any] = {"PYTHONPATH": str(checkout)}
        bot = processes.bot(path, WEBHOOK_ALLOW_PRIVATE="true", HEARTBEAT_INTERVAL="500", **here)
        dog = processes.watchdog(path, bot.url, **QUICK, **here)
        bot.cwd = dog.cwd = checkout
        try:
            expected = await _work(bot, dog)
        finally:
            bot.close()
            dog.close()
        (path / "expected.json").write_text(json.dumps(expected, indent=2))
        with tarfile.open(archive, "w:gz", compresslevel=9) as tar:
            for name in ("expected.json", "bot-data", "watchdog-data"):
                tar.add(path / name, name, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    # Sockets cannot be packed; owners and times of one machine say nothing.
    # Records of dead workers hold process ids, which belong to other processes on another machine.
    if not (member.isfile() or member.isdir()) or "/run/" in member.name:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


async def _work(bot: Program, dog: Program) -> dict[str, Any]:
    bot.start()
    await bot.ready()
    async with Client(bot.url) as client, Receiver() as live, Receiver() as broken:
        for session in (*PAIRED, "stopped"):
            await client.post("/api/sessions", {"id": session, "name": f"Name of {session}"})
            await _state(client, session, "PAIRING")
            await client.post(f"/api/sessions/{session}/simulate", {"action": "scan"})
            await _state(client, session, "READY")
        await client.post("/api/sessions/stopped/stop")
        await client.post("/api/webhooks", {"url": live.url, "events": ["message"], "secret": SECRET})
        broken.answer = lambda _request: (503, {}, {})
        waiting = await client.post("/api/webhooks", {"url": broken.url, "events": ["message"], "secret": SECRET})
        key = await client.post("/api/keys", {"name": "reader", "scopes": ["read"], "owner": "main"})
        dog.start()
        await dog.ready()
        await client.post(
            "/api/sessions/one/simulate", {"action": "message", "count": MESSAGES, "rate": 100, "text": "in"}
        )
        await eventually(lambda: len(live.requests) >= MESSAGES, what="the deliveries")
        sent = await client.post("/api/sessions/one/messages", {"type": "text", "to": "33612345678", "text": "out"})

        async def is_sent() -> bool:
            message = await client.get(f"/api/sessions/one/messages/{sent['id']}")
            return message["state"] in ("sent", "delivered", "read")

        await eventually(is_sent, what="the sent message")
        await eventually(lambda: _count(dog, "SELECT count(*) FROM result") >= 2, every_s=0.2, what="pings")
        bot.kill()
        await eventually(lambda: _count(dog, "SELECT count(*) FROM incident"), every_s=0.2, what="an incident")
        bot.start()
        await bot.ready()
        await eventually(
            lambda: _count(dog, "SELECT count(*) FROM incident WHERE closed_at IS NOT NULL"),
            every_s=0.2,
            what="the end of the incident",
        )
        for session in PAIRED:
            await _state(client, session, "READY")
        expected = {
            "sessions": [
                {name: each[name] for name in ("id", "name", "owner", "wanted", "phone") if name in each}
                for each in (await client.get("/api/sessions"))["sessions"]
            ],
            "webhooks": (await client.get("/api/webhooks"))["webhooks"],
            "broken": waiting["id"],
            "messages": [
                (each["id"], each["direction"])
                for each in (await client.get("/api/sessions/one/messages?limit=200"))["messages"]
            ],
            "key": key["key"],
            "secret": SECRET,
            "incidents": _count(dog, "SELECT count(*) FROM incident"),
            "pings": _count(dog, "SELECT count(*) FROM result"),
        }
    bot.kill()
    bot.kill_workers()
    dog.kill()
    return expected


def _count(dog: Program, statement: str) -> int:
    with sqlite3.connect(f"file:{dog.env['DATA_DIR']}/watchdog.db?mode=ro", uri=True) as connection:
        return int(connection.execute(statement).fetchone()[0])


async def _state(client: Client, session: str, wanted: str) -> None:
    async def reached() -> bool:
        return bool((await client.get(f"/api/sessions/{session}"))["state"] == wanted)

    await eventually(reached, what=f"{session} in {wanted}")


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]).resolve(), Path(sys.argv[2])))
