"""``veilleur status`` as a process: what it shows of the client version, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.faces.test_cli import Terminal

VERSION = {"version": "2.3000.1047769893", "source": "published", "ageDays": 12.3, "outdated": False}


class Both:
    """Both programs as one server; ``health`` is the bot service's answer."""

    def __init__(self) -> None:
        self.url = ""
        self.status, self.state = 200, "UP"
        self.attention: list[dict[str, str]] = []
        self.health: dict[str, Any] = {"status": "ok", "uptime": 1000, "sessions": {"total": 2, "ready": 2}}

    async def answer_health(self, _request: web.Request) -> web.Response:
        return web.json_response(self.health, status=self.status)

    async def answer_status(self, _request: web.Request) -> web.Response:
        return web.json_response({"state": self.state, "targets": [{"name": "bot", "state": self.state}]})

    async def answer_attention(self, _request: web.Request) -> web.Response:
        return web.json_response({"sessions": self.attention})

    async def run(self, *arguments: str) -> tuple[int, str]:
        terminal = Terminal(DATA_DIR="/nonexistent", BOT_URL=self.url, WATCHDOG_URL=self.url)
        return await terminal.run("status", *arguments)


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    made = Both()
    app = web.Application()
    app.router.add_get("/health", made.answer_health)
    app.router.add_get("/api/status", made.answer_status)
    app.router.add_get("/api/attention", made.answer_attention)
    async with TestServer(app) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


@pytest.mark.parametrize(("days", "words"), [(0.4, "less than a day old"), (1.2, "1 day old"), (12.3, "12 days old")])
async def test_the_announced_version_has_a_line(both: Both, days: float, words: str) -> None:
    both.health["clientVersion"] = VERSION | {"ageDays": days}
    code, out = await both.run()
    assert (code, out.splitlines()[-1]) == (0, f"WhatsApp  version 2.3000.1047769893 (published, {words})")


async def test_a_refused_version_and_a_problem_are_warnings(both: Both) -> None:
    both.health["clientVersion"] = VERSION | {"outdated": True, "problem": "only the engine's own: no room"}
    code, out = await both.run()
    assert code == 0
    assert out.splitlines()[-3:] == [
        "WhatsApp  version 2.3000.1047769893 (published, 12 days old)",
        "WhatsApp  refuses this client version: all logins wait until another one is accepted",
        "WhatsApp  only the engine's own: no room",
    ]


async def test_a_version_that_is_not_known_shows_its_problem_only(both: Both) -> None:
    both.health["clientVersion"] = {"outdated": False, "problem": "no other can be announced"}
    assert (await both.run())[1].splitlines()[-1] == "WhatsApp  no other can be announced"


async def test_json_holds_it_and_an_engine_without_a_version_shows_none(both: Both) -> None:
    assert "WhatsApp" not in (await both.run())[1]
    both.health["clientVersion"] = VERSION
    code, out = await both.run("--json")
    assert (code, json.loads(out)["bot"]["clientVersion"]) == (0, VERSION)


async def test_an_unhealthy_bot_shows_no_version(both: Both) -> None:
    both.status, both.health = 503, {"status": "unhealthy", "reasons": ["store"]}
    code, out = await both.run()
    assert (code, "WhatsApp" in out) == (1, False)


async def test_sessions_that_need_a_person_are_named_with_what_to_do_and_make_the_exit_code_1(both: Both) -> None:
    both.health["sessions"] = {"total": 14, "ready": 2, "needPerson": 12}
    both.attention = [
        {
            "session": f"s{number}", "name": f"Shop [red]{number}", "what": "WhatsApp banned the account.",
            "todo": "Ask for a review.", "link": f"http://bot/sessions/s{number}",
        }
        for number in range(12)
    ]  # fmt: skip
    code, out = await both.run()
    assert code == 1
    assert "2 of 14 running sessions ready, 12 sessions need a person" in out
    lines = [line for line in out.splitlines() if line.startswith("person")]
    assert len(lines) == 11
    assert (
        "Shop ［red］0 (s0): WhatsApp banned the account. What to do: Ask for a review. http://bot/sessions/s0" in out
    )
    assert lines[-1].endswith("and 2 more")
    assert (await both.run("--json"))[0] == 1


@pytest.mark.parametrize("state", ["DOWN", "DEGRADED", "FLAPPING", "BLIND"])
async def test_a_state_that_is_not_well_makes_the_exit_code_1(both: Both, state: str) -> None:
    both.state = state
    code, out = await both.run()
    assert (code, f"bot is {state}" in out) == (1, True)
