"""The unit files of docs/systemd, as systemd reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot_service.settings import BotSettings
from shared.settings import load
from tests.support.processes import ROOT
from tests.support.service_manager import INSTALLED, UNITS, environment, unit
from watchdog.settings import WatchdogSettings

NAMES = ["bot", "watchdog"]
GUIDE = (ROOT / "docs" / "systemd.md").read_text(encoding="utf-8")
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (.ci/run installs systemd)"
)


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """Both units with this checkout and its interpreter in place of /opt/veilleur."""
    made = []
    for name in NAMES:
        text = (UNITS / f"veilleur-{name}.service").read_text(encoding="utf-8")
        text = text.replace(f"{INSTALLED}/.venv/bin/python", sys.executable).replace(INSTALLED, str(ROOT))
        made.append(tmp_path / f"veilleur-{name}.service")
        made[-1].write_text(text, encoding="utf-8")
    return made


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_systemd_finds_nothing_wrong_in_the_units(installed: list[Path]) -> None:
    ended = analyze("verify", *installed)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@needs_systemd
def test_systemd_would_find_a_mistake(installed: list[Path]) -> None:
    installed[0].write_text(installed[0].read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("verify", *installed).stderr


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_rates_the_confinement_as_good(installed: list[Path], name: str) -> None:
    ended = analyze("security", "--offline=true", installed[NAMES.index(name)])
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", ended.stdout)
    assert exposure is not None, ended.stdout + ended.stderr
    # Of 10; 9.6 without any limit. What is left is the network, which the programs need.
    assert float(exposure[1]) < 2.0


@pytest.mark.parametrize("name", NAMES)
def test_the_limits_fit_to_what_the_program_does_itself(name: str) -> None:
    service = unit(name)
    settings = load(BotSettings if name == "bot" else WatchdogSettings, {})
    # First the program's own guard, which writes the stacks; then systemd.
    assert int(service["WatchdogSec"]) * 1000 > settings.stall_exit_ms > settings.stall_dump_ms
    assert (service["Type"], service["Restart"], service["RestartPreventExitStatus"]) == ("notify", "always", "2")
    assert service["User"] == "veilleur"
    assert service["ProtectSystem"] == "strict"


def test_both_units_share_the_secrets_and_each_has_a_folder_of_its_own() -> None:
    bot, watchdog = (environment(name, Path("/var/lib/veilleur")) for name in NAMES)
    assert bot["SECRETS_DIR"] == watchdog["SECRETS_DIR"]
    assert bot["DATA_DIR"] != watchdog["DATA_DIR"]
    for name, given in zip(NAMES, (bot, watchdog), strict=True):
        made = {f"/var/lib/{folder}" for folder in unit(name)["StateDirectory"].split()}
        assert {given["DATA_DIR"], given["SECRETS_DIR"]} <= made
    settings = load(WatchdogSettings, watchdog)
    assert settings.bot_url == f"http://127.0.0.1:{bot['PORT']}"


def test_the_guide_names_the_values_of_the_units() -> None:
    for name in NAMES:
        for folder in unit(name)["StateDirectory"].split()[1:]:
            assert f"`/var/lib/{folder}`" in GUIDE
        assert f"/etc/veilleur/{name}.env" in unit(name)["EnvironmentFile"]
        assert f"`/etc/veilleur/{name}.env`" in GUIDE
    assert f"`WatchdogSec` ({unit('bot')['WatchdogSec']} s)" in GUIDE
    assert f"`TimeoutStopSec` ({unit('bot')['TimeoutStopSec']} s)" in GUIDE
