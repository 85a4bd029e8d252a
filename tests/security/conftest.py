"""Both programs as real processes, once for all tests of this folder, with secrets that can be looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import Program, bot, watchdog

ALERT_SECRET = "alert-url-secret-7f3a91"


@dataclass(frozen=True)
class Running:
    """The two programs and the folder that holds everything they wrote."""

    bot: Program
    watchdog: Program
    folder: Path


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("security")
    service = bot(folder, LOG_LEVEL="debug")
    guard = watchdog(
        folder, service.url, ALERT_URLS=f"json://127.0.0.1:9/{ALERT_SECRET}", LOG_LEVEL="debug", BOT_API_KEY=""
    )
    service.start()
    guard.start()
    try:
        asyncio.run(service.ready())
        asyncio.run(guard.ready())
        yield Running(service, guard, folder)
    finally:
        guard.close()
        service.close()
