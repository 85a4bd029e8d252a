"""Who gets in: every route of both running programs without a key, with a wrong one, and with the other program's."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import cast

import aiohttp
import pytest

from bot_service.app import build_app
from bot_service.domain.ports import EnginePool
from bot_service.settings import BotSettings
from shared.settings import load
from tests.security.conftest import Running
from tests.support.processes import API_KEY, ROOT, WATCHDOG_TOKEN, Program

pytestmark = pytest.mark.system

_SOURCES = itertools.count()

# Open to everybody, and why nothing of a person is in them.
PUBLIC = {
    ("GET", "/health"): "counts only",
    ("GET", "/readyz"): "a status",
    ("GET", "/livez"): "a status",
    ("GET", "/metrics"): "bounded labels; METRICS_TOKEN closes it",
    ("GET", "/api/keepalive"): "the original's public read; PUBLIC_STATS=false closes it",
    ("GET", "/api/metrics"): "the original's public read; PUBLIC_STATS=false closes it",
    ("GET", "/api/openapi.json"): "a description of the API",
}
WATCHDOG_ONLY = {("GET", "/api/heartbeat"), ("POST", "/api/keepalive"), ("POST", "/api/repair")}
# Pages judge the login's cookie themselves (see test_pages.py); these routes are no part of the API.
_PAGES = re.compile(r"^/(?!api(/|$))")


def _routes(tmp_path: Path) -> list[tuple[str, str]]:
    """Every (method, path) of the bot service, with something in the place of each variable."""
    # The engine is not touched while routes are looked at.
    app = build_app(load(BotSettings, {"DATA_DIR": str(tmp_path), "ENGINE": "simulator"}), pool=cast(EnginePool, None))
    found = set()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if route.method not in ("HEAD", "*") and not (_PAGES.match(path) and (route.method, path) not in PUBLIC):
            found.add((route.method, re.sub(r"\{[^}]+\}", "x", path)))
    assert len(found) > 15
    return sorted(found)


async def _status(program: Program, method: str, path: str, **headers: str) -> int:
    """The status alone: the body of a stream has no end."""
    # From another address of loopback each time, because many wrong keys of one address are slowed.
    source = f"127.0.{next(_SOURCES) // 250 % 250 + 1}.{next(_SOURCES) % 250 + 1}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(source, 0))) as http,
        http.request(method, program.url + path, headers=headers, allow_redirects=False) as response,
    ):
        return response.status


async def test_without_a_key_nothing_but_the_public_reads_answers(running: Running, tmp_path: Path) -> None:
    open_routes = {
        (method, path) for method, path in _routes(tmp_path) if await _status(running.bot, method, path) != 401
    }
    assert open_routes <= set(PUBLIC)


@pytest.mark.parametrize("token", ["wrong-key-0123456789", API_KEY[:-1], API_KEY + "x", API_KEY.upper(), "é" * 20])
async def test_with_a_wrong_key_nothing_but_the_public_reads_answers(
    running: Running, tmp_path: Path, token: str
) -> None:
    answers = {
        (method, path): await _status(running.bot, method, path, Authorization=f"Bearer {token}")
        for method, path in _routes(tmp_path)
        if (method, path) not in PUBLIC
    }
    assert set(answers.values()) == {403}, {route: status for route, status in answers.items() if status != 403}


async def test_the_watchdogs_token_opens_only_what_is_the_watchdogs(running: Running, tmp_path: Path) -> None:
    opened = {
        (method, path)
        for method, path in _routes(tmp_path)
        if (method, path) not in PUBLIC
        and await _status(running.bot, method, path, Authorization=f"Bearer {WATCHDOG_TOKEN}") not in (401, 403)
    }
    assert opened == WATCHDOG_ONLY & set(_routes(tmp_path))


async def test_the_administrators_key_does_not_open_what_is_the_watchdogs(running: Running, tmp_path: Path) -> None:
    for method, path in WATCHDOG_ONLY & set(_routes(tmp_path)):
        assert await _status(running.bot, method, path, Authorization=f"Bearer {API_KEY}") == 403, path


async def test_an_unknown_path_below_api_tells_nothing_without_a_key(running: Running) -> None:
    assert await _status(running.bot, "GET", "/api/nothing-here") == 401
    assert await _status(running.bot, "GET", "/api/nothing-here", Authorization=f"Bearer {API_KEY}") == 404


async def test_a_key_in_the_address_is_not_a_key(running: Running) -> None:
    for name in ("key", "token", "access_token", "apikey", "api_key"):
        assert await _status(running.bot, "GET", f"/api/sessions?{name}={API_KEY}") == 401


async def test_the_watchdog_changes_nothing_without_the_token(running: Running) -> None:
    table = (ROOT / "watchdog" / "status" / "api.py").read_text(encoding="utf-8")
    changing = re.findall(r'\("(POST|DELETE|PUT|PATCH)", "(/api/[^"]+)"', table)
    assert len(changing) >= 5
    for method, path in changing:
        plain = re.sub(r"\{[^}]+\}", "x", path)
        assert await _status(running.watchdog, method, plain) == 401, path
        wrong = await _status(running.watchdog, method, plain, Authorization="Bearer wrong-key-0123456789")
        assert wrong == 403, path


async def test_metrics_can_be_closed_on_both_programs(tmp_path: Path) -> None:
    from tests.support.processes import bot, watchdog

    token = "metrics-token-0123456789"
    service = bot(tmp_path, METRICS_TOKEN=token)
    guard = watchdog(tmp_path, service.url, METRICS_TOKEN=token)
    try:
        for program in (service, guard):
            program.start()
            await program.ready()
            assert await _status(program, "GET", "/metrics") == 401
            assert await _status(program, "GET", "/metrics", Authorization="Bearer other-token-0123") == 403
            assert await _status(program, "GET", "/metrics", Authorization=f"Bearer {token}") == 200
    finally:
        guard.close()
        service.close()


def test_secrets_are_compared_in_constant_time_and_in_no_other_way() -> None:
    """No ``==`` on a revealed secret anywhere, and the one function that judges tokens uses ``compare_digest``."""
    plain = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("shared", "bot_service", "watchdog")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and any(ast.unparse(side).endswith(".reveal()") for side in (node.left, *node.comparators))
    ]
    assert plain == []
    assert "hmac.compare_digest(" in (ROOT / "shared" / "web" / "auth.py").read_text(encoding="utf-8")


def test_a_secret_never_shows_itself(running: Running) -> None:
    settings = load(BotSettings, running.bot.env)
    assert API_KEY not in repr(settings) + str(settings) + str(settings.bot_api_key) + f"{settings.bot_api_key!r:>40}"
