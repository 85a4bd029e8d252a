"""docs/architecture.md lists three roads, every function in order. Real calls are followed, so that the page stays true.

A road is complete when each function on it was called by an earlier one of the road or begins a task, thread or
process, and when no decision (a public function of a domain package) was called that the page leaves out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot_service.app import build_app
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from shared.clock import SystemClock
from tests.support import tracer
from tests.support.bot_app import Bot, settings
from tests.support.fake_bot import FakeBot
from tests.support.receiver import Received, Receiver
from tests.support.tracer import ROOT, Call
from tests.support.waiting import eventually
from tests.support.watchdog_app import running_watchdog

PAGE = ROOT / "docs" / "architecture.md"
HOP = re.compile(r"^\d+\. `([\w/]+\.py)` `([\w.<>]+)`", re.M)
# Where every task of a process begins.
BOTTOM = {"", "bot_service/engines/worker/main.py main"}
# It spells an id for an index, and decides nothing.
SPELLING = "bot_service/domain/session_ids.py shown"


def road(title: str) -> list[str]:
    """The functions of one road as the page lists them, ``path qualified-name``."""
    _, _, after = PAGE.read_text().partition(f"### {title}\n")
    section = re.split(r"^##", after, maxsplit=1, flags=re.M)[0]
    return [f"{path} {name}" for path, name in HOP.findall(section)]


def check(title: str, most: int, calls: Sequence[Call]) -> None:
    """Assert that ``calls`` follow the road of the page, that the page leaves nothing out, and its length."""
    hops = road(title)
    assert 0 < len(hops) <= most
    at, seen, first = 0, set(BOTTOM), 0
    for number, hop in enumerate(hops):
        found = next((index for index in range(at, len(calls)) if calls[index].name == hop), None)
        assert found is not None, f"{title}: {hop} is not called after {hops[number - 1]}"
        callers = {call.caller for call in calls[at : found + 1] if call.name == hop} | {
            call.caller for call in calls[found:] if call.name == hop
        }
        # The road begins with its first function, whatever called that one.
        assert not number or callers & seen, f"{title}: the page leaves out who calls {hop}: {sorted(callers)}"
        seen.add(hop)
        first = first if number else found
        at = found
    decisions = {
        call.name for call in calls[first : at + 1] if "/domain/" in call.name and re.search(r" [a-z]\w+$", call.name)
    }
    left_out = decisions - seen - {SPELLING}
    assert not left_out, f"{title}: the page leaves out the decisions {sorted(left_out)}"


async def test_ping_to_alert(tmp_path: Path) -> None:
    bot = await FakeBot(beats="absent").start()
    async with Receiver() as receiver:
        with tracer.tracing() as traced:
            async with running_watchdog(
                tmp_path, bot.url, ALERT_URLS=receiver.url, KEEP_ALIVE_INTERVAL="300"
            ) as watchdog:
                await eventually(lambda: bot.pings >= 2, what="two pings")
                await bot.stop()
                await eventually(lambda: receiver.requests, what="the alert")
                assert watchdog.url
    hops = set(road("Ping to alert"))
    # Other tasks run between: their decisions are not part of this road.
    calls = [call for call in traced.calls if "/domain/" not in call.name or call.caller in hops]
    check("Ping to alert", 30, calls)


async def test_start_of_a_session(tmp_path: Path) -> None:
    calls = await _bot_calls(tmp_path, reply=False)
    check("Start of a session", 22, calls)


async def test_message_to_reply(tmp_path: Path) -> None:
    calls = await _bot_calls(tmp_path, reply=True)
    check("Message to reply", 55, calls)


async def _bot_calls(tmp_path: Path, *, reply: bool) -> list[Call]:
    """Start a session over the API; with ``reply`` also let a message come in and a webhook answer it."""
    file = tmp_path / "worker.trace"
    configured = settings(tmp_path / "data", WEBHOOK_ALLOW_PRIVATE="true")
    policy = PoolPolicy(
        engine="simulator",
        data_dir=configured.data_dir,
        command=(sys.executable, "-m", "tests.support.traced_worker", str(file)),
    )
    with tracer.tracing() as traced:
        pool = WorkerPool(policy, SystemClock())
        async with Receiver() as receiver, TestClient(TestServer(build_app(configured, pool=pool))) as client:
            bot = Bot(client.app, client, pool)  # type: ignore[arg-type]
            await bot.call("POST", "/api/sessions", {"id": "one"})
            await _reached(bot, "PAIRING")
            if not reply:
                return sorted([*traced.calls, *tracer.read(file)])
            await bot.call("POST", "/api/sessions/one/simulate", {"action": "scan"})
            await _reached(bot, "READY")
            receiver.answer = _answer
            await bot.call("POST", "/api/webhooks", {"url": receiver.url, "events": ["message"]})
            await bot.call("POST", "/api/sessions/one/simulate", {"action": "message", "text": "hello"})

            async def replied() -> bool:
                _, listed = await bot.call("GET", "/api/sessions/one/messages")
                return any(each["direction"] == "out" and each["state"] != "queued" for each in listed["messages"])

            await eventually(replied, what="the reply")
            return sorted([*traced.calls, *tracer.read(file)])


def _answer(_request: Received) -> tuple[int, object, dict[str, str]]:
    return 200, {"reply": "yes"}, {}


async def _reached(bot: Bot, state: str) -> None:
    async def reached() -> bool:
        return bool((await bot.call("GET", "/api/sessions/one"))[1]["state"] == state)

    await eventually(reached, what=state)


@pytest.mark.parametrize("title", ["Ping to alert", "Message to reply", "Start of a session"])
def test_every_function_of_the_page_is_named_once(title: str) -> None:
    hops = road(title)
    assert hops
    assert len(hops) == len(set(hops))
