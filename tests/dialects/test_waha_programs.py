"""What other programs send to WAHA, to the letter, to the running service; also to the port where WAHA's paths are at the root."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.dialects.waha_scene import CHAT
from tests.support import processes
from tests.support.processes import API_KEY, Client, Program, free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.system
HEADERS = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Program]:
    bot = processes.bot(tmp_path, WAHA_PORT=str(free_port()), SEND_PER_MINUTE="0", SEND_NEW_CHATS_PER_HOUR="0")
    async with bot.running(), Client(bot.url) as ours:
        await ours.post("/api/sessions", {"id": "default"})

        async def is_in(state: str) -> bool:
            return bool((await ours.get("/api/sessions/default"))["state"] == state)

        await eventually(lambda: is_in("PAIRING"), what="a code")
        await ours.post("/api/sessions/default/simulate", {"action": "scan"})
        await eventually(lambda: is_in("READY"), what="the session being ready")
        yield bot


def bases(service: Program) -> list[str]:
    return [f"{service.url}/waha", f"http://127.0.0.1:{service.env['WAHA_PORT']}"]


async def test_programs_are_answered_as_they_expect(service: Program) -> None:
    text = {"session": "default", "chatId": CHAT, "text": "up"}
    calls: list[tuple[str, str, str, Any, set[int]]] = [
        ("Uptime Kuma", "POST", "/api/sendText", text, {200, 201}),
        ("Home Assistant", "GET", "/api/version", None, {200}),
        ("Home Assistant", "POST", "/api/sendText", text, {200, 201}),
        ("Home Assistant", "GET", "/api/sessions/default", None, {200, 201}),
        ("n8n, test of the credentials", "GET", "/api/sessions", None, {200}),
        ("n8n", "POST", "/api/sendText", {**text, "reply_to": None, "linkPreview": True}, {201}),
        ("n8n", "GET", "/api/default/chats/overview?limit=20&offset=0", None, {200}),
        ("Home Assistant", "POST", "/api/sessions/logout", {"name": "default"}, {200, 201}),
    ]
    async with aiohttp.ClientSession(headers=HEADERS) as http:
        for program, method, path, body, wanted in calls:
            base = bases(service)[0]
            async with http.request(method, base + path, data=None if body is None else json.dumps(body)) as answer:
                assert answer.status in wanted, (program, path, await answer.text())


async def test_a_port_of_its_own_has_wahas_paths_at_the_root_and_nothing_else(service: Program) -> None:
    async with Client(service.url) as ours, aiohttp.ClientSession(headers=HEADERS) as http:
        await ours.post("/api/sessions/default/simulate", {"action": "message", "type": "image", "id": "PIC"})

        async def came() -> bool:
            return len((await ours.get("/api/sessions/default/messages"))["messages"]) == 1

        await eventually(came, what="the picture")
        for base in bases(service):
            async with http.get(f"{base}/api/sessions?all=true&x=%2F%3F") as answer:
                assert [each["name"] for each in await answer.json()] == ["default"]
            async with http.get(f"{base}/api/default/chats/{CHAT}/messages/PIC") as answer:
                url = (await answer.json())["media"]["url"]
            assert url == f"{base}/api/files/default/PIC"
            async with http.get(url) as answer:
                assert (answer.status, answer.content_type) == (200, "image/png")
            async with http.ws_connect(f"{base}/ws?events=message") as socket:
                await ours.post("/api/sessions/default/simulate", {"action": "message", "text": base})
                assert json.loads((await socket.receive()).data)["payload"]["body"] == base
        root = bases(service)[1]
        for path in ("/api/keys", "/login", "/metrics", "/health/..", "//health"):
            async with http.get(root + path, allow_redirects=False) as answer:
                assert answer.status in (404, 501), path
        async with aiohttp.ClientSession() as stranger, stranger.get(f"{root}/api/sessions") as answer:
            assert answer.status == 401
