"""The whole watchdog in one process against a fake bot: sentences of the log, statistics pushed, metrics, its own health."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shared import logs
from shared.settings import load
from tests.support.fake_bot import FakeBot
from tests.support.processes import WATCHDOG_TOKEN
from tests.support.waiting import eventually
from watchdog.app import build_app
from watchdog.ledger.sqlite import open_ledger
from watchdog.parts import PARTS
from watchdog.settings import WatchdogSettings

TOKEN = WATCHDOG_TOKEN
QUICK = {
    "KEEP_ALIVE_START_DELAY": "0",
    "KEEP_ALIVE_INTERVAL": "100",
    "KEEP_ALIVE_RETRY_INTERVAL": "30",
    "KEEP_ALIVE_DOWN_INTERVAL": "50",
    "KEEP_ALIVE_TIMEOUT": "5000",
    "KEEP_ALIVE_PUSH_INTERVAL": "500",
    "WATCHDOG_TOKEN": TOKEN,
}


class Run:
    def __init__(self, app: web.Application, url: str, out: io.StringIO) -> None:
        self.app, self.url, self._out = app, url, out

    @property
    def messages(self) -> list[str]:
        lines = [json.loads(line) for line in self._out.getvalue().splitlines() if line.startswith("{")]
        return [line["message"] for line in lines]

    async def get(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as answer:
            return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())

    async def says(self, sentence: str) -> str:
        found: str = await eventually(
            lambda: next((m for m in self.messages if m.startswith(sentence)), None), what=f"the sentence {sentence!r}"
        )
        return found


@asynccontextmanager
async def running(folder: Path, bot: FakeBot, **environ: str) -> AsyncIterator[Run]:
    out = io.StringIO()
    logs.configure("json", "info", out)
    settings = load(WatchdogSettings, {**QUICK, "BOT_URL": bot.url, "DATA_DIR": str(folder), **environ})
    app = build_app(settings, open_ledger(settings.database_path))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Run(app, f"http://127.0.0.1:{runner.addresses[0][1]}", out)
    finally:
        await runner.cleanup()


@pytest.fixture
async def bot() -> AsyncIterator[FakeBot]:
    async with FakeBot() as fake:
        yield fake


async def test_the_sentences_of_the_original_stand_word_for_word(tmp_path: Path, bot: FakeBot) -> None:
    async with running(tmp_path, bot, KEEP_ALIVE_STATS_EVERY="4") as run:
        await run.says("Keep-alive service started")
        assert (await run.says("Keep-alive ping #1 successful (")).endswith("ms)")
        block = await run.says("Keep-Alive Stats")
        for word in ("Uptime: 0.0 hours", "Total Pings: 4", "Failed Pings: 0", "Success Rate: 100.0%"):
            assert word in block
        bot.health = "500"
        await run.says("ALERT: 3 consecutive keep-alive failures!")
        assert any(m.startswith("Keep-alive ping #") and m.endswith(" failed: http_500") for m in run.messages)


async def test_the_sentence_is_the_same_when_an_announced_stop_made_the_run_longer(
    tmp_path: Path, bot: FakeBot
) -> None:
    async with running(tmp_path, bot) as run:
        await run.says("Heartbeat link is up")
        await run.says("Keep-alive ping #1 successful (")
        await bot.announce_stop(deadline_ms=3000)
        await run.says("Bot announces a planned stop")
        await bot.stop()
        await run.says("ALERT: 3 consecutive keep-alive failures!")
        alert = next(m for m in run.messages if m.startswith("ALERT: "))
        failed = [m for m in run.messages[: run.messages.index(alert)] if " failed: " in m]
        assert len(failed) > 3


async def test_statistics_are_pushed_after_pings_with_the_token_and_in_order(tmp_path: Path, bot: FakeBot) -> None:
    async with running(tmp_path, bot):
        bot.health = "500"
        await eventually(lambda: any(push["failedPings"] for push in bot.pushes), what="a push with a failure")
        bot.health = "ok"
        done = bot.pushes[-1]["pingCount"] + 5
        await eventually(
            lambda: bot.pushes[-1]["pingCount"] >= done and bot.pushes[-1]["state"] == "UP", what="more pushes"
        )
    last = bot.pushes[-1]
    assert [push["sequence"] for push in bot.pushes] == sorted({push["sequence"] for push in bot.pushes})
    assert {push["bootId"] for push in bot.pushes} == {last["bootId"]}
    assert (last["isRunning"], last["state"], last["consecutiveFailures"]) == (True, "UP", 0)
    assert last["failedPings"] >= 1
    assert last["healthUrl"] == bot.url + "/health"
    assert last["lifetime"]["pingCount"] == last["pingCount"]
    assert last["recent"].count(None) == last["failedPings"]
    assert f"Bearer {TOKEN}" in bot.tokens


async def test_counts_begin_anew_at_a_start_and_totals_go_on(tmp_path: Path, bot: FakeBot) -> None:
    async with running(tmp_path, bot):
        await eventually(lambda: bot.pushes and bot.pushes[-1]["pingCount"] >= 5, what="five pings")
    first = bot.pushes[-1]
    bot.pushes.clear()
    async with running(tmp_path, bot):
        await eventually(lambda: bot.pushes and bot.pushes[-1]["pingCount"] >= 2, what="two pings")
    second = bot.pushes[-1]
    assert second["bootId"] != first["bootId"]
    assert second["lifetime"]["pingCount"] >= first["lifetime"]["pingCount"] + second["pingCount"]


async def test_the_metrics_count_pings_and_every_attempt(tmp_path: Path, bot: FakeBot) -> None:
    async with running(tmp_path, bot) as run:
        bot.script = ["500", "500", "ok"]
        await eventually(lambda: bot.pings >= 6, what="pings")
        _, text = await run.get("/metrics")
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values['veilleur_watchdog_ping_attempts_total{outcome="target_fail",target="bot"}']) == 2
    assert float(values['veilleur_watchdog_pings_total{outcome="ok",target="bot"}']) >= 2
    assert float(values['veilleur_watchdog_target_state{state="UP",target="bot"}']) == 1
    assert float(values["veilleur_watchdog_last_cycle_timestamp_seconds"]) > 1_700_000_000


async def test_disabled_it_pings_nothing_and_says_so(tmp_path: Path, bot: FakeBot) -> None:
    async with running(tmp_path, bot, KEEP_ALIVE_ENABLED="false") as run:
        await run.says("Keep-alive service is disabled")
        await eventually(lambda: bot.pushes, what="a push")
        status, health = await run.get("/health")
        assert (status, health["status"]) == (200, "disabled")
        assert (bot.pushes[-1]["isRunning"], bot.pushes[-1]["pingCount"], bot.pings) == (False, 0, 0)


async def test_it_is_unhealthy_while_its_ledger_fails_and_alerts_all_the_same(tmp_path: Path, bot: FakeBot) -> None:
    async with running(tmp_path, bot) as run:
        await run.says("Keep-alive ping #1")
        ledger = run.app[PARTS].base.ledger
        await ledger.write(lambda c: c.execute("ALTER TABLE result RENAME TO gone"))
        bot.health = "500"

        async def unhealthy() -> bool:
            status, health = await run.get("/health")
            return status == 503 and "ledger" in health["reasons"]

        await eventually(unhealthy, what="503")
        await run.says("ALERT: 3 consecutive keep-alive failures!")
        with closing(sqlite3.connect(tmp_path / "watchdog.db")) as connection:
            connection.execute("ALTER TABLE gone RENAME TO result")

        async def healthy() -> bool:
            return (await run.get("/health"))[0] == 200

        await eventually(healthy, what="200")


@pytest.mark.parametrize(
    "stand_in", ["html", "json", "404", "watchdog", "proxy-401", "proxy-403", "proxy-407", "proxy-429"]
)
async def test_what_answers_in_place_of_a_dead_bot_is_not_the_bot(tmp_path: Path, bot: FakeBot, stand_in: str) -> None:
    async with running(tmp_path, bot) as run:
        await run.says("Keep-alive ping #1 successful (")
        await bot.stop()
        bot.health, bot.beats = stand_in, "absent"
        await bot.start()
        await run.says("ALERT: 3 consecutive keep-alive failures!")
        reason = "a_watchdog" if stand_in == "watchdog" else "not_the_bot"
        assert any(message.endswith(f" failed: {reason}") for message in run.messages)


@pytest.mark.parametrize("token", [None, "another-token-0123456789"])
async def test_an_imitation_of_a_dead_bot_is_told_and_is_no_restart(
    tmp_path: Path, bot: FakeBot, token: str | None
) -> None:
    async with running(tmp_path, bot) as run:
        await run.says("Keep-alive ping #1 successful (")
        await bot.stop()
        bot.token, bot.boot_id, bot.beats = token, "imitation", "absent"
        await bot.start()
        await run.says("ALERT: refused (unproven)")
        assert not any("restarted" in message for message in run.messages)


@pytest.mark.parametrize("health", ["hang", "drop", "html"])
async def test_pings_that_fail_while_the_heartbeat_goes_on_are_no_down_until_it_stops(
    tmp_path: Path, bot: FakeBot, health: str
) -> None:
    async with running(tmp_path, bot, KEEP_ALIVE_TIMEOUT="500") as run:
        await run.says("Heartbeat link is up")
        await run.says("Keep-alive ping #1 successful (")
        bot.health = health
        await run.says("ALERT: unanswered (")
        failed = bot.pings
        await eventually(lambda: bot.pings > failed + 5, what="more failed pings")
        assert not any("consecutive" in message for message in run.messages)
        bot.beats = "silent"
        await run.says("ALERT: 3 consecutive keep-alive failures!")


async def test_a_refusal_is_told_as_one_and_a_restart_as_one(tmp_path: Path, bot: FakeBot) -> None:
    # The bot is back before three pings so far apart have missed it.
    bot.health, bot.beats = "401", "absent"
    async with running(tmp_path, bot, KEEP_ALIVE_RETRY_INTERVAL="1000") as run:
        await run.says("ALERT: refused (refused_401)")
        bot.health = "ok"
        await run.says("Incident over")
        await bot.restart()
        await run.says("Bot restarted on its own")
        await asyncio.sleep(0)
        assert not any("consecutive" in message for message in run.messages)


async def test_two_bots_are_watched_side_by_side(tmp_path: Path, bot: FakeBot) -> None:
    async with FakeBot() as other, running(tmp_path, bot, BOT_URL="", BOT_URLS=f"{bot.url},{other.url}") as run:
        other.health = "500"
        await run.says("ALERT: 3 consecutive keep-alive failures! [bot-2]")
        assert run.app[PARTS].pipeline.state("bot").incidents == ()
        await eventually(lambda: bot.pushes and other.pushes, what="pushes to both")
