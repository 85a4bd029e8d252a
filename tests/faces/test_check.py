"""``veilleur check`` as a process: one line, Nagios' exit codes, quick to start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.contract.identity import BOT, CHALLENGE_HEADER, Identity
from shared.settings import Secret
from tests.support.processes import ROOT, free_port

Healths = Callable[[int, dict[str, object], float], Awaitable[str]]


@pytest.fixture
async def health_server() -> AsyncIterator[Healths]:
    servers: list[TestServer] = []
    over = asyncio.Event()

    async def start(status: int, body: dict[str, object], delay_s: float = 0.0) -> str:
        async def health(_request: web.Request) -> web.Response:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), delay_s)
            return web.json_response(body, status=status)

        app = web.Application()
        app.router.add_get("/health", health)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("")).rstrip("/")

    yield start
    over.set()
    for server in servers:
        await server.close()


async def veilleur(*arguments: str, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shared.tools.cli.main", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": "/nonexistent", **environ},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


WELL = {"status": "ok", "uptime": 1, "bootId": "b1", "sessions": {"total": 4, "ready": 3}}


async def test_an_address_with_a_password_is_not_asked_and_not_printed() -> None:
    code, out, err = await veilleur("check", "--url", "http://ann:pass-word-1@127.0.0.1:1")
    assert (code, "no user and password" in out, "pass-word-1" in out + err) == (3, True, False)


@pytest.mark.parametrize("proof", [None, "0" * 64, "of the bot"])
async def test_veilleur_sends_no_token_to_what_is_not_the_watchdog(proof: str | None) -> None:
    token, seen = "token-of-the-tests-0123456789", []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, "Authorization" in request.headers))
        given = proof
        if given == "of the bot":
            given = Identity(Secret(token)).proof(BOT, "w1", request.headers.get(CHALLENGE_HEADER))
        return web.json_response({"status": "ok", "bootId": "w1", "proof": given})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        for command in (("incidents",), ("pause", "--for", "1h"), ("test-alert",)):
            code, out, err = await veilleur(*command, WATCHDOG_URL=url, WATCHDOG_TOKEN=token)
            assert code != 0
            assert "does not prove that it is the watchdog" in out + err
    assert seen == [("/health", False)] * 3


WATCHDOG_WELL = {"status": "ok", "uptime": 1, "bootId": "w1", "enabled": True, "lastCycleAge": None}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "neither the bot service nor a watchdog"),
        ({"status": "ok"}, "neither the bot service nor a watchdog"),
        (WATCHDOG_WELL, "a watchdog answers"),
        (WELL | {"status": "unhealthy"}, "unhealthy"),
    ],
)
async def test_what_is_not_a_healthy_bot_is_critical(
    health_server: Healths, body: dict[str, object], says: str
) -> None:
    code, out, _ = await veilleur("check", BOT_URL=await health_server(200, body, 0.0))
    assert (code, says in out) == (2, True), out


@pytest.mark.parametrize("body", [WELL, WATCHDOG_WELL, WATCHDOG_WELL | {"status": "disabled"}])
async def test_the_own_program_may_be_either(health_server: Healths, body: dict[str, object]) -> None:
    port = (await health_server(200, body, 0.0)).rpartition(":")[2]
    code, out, _ = await veilleur("check", "--self", PORT=port)
    assert code == 0, out


async def test_doctor_names_what_answers_in_place_of_a_program(health_server: Healths) -> None:
    bot, page = await health_server(200, WATCHDOG_WELL, 0.0), await health_server(200, {}, 0.0)
    code, out, _ = await veilleur(
        "doctor",
        "--json",
        ENGINE="simulator",
        BOT_URL=bot,
        WATCHDOG_URL=page,
        WATCHDOG_TOKEN="token-of-the-tests-0123456789",
    )
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert "it is the watchdog" in checks["bot service"]["found"]
    assert "it is another program" in checks["watchdog"]["found"]
    assert checks["identity of the bot service"]["verdict"] == "failed"


async def test_a_healthy_program_is_ok_with_exit_code_0(health_server: Healths) -> None:
    url = await health_server(200, WELL, 0.0)
    code, out, _ = await veilleur("check", "--url", url)
    assert code == 0
    assert out.startswith("VEILLEUR OK - answered in ")
    assert "3 of 4 running sessions ready | time=" in out
    assert out.count("\n") == 1


async def test_a_slow_program_is_a_warning_with_exit_code_1(health_server: Healths) -> None:
    url = await health_server(200, WELL, 0.1)
    code, out, _ = await veilleur("check", "--url", url, "--warn", "50")
    assert (code, out[:16]) == (1, "VEILLEUR WARNING")


async def test_an_unhealthy_program_is_critical_and_says_why(health_server: Healths) -> None:
    url = await health_server(503, {"status": "unhealthy", "reasons": ["store", "loop:cleanup"]}, 0.0)
    code, out, _ = await veilleur("check", "--url", url)
    assert code == 2
    assert "unhealthy: store, loop:cleanup" in out


async def test_a_program_that_hangs_is_critical_within_the_timeout(health_server: Healths) -> None:
    url = await health_server(200, WELL, 120.0)
    began = time.monotonic()
    code, out, _ = await veilleur("check", "--url", url, "--timeout", "0.3")
    assert code == 2
    assert "no answer in time" in out
    assert time.monotonic() - began < 60


async def test_no_program_is_critical_and_json_says_the_same() -> None:
    code, out, _ = await veilleur("check", "--json", BOT_URL=f"http://127.0.0.1:{free_port()}")
    value = json.loads(out)
    assert (code, value["result"], value["exitCode"], value["latencyMs"]) == (2, "CRITICAL", 2, None)
    assert "connection refused" in value["detail"]


async def test_wrong_use_is_unknown_with_exit_code_3() -> None:
    assert (await veilleur("check", "--nonsense"))[0] == 3
    assert (await veilleur("check", BOT_URL="not a url"))[0] == 3


async def test_check_loads_neither_typer_nor_rich_nor_aiohttp() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import sys, shared.tools.cli.check; print([n for n in ('typer', 'rich', 'aiohttp', 'asyncio', 'jinja2') if n in sys.modules])",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"


NEEDS = {"bootId": "b1", "status": "ok", "uptime": 1, "sessions": {"total": 4, "ready": 2, "needPerson": 2}}
ATTENTION = {
    "sessions": [
        {"session": "s1", "name": "Shop | \x1b[31m", "need": "banned", "what": "WhatsApp banned the account.",
         "todo": "Ask for a review.", "link": "http://bot/sessions/s1"},
        {"session": "s2", "name": "s2", "need": "closed", "what": "Closed.", "todo": "Start it.", "link": "http://bot/x"},
    ]
}  # fmt: skip


@pytest.mark.parametrize(("key", "named"), [("key-of-the-tests-0123456789", True), (None, False)])
async def test_sessions_that_need_a_person_are_a_warning_with_names_for_those_with_a_key(
    key: str | None, named: bool
) -> None:
    asked: list[str | None] = []

    async def health(_request: web.Request) -> web.Response:
        return web.json_response(NEEDS)

    async def attention(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response(ATTENTION)

    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/api/attention", attention)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        environ = {"BOT_URL": url} | ({"BOT_API_KEY": key} if key else {})
        code, out, _ = await veilleur("check", **environ)
        assert (code, out[:16]) == (1, "VEILLEUR WARNING")
        assert "2 sessions need a person" in out
        assert ("Ask for a review." in out, "(and 1 more: veilleur status)" in out) == (named, named)
        assert "\x1b" not in out
        assert out.count("|") == 1, "a name begins no figures"
        assert asked == ([f"Bearer {key}"] if key else [])
        # What is asked for by another address gets no key.
        code, out, _ = await veilleur("check", "--url", url + "/", **environ)
        assert (code, "Ask for a review." in out) == (1, False)
        # A restart of the container would help no session.
        code, out, _ = await veilleur("check", "--self", PORT=url.rpartition(":")[2])
        assert (code, "2 sessions need a person" in out) == (0, True)
