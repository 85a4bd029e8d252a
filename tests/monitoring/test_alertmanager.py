"""The example of Alertmanager: accepted by amtool, routed as it says, and delivered by the real program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.monitoring import MONITORING, Alertmanager
from tests.support.receiver import Receiver

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(
        shutil.which("prometheus-alertmanager") is None, reason="needs prometheus-alertmanager (.ci/run installs it)"
    ),
]
CONFIG = f"--config.file={MONITORING / 'alertmanager.yml'}"


def _amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_amtool_accepts_it() -> None:
    assert "SUCCESS" in _amtool("check-config", str(MONITORING / "alertmanager.yml"))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=VeilleurBotDown", "severity=page"], "page"),
        (["alertname=VeilleurDeadLetters", "severity=ticket"], "ticket"),
        (["alertname=VeilleurIncident", "severity=page", "kind=down"], "page"),
        (["alertname=VeilleurIncident", "severity=ticket", "kind=degraded"], "ticket"),
        (["alertname=VeilleurEvent", "severity=page", "kind=was_down"], "event"),
        (["alertname=Watchdog", "severity=none"], "dead-mans-switch"),
        (["alertname=AnythingElse"], "ticket"),
    ],
)
def test_each_severity_goes_to_its_receiver(labels: list[str], receiver: str) -> None:
    assert _amtool("config", "routes", "test", CONFIG, *labels) == receiver


async def test_a_page_leaves_through_the_real_program_and_what_it_explains_is_held_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    server = Alertmanager(tmp_path / "alertmanager", receiver.url)
    server.start()
    try:
        await server.ready()
        await server.raise_alert(alertname="VeilleurBotDown", severity="page", target="bot")
        await receiver.wait_for(lambda body: _names(body) == ["VeilleurBotDown"])
        await server.raise_alert(alertname="VeilleurMostSessionsNotReady", severity="page")
        await server.raise_alert(alertname="VeilleurDeadLetters", severity="ticket")
        ticket = await receiver.wait_for(lambda body: _names(body) == ["VeilleurDeadLetters"])
    finally:
        server.close()

    assert ticket.path == "/ticket"
    sent = {name for request in receiver.requests for name in _names(request.json)}
    assert sent == {"VeilleurBotDown", "VeilleurDeadLetters"}, "a dead service explains sessions that are not ready"


def _names(body: Any) -> list[str]:
    return [alert["labels"]["alertname"] for alert in body["alerts"]]
