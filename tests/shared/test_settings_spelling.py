"""Misspelt variables are named with what was meant; other programs' variables are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot_service.settings import BotSettings
from shared.settings import environment
from shared.settings_spelling import known, misspelt
from shared.tools.cli.settings import CliSettings
from shared.tools.entrypoint import Folders
from shared.tools.local_run import LocalRunSettings
from tests.support.processes import ROOT, bot, watchdog
from watchdog.settings import WatchdogSettings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BOT_ULR", "BOT_URL"),
        ("KEEP_ALIVE_INTERVALL", "KEEP_ALIVE_INTERVAL"),
        ("KEEPALIVE_INTERVAL", "KEEP_ALIVE_INTERVAL"),
        ("ALERT_URL", "ALERT_URLS"),
        ("alert_urls", "ALERT_URLS"),
        ("DEADMAN_URL_FIL", "DEADMAN_URL_FILE"),
        ("LOGLEVEL", "LOG_LEVEL"),
    ],
)
def test_a_misspelt_variable_is_named_with_what_was_meant(name: str, meant: str) -> None:
    [found] = misspelt(WatchdogSettings, {name: "secret-value", "BOT_URL": "http://127.0.0.1:1"})
    assert str(found) == f"{name} is set but unknown: did you mean {meant}?"


# What shells, containers, systemd, Python and the platforms set.
FOREIGN = set(
    """
HOME HOSTNAME HOSTTYPE LANG LC_ALL LOGNAME MAIL OLDPWD PATH PWD SHELL SHLVL TERM USER TZ EDITOR VIRTUAL_ENV DISPLAY
PYTHONPATH PYTHONUNBUFFERED HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy no_proxy SSL_CERT_FILE
NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_FDS INVOCATION_ID JOURNAL_STREAM STATE_DIRECTORY CREDENTIALS_DIRECTORY
KUBERNETES_PORT KUBERNETES_SERVICE_HOST BOT_PORT BOT_SERVICE_HOST BOT_SERVICE_PORT WATCHDOG_SERVICE_HOST
RAILWAY_ENVIRONMENT RAILWAY_ENVIRONMENT_NAME RAILWAY_PRIVATE_DOMAIN RAILWAY_PROJECT_ID RAILWAY_PROJECT_NAME RAILWAY_REPLICA_ID
RAILWAY_SERVICE_ID RAILWAY_SERVICE_NAME RAILWAY_VOLUME_MOUNT_PATH RAILWAY_VOLUME_NAME RAILWAY_RUN_UID RAILWAY_STATIC_URL
BIND_ADDRESS BOT_MEMORY_LIMIT GRAFANA_PORT PROMETHEUS_PORT ALERTMANAGER_PORT COMPOSE_PROJECT_NAME
""".split()  # noqa: SIM905 - a list of quoted names is harder to read
)


@pytest.mark.parametrize("cls", [BotSettings, WatchdogSettings, LocalRunSettings, CliSettings, Folders])
def test_variables_of_others_are_not_taken_for_misspelt_ones(cls: type) -> None:
    every = known(BotSettings) | known(WatchdogSettings) | known(LocalRunSettings) | known(CliSettings) | FOREIGN
    assert [str(each) for each in misspelt(cls, dict.fromkeys(every, "x"))] == []
    assert misspelt(cls, environment()) == []


def test_no_value_of_a_misspelt_variable_is_shown_beside_the_faults() -> None:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "KEEP_ALIVE_INTERVAL": "banana",
        "ALERT_URL": "slack://private",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "watchdog"], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 2
    assert "KEEP_ALIVE_INTERVAL: got 'banana'" in ended.stderr
    assert "ALERT_URL is set but unknown: did you mean ALERT_URLS?" in ended.stderr
    assert "private" not in ended.stderr + ended.stdout


@pytest.mark.system
async def test_both_programs_warn_at_their_start_and_go_on(tmp_path: Path) -> None:
    async with bot(tmp_path, PUBLIC_ULR="https://bot.example.com").running() as one:
        other = watchdog(tmp_path, one.url, ALERT_URL="slack://private")
        async with other.running():
            warned = {
                program.module: [event for event in program.events() if event.get("event") == "settings.unknown"]
                for program in (one, other)
            }
    assert [event["message"] for event in warned["bot_service"]] == [
        "PUBLIC_ULR is set but unknown: did you mean PUBLIC_URL?"
    ]
    assert [event["message"] for event in warned["watchdog"]] == [
        "ALERT_URL is set but unknown: did you mean ALERT_URLS?"
    ]
    assert warned["watchdog"][0]["level"] == "warning"
