"""A real Prometheus over the real programs: both scraped, every panel and every rule has something to look at."""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.monitoring import MONITORING, Alertmanager, Prometheus
from tests.support.processes import Client, Program, bot, watchdog
from tests.support.receiver import Receiver
from tests.support.sessions import scanned
from tests.support.waiting import eventually

pytestmark = [pytest.mark.prometheus, pytest.mark.system, pytest.mark.xdist_group("prometheus")]

BOARD = json.loads((MONITORING / "grafana" / "boards" / "veilleur.json").read_text(encoding="utf-8"))
# What Grafana fills in; the range is long enough for every rate.
VARIABLES = {"$__rate_interval": "1m", "$__range": "5m"}
# Gauges that have a series only while something is wrong.
LABELLED_GAUGES = {"veilleur_bot_client_version_builtin_used", "veilleur_watchdog_peer_up"}


@dataclass(frozen=True)
class Running:
    bot: Program
    watchdog: Program
    prometheus: Prometheus


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both programs with one session that was paired and got a message, and a Prometheus that has scraped it.

    Only the real engine announces a client version, so a second bot service without sessions is scraped too.
    """
    folder = tmp_path_factory.mktemp("live")
    service = bot(folder)
    real = bot(folder, name="real", ENGINE="neonize", WHATSAPP_VERSION="builtin")
    both = f"{service.url},{real.url}"
    guard = watchdog(
        folder,
        "",
        BOT_URLS=both,
        KEEP_ALIVE_INTERVAL="1s",
        KEEP_ALIVE_PUSH_INTERVAL="1s",
        REMEDIATION="bot",
        # All is well on a slow machine too: an answer that is late is an answer.
        KEEP_ALIVE_TIMEOUT="60s",
        KEEP_ALIVE_FAILURE_THRESHOLD="100",
    )
    prometheus = Prometheus(
        folder / "prometheus",
        {
            "veilleur-bot": [f"127.0.0.1:{service.port}", f"127.0.0.1:{real.port}"],
            "veilleur-watchdog": [f"127.0.0.1:{guard.port}"],
        },
    )
    for program in (service, real):
        program.start()
    try:
        asyncio.run(_prepare(service, real, guard, prometheus))
        yield Running(service, guard, prometheus)
    finally:
        for ended in (prometheus, guard, real, service):
            ended.close()


async def _prepare(service: Program, real: Program, guard: Program, prometheus: Prometheus) -> None:
    await service.ready()
    await real.ready()
    # A bot that is not there yet would be a bot that is down.
    guard.start()
    prometheus.start()
    await guard.ready()
    await prometheus.ready()
    async with Client(service.url) as client:
        await client.post("/api/sessions", {"id": "alice"})

        await scanned(client, "alice")
        for number in range(3):
            await client.post(
                "/api/sessions/alice/simulate",
                {"action": "message", "from": "33600000001", "text": f"hello {number}"},
            )
            await client.post("/api/sessions/alice/messages", {"to": "33600000001", "text": f"hello {number}"})

    async def scraped() -> bool:
        pings = await prometheus.value("min(count_over_time(veilleur:target_known[1m]))")
        return bool(pings and pings >= 5 and await prometheus.value("sum(veilleur_bot_messages_in_total)"))

    await eventually(scraped, every_s=0.5, what="scrapes of both programs and recorded rules")


async def test_both_programs_are_scraped(running: Running) -> None:
    async def scraped() -> bool:
        ups = await running.prometheus.query("up == 1")
        return {sample["metric"]["job"] for sample in ups} >= {"veilleur-bot", "veilleur-watchdog"}

    # A scrape that took longer than its second is the machine's; the next one counts as well.
    await eventually(scraped, every_s=0.5, what="both being up")


@pytest.mark.parametrize("name", ["bot", "watchdog"])
def test_promtool_accepts_what_the_programs_say(running: Running, name: str) -> None:
    program: Program = getattr(running, name)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=asyncio.run(_text(program.url + "/metrics")),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


async def _text(url: str) -> str:
    base, _, path = url.rpartition("/")
    async with Client(base) as client:
        status, text = await client.call("GET", f"/{path}")
        assert status == 200
        return str(text)


def _panels() -> list[Any]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("panel", _panels(), ids=lambda panel: panel["title"])
async def test_no_panel_of_the_board_is_empty(running: Running, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)

        async def drawn(expression: str = expression) -> bool:
            samples = await running.prometheus.query(expression)
            # A quotient of nothing is NaN, which Grafana draws as nothing.
            return any(not math.isnan(float(sample["value"][1])) for sample in samples)

        await eventually(drawn, every_s=0.5, what=f"{panel['title']}: {expression}")


def _metrics_of_the_rules() -> set[str]:
    names: set[str] = set()
    for path in sorted((MONITORING / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                names |= set(re.findall(r"\bveilleur_\w+", rule["expr"]))
    return names


@pytest.mark.parametrize("name", sorted(_metrics_of_the_rules()))
async def test_every_metric_that_a_rule_looks_at_exists(running: Running, name: str) -> None:
    if (name.endswith("_total") or name in LABELLED_GAUGES) and not await running.prometheus.query(name):
        # With labels it has no series before its first event, but it is announced.
        text = await _text(f"{running.bot.url if '_bot_' in name else running.watchdog.url}/metrics")
        assert f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}" in text
        return
    await eventually(lambda: running.prometheus.query(name), every_s=0.5, what=name)


async def test_nothing_fires_while_all_is_well_but_what_always_fires(running: Running) -> None:
    firing = await running.prometheus.query('ALERTS{alertstate="firing"}')
    assert {sample["metric"]["alertname"] for sample in firing} == {"Watchdog"}


async def test_a_killed_bot_reaches_a_webhook_through_prometheus_and_alertmanager(
    tmp_path: Path, receiver: Receiver
) -> None:
    service = bot(tmp_path)
    guard = watchdog(tmp_path, service.url)
    alertmanager = Alertmanager(tmp_path / "alertmanager", receiver.url)
    prometheus = Prometheus(
        tmp_path / "prometheus",
        {"veilleur-bot": [f"127.0.0.1:{service.port}"], "veilleur-watchdog": [f"127.0.0.1:{guard.port}"]},
        f"127.0.0.1:{alertmanager.port}",
    )
    everything = (service, guard, alertmanager, prometheus)
    try:
        for program in everything:
            program.start()
        for program in everything:
            await program.ready()

        async def seen_up() -> bool:
            return await prometheus.value('veilleur_watchdog_target_state{state="UP"}') == 1

        await eventually(seen_up, every_s=0.2, what="UP in Prometheus")
        service.kill()
        # What fires before Prometheus knows its Alertmanager is told a minute later.
        page = await receiver.wait_for(
            lambda body: any(alert["labels"]["alertname"] == "VeilleurBotDown" for alert in body["alerts"]),
            within_s=180,
        )
        assert page.path == "/page"
        assert page.json["status"] == "firing"
        assert page.json["commonAnnotations"]["runbook_url"] == "docs/operations.md#veilleurbotdown"
    finally:
        for program in reversed(everything):
            program.close()
