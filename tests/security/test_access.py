"""Who gets in: every route of both running programs without a key, with a wrong one, and with the other program's."""

from __future__ import annotations

import ast
import asyncio
import itertools
import re
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from yarl import URL

from bot_service.app import build_app
from bot_service.dialects.evolution.routes import EDGE as EVOLUTION
from bot_service.domain.ports import EnginePool
from bot_service.settings import BotSettings
from shared.settings import load
from tests.bot_service.api.test_permissions import FORMS
from tests.security.conftest import Running
from tests.support.members import members
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
    ("GET", "/waha/ping"): "a word",
}
WATCHDOG_ONLY = {("GET", "/api/heartbeat"), ("POST", "/api/keepalive"), ("POST", "/api/repair")}
# Pages judge the login's cookie themselves (tests/bot_service/api/test_permissions.py has a table of them).
_PAGES = {path for _, path in FORMS}


def _routes(tmp_path: Path) -> list[tuple[str, str]]:
    """Every (method, path) of the bot service, with something in the place of each variable."""
    # The engine is not touched while routes are looked at.
    app = build_app(load(BotSettings, {"DATA_DIR": str(tmp_path), "ENGINE": "simulator"}), pool=cast(EnginePool, None))
    found = set()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if route.method != "HEAD" and path not in _PAGES:
            found.add(("PATCH" if route.method == "*" else route.method, re.sub(r"\{[^}]+\}", "x", path)))
    assert {path.split("/")[1] for _, path in found} >= {"api", "waha", "evolution", "message", "mcp"}
    assert len(found) > 150
    return sorted(found)


async def _statuses(program: Program, routes: list[tuple[str, str]], **headers: str) -> dict[tuple[str, str], int]:
    """The status of every route, a few at a time."""
    found: dict[tuple[str, str], int] = {}
    for start in range(0, len(routes), 10):
        some = routes[start : start + 10]
        answers = await asyncio.gather(*(_status(program, *route, **headers) for route in some))
        found.update(zip(some, answers, strict=True))
    return found


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
    statuses = await _statuses(running.bot, _routes(tmp_path))
    assert {route for route, status in statuses.items() if status != 401} <= set(PUBLIC)


# Many wrong keys together are answered late, so a token costs ten seconds.
@pytest.mark.parametrize(
    "token", members([API_KEY[:-1], API_KEY + "x", API_KEY.upper(), "wrong-key-0123456789", "é" * 20])
)
async def test_with_a_wrong_key_nothing_but_the_public_reads_answers(
    running: Running, tmp_path: Path, token: str
) -> None:
    guarded = [route for route in _routes(tmp_path) if route not in PUBLIC]
    answers = await _statuses(running.bot, guarded, Authorization=f"Bearer {token}")
    # Evolution's API answers to a wrong key as to none.
    of_evolution = (*EVOLUTION.prefixes,)
    wrong = {r: status for r, status in answers.items() if status != (401 if r[1].startswith(of_evolution) else 403)}
    assert wrong == {}


async def test_the_watchdogs_token_opens_only_what_is_the_watchdogs(running: Running, tmp_path: Path) -> None:
    guarded = [route for route in _routes(tmp_path) if route not in PUBLIC]
    answers = await _statuses(running.bot, guarded, Authorization=f"Bearer {WATCHDOG_TOKEN}")
    assert {route for route, status in answers.items() if status not in (401, 403)} == WATCHDOG_ONLY


async def test_the_administrators_key_does_not_open_what_is_the_watchdogs(running: Running, tmp_path: Path) -> None:
    assert set(_routes(tmp_path)) >= WATCHDOG_ONLY
    for method, path in WATCHDOG_ONLY:
        assert await _status(running.bot, method, path, Authorization=f"Bearer {API_KEY}") == 403, path
    for method, path in (("POST", "/api/ping"), ("POST", "/api/pause"), ("DELETE", "/api/pause")):
        assert await _status(running.watchdog, method, path, Authorization=f"Bearer {API_KEY}") == 403, path


async def test_an_unknown_path_below_api_tells_nothing_without_a_key(running: Running) -> None:
    assert await _status(running.bot, "GET", "/api/nothing-here") == 401
    assert await _status(running.bot, "GET", "/api/nothing-here", Authorization=f"Bearer {API_KEY}") == 404


async def test_a_key_in_the_address_is_not_a_key(running: Running) -> None:
    names = ("key", "token", "access_token", "apikey", "api_key", "x-api-key", "X-Api-Key", "authorization")
    query = "&".join(f"{name}={API_KEY}" for name in names)
    for path in ("/api/sessions", "/api/events", "/evolution/instance/fetchInstances", "/api/nothing-here"):
        assert await _status(running.bot, "GET", f"{path}?{query}") == 401, path
    assert await _status(running.bot, "POST", f"/mcp?{query}") == 401
    with_user = URL(running.bot.url).with_user(API_KEY).with_password(API_KEY)
    async with aiohttp.ClientSession() as http, http.get(with_user / "api/sessions") as response:
        assert response.status == 401
    query = "&".join(f"{name}={WATCHDOG_TOKEN}" for name in names)
    for method, path in (("POST", "/api/ping"), ("POST", "/api/test-alert"), ("DELETE", "/api/pause")):
        assert await _status(running.watchdog, method, f"{path}?{query}") == 401, path
    for path in ("/api/heartbeat", "/events"):
        assert await _status(running.bot, "GET", f"{path}?{query}") in (401, 303), path
    # WAHA's clients have their key there; no log has it (test_a_key_in_the_query_is_the_same_key_and_appears_in_no_log).
    assert await _status(running.bot, "GET", f"/waha/api/sessions?x-api-key={API_KEY}") == 200
    assert API_KEY not in running.bot.output()


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


# Expressions that name a secret, or what proves one.
_SECRET = re.compile(r"\.reveal\(\)$|(?:^|[._])(?:token|secret|proof|password|passphrase|mac|bearer|cookie)s?$")


def test_secrets_are_compared_in_constant_time_and_in_no_other_way() -> None:
    """No ``==`` on a secret or on what proves one, and the functions that judge them use ``compare_digest``."""
    plain = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("shared", "bot_service", "watchdog")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and any(isinstance(each, (ast.Eq, ast.NotEq)) for each in node.ops)
        # A comparison with a constant, such as an empty text, tells nothing of a secret.
        if not any(isinstance(side, ast.Constant) for side in (node.left, *node.comparators))
        and any(_SECRET.search(ast.unparse(side)) for side in (node.left, *node.comparators))
    ]
    assert plain == []
    in_constant_time = {
        str(path.relative_to(ROOT))
        for package in ("shared", "bot_service", "watchdog")
        for path in (ROOT / package).rglob("*.py")
        if "hmac.compare_digest(" in path.read_text(encoding="utf-8")
    }
    assert in_constant_time >= {"shared/web/auth.py", "shared/contract/identity.py", "bot_service/dashboard/login.py"}


def test_a_secret_never_shows_itself(running: Running) -> None:
    settings = load(BotSettings, running.bot.env)
    assert API_KEY not in repr(settings) + str(settings) + str(settings.bot_api_key) + f"{settings.bot_api_key!r:>40}"
