"""``make up`` as a person uses it: both programs start, answer, and one Ctrl-C ends both with exit code 0."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.support.processes import ROOT, free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.system


async def _json(url: str) -> dict[str, object] | None:
    async with aiohttp.ClientSession() as http:
        try:
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                found: dict[str, object] = await response.json(content_type=None)
                return found if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


async def test_both_start_answer_and_stop_on_one_ctrl_c(tmp_path: Path) -> None:
    port, watchdog_port = free_port(), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PORT": str(port),
        "WATCHDOG_PORT": str(watchdog_port),
    }
    # What a person writes into .env counts; what stands in the environment counts more.
    (tmp_path / ".env").write_text("ENGINE=simulator\nKEEP_ALIVE_START_DELAY=1000\nPORT=1\nLOG_FORMAT=json\n")
    log = tmp_path / "log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "shared.tools.local_run"], cwd=tmp_path, env=environ, stdout=out, stderr=out
        )
    try:

        async def runs() -> bool:
            assert running.poll() is None, log.read_text()
            keepalive = await _json(f"http://127.0.0.1:{port}/api/keepalive")
            return bool(keepalive and keepalive["isRunning"] and keepalive["pingCount"])

        # 10 s is the promise for the keep-alive; a loaded machine takes longer to start two interpreters.
        await eventually(runs, every_s=0.1, what="isRunning true")
        await eventually(lambda: _json(f"http://127.0.0.1:{watchdog_port}/health"), what="the watchdog's health")

        running.send_signal(signal.SIGINT)
        code = await asyncio.to_thread(running.wait, 90)
    finally:
        if running.poll() is None:
            running.kill()
            running.wait(10)
    assert code == 0, log.read_text()
    assert log.read_text().count('"Stopped"') == 2, log.read_text()
    assert (tmp_path / "data" / "secrets" / "bot-api-key").stat().st_mode & 0o777 == 0o600
