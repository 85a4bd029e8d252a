"""Hostile input: ids that point elsewhere, bodies too large, clients too slow, line breaks in headers and logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.security.conftest import Running
from tests.support.memory import Peak
from tests.support.processes import API_KEY, WATCHDOG_TOKEN, Client

pytestmark = pytest.mark.system
KEY = {"Authorization": f"Bearer {API_KEY}"}
IDS = [
    "../escape",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a\0b",
    ".hidden",
    "-rf",
    "a" * 65,
    "a b",
    "alice\r\nX-Injected: yes",
    "é",
    "a%2fb",
    "",
]


@pytest.mark.parametrize("hostile", IDS)
async def test_a_session_cannot_be_made_with_an_id_that_is_not_a_plain_word(running: Running, hostile: str) -> None:
    before = {path for path in running.folder.rglob("*") if path.is_dir()}
    async with Client(running.bot.url) as client:
        status, problem = await client.call("POST", "/api/sessions", {"id": hostile})
    assert status == 422, problem
    assert problem["code"]
    assert {path for path in running.folder.rglob("*") if path.is_dir()} == before


@pytest.mark.parametrize("hostile", IDS[:-1])
@pytest.mark.parametrize("rest", ["", "/qr", "/health"])
async def test_an_id_in_a_path_never_leads_out_of_its_place(running: Running, hostile: str, rest: str) -> None:
    url = URL(f"{running.bot.url}/api/sessions/{quote(hostile, safe='')}{rest}", encoded=True)
    async with aiohttp.ClientSession(headers=KEY) as http, http.get(url, allow_redirects=False) as response:
        body = await response.text()
        assert response.status in (400, 404, 422), body
        assert "X-Injected" not in response.headers
        assert "root:" not in body


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("program", "path", "kind"),
    [
        ("bot", "/api/sessions", "application/json"),
        ("bot", "/waha/api/sendSeen", "application/json"),
        ("bot", "/evolution/instance/create", "application/json"),
        ("bot", "/mcp", "application/json"),
        ("bot", "/login", FORM),
        ("watchdog", "/api/pause", "application/json"),
        ("watchdog", "/login", FORM),
    ],
)
async def test_a_body_that_is_too_large_is_refused_and_costs_no_memory(
    running: Running, program: str, path: str, kind: str
) -> None:
    begun = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal begun
        chunk = b"x" * 65536
        for number in range(4800):  # 300 MB, without a length announced
            begun = number
            yield chunk

    process, token = getattr(running, program), {"bot": API_KEY, "watchdog": WATCHDOG_TOKEN}[program]
    peak = Peak(process.pid)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind, "Sec-Fetch-Site": "same-origin"}
    async with aiohttp.ClientSession(headers=headers) as http:
        with contextlib.suppress(aiohttp.ClientConnectionError):  # cut off while it was still sending
            async with http.post(process.url + path, data=endless()) as response:
                assert response.status == 413
        assert begun < 4700, "all of it was read"
        async with http.get(f"{process.url}/health") as response:
            assert response.status == 200
    assert peak.grown_bytes() < 80 * 2**20


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 422),
        (b"[]", 422),
        (b'{"id": 7}', 422),
        (b'{"id": "alice", "unknown": 1}', 422),
    ],
)
async def test_a_body_that_is_no_valid_request_gets_a_problem_document(
    running: Running, body: bytes, status: int
) -> None:
    async with (
        aiohttp.ClientSession(headers={**KEY, "Content-Type": "application/json"}) as http,
        http.post(f"{running.bot.url}/api/sessions", data=body) as response,
    ):
        answer = await response.json(content_type=None)
        assert (response.status, response.content_type) == (status, "application/problem+json")
        assert answer["code"]


async def test_headers_that_are_too_large_are_refused(running: Running) -> None:
    async with aiohttp.ClientSession() as http:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with http.get(f"{running.bot.url}/health", headers={"X-Large": "x" * 100_000}) as response:
                assert response.status == 400


async def test_hundreds_of_slow_clients_do_not_keep_others_waiting(running: Running) -> None:
    held: list[socket.socket] = []
    try:
        for _ in range(300):
            slow = socket.create_connection(("127.0.0.1", running.bot.port), timeout=30)
            slow.sendall(b"POST /api/sessions HTTP/1.1\r\nHost: bot\r\nContent-Length: 1000\r\nX-Slow: ")
            held.append(slow)
        async with Client(running.bot.url) as client:
            times = []
            for _ in range(20):
                begun = time.perf_counter()
                await client.get("/health")
                times.append(time.perf_counter() - begun)
        assert sorted(times)[-2] < 2
    finally:
        for slow in held:
            slow.close()


async def test_what_a_client_writes_cannot_forge_a_line_of_the_log(running: Running) -> None:
    forged = 'x\n{"message":"FORGED","level":"info"}\r\n'
    async with Client(running.bot.url) as client:
        await client.call("POST", "/api/sessions", {"id": forged})
        await client.call("POST", "/api/sessions", {"id": "forged-name", "name": forged})
        await client.call("GET", f"/api/sessions/{quote(forged, safe='')}")
    for line in running.bot.output().splitlines():
        if line.strip() and not line.startswith(("    ", "Dashboard: ")):  # the greeting is for people
            assert isinstance(json.loads(line), dict)
            assert json.loads(line).get("message") != "FORGED"


async def test_an_error_of_ours_tells_nothing_of_the_inside(running: Running) -> None:
    async with Client(running.bot.url) as client:
        answers = [
            await client.call("GET", "/api/sessions/none"),
            await client.call("POST", "/api/sessions", {"id": "x" * 500}),
            await client.call("TRACE", "/api/sessions"),
        ]
    for status, body in answers:
        assert 400 <= status < 500
        assert "Traceback" not in json.dumps(body)
        assert "/bot_service/" not in json.dumps(body)


async def test_every_answer_carries_the_headers_that_confine_a_browser(running: Running) -> None:
    bot, watchdog = running.bot.url, running.watchdog.url
    key, token = {"Authorization": f"Bearer {API_KEY}"}, {"Authorization": f"Bearer {WATCHDOG_TOKEN}"}
    async with aiohttp.ClientSession() as http:
        for url, headers in (
            *((program + path, {}) for program in (bot, watchdog) for path in ("/health", "/livez", "/metrics", "/")),
            *((program + path, {}) for program in (bot, watchdog) for path in ("/nowhere", "/health?\xff", "/login")),
            (f"{bot}/api/sessions", {}),
            (f"{bot}/api/sessions", key),
            (f"{bot}/api/events", key),
            (f"{bot}/api/heartbeat", token),
            (f"{bot}/docs", {}),
            (f"{watchdog}/badge.svg", {}),
            (f"{watchdog}/api/status", {}),
        ):
            async with http.get(url, headers=headers) as response:
                assert response.headers["X-Content-Type-Options"] == "nosniff", url
                assert response.headers["X-Frame-Options"] == "DENY", url
                assert response.headers["Referrer-Policy"] == "no-referrer", url
                assert "default-src 'none'" in response.headers["Content-Security-Policy"], url
                assert response.headers["Server"] == "veilleur", url
    for program in (running.bot, running.watchdog):
        for sent in (b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000):
            reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b"server: veilleur\r\n" in head
            assert b"python" not in head
            assert b"aiohttp" not in head
            writer.close()
