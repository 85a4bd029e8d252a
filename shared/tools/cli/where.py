"""The clients of both programs as the settings name them."""

from __future__ import annotations

from shared.tools.cli.client import Client
from shared.tools.cli.settings import CliSettings, read


def bot(settings: CliSettings | None = None) -> Client:
    found = settings or read()
    return Client(found.bot, found.bot_key(), name="the bot service")


def watchdog(settings: CliSettings | None = None) -> Client:
    found = settings or read()
    return Client(found.watchdog, found.watchdog_key(), name="the watchdog", timeout_s=60.0)
