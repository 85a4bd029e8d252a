"""The whole watchdog inside the test's own loop: the real app with a ledger on disk, on a free port, watching a fake bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from shared.settings import load
from tests.support.processes import WATCHDOG_TOKEN
from watchdog.app import build_app
from watchdog.ledger.sqlite import open_ledger
from watchdog.settings import WatchdogSettings


@dataclass
class RunningWatchdog:
    """``url`` is its base address."""

    url: str
    app: web.Application
    http: aiohttp.ClientSession

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = WATCHDOG_TOKEN, **headers: str
    ) -> tuple[int, Any]:
        """(status, parsed JSON, or text when it is none)."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            if "json" in answer.content_type:
                return answer.status, await answer.json(content_type=None)
            return answer.status, await answer.text()

    async def get(self, path: str) -> Any:
        """The body of a 200, asked for without a token."""
        status, value = await self.call("GET", path, token=None)
        assert status == 200, f"GET {path}: {status} {value}"
        return value


@asynccontextmanager
async def running_watchdog(tmp_path: Path, bot_url: str, **env: str) -> AsyncIterator[RunningWatchdog]:
    """Quick pings, no alerts unless ``env`` says so; on a free port unless ``env`` has PORT."""
    settings = load(
        WatchdogSettings,
        {
            "DATA_DIR": str(tmp_path / "watchdog"),
            "BOT_URL": bot_url,
            "WATCHDOG_TOKEN": WATCHDOG_TOKEN,
            "KEEP_ALIVE_START_DELAY": "0",
            "KEEP_ALIVE_RETRY_INTERVAL": "50",
            "KEEP_ALIVE_DOWN_INTERVAL": "100",
            "KEEP_ALIVE_TIMEOUT": "5000",
            "HEARTBEAT_INTERVAL": "200",
            **env,
        },
    )
    app = build_app(settings, open_ledger(settings.database_path))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", settings.port if "PORT" in env else 0).start()
        async with aiohttp.ClientSession() as http:
            yield RunningWatchdog(f"http://127.0.0.1:{runner.addresses[0][1]}", app, http)
    finally:
        await runner.cleanup()
