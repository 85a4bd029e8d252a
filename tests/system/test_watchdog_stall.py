"""A watchdog whose event loop hangs says so from a thread, writes all stacks and ends, so that it is restarted."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from shared.loop_guard import EXIT_STALLED
from tests.support import processes
from tests.support.processes import Program
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.deep]


@pytest.mark.long
async def test_a_hanging_loop_is_answered_for_dumped_and_ended(tmp_path: Path) -> None:
    ordinary = processes.watchdog(
        tmp_path, "http://127.0.0.1:9", LOOP_STALL_DUMP="2000", LOOP_STALL_EXIT="20000", KEEP_ALIVE_ENABLED="false"
    )
    dog = Program("tests.support.stalling_watchdog", ordinary.env, log=ordinary.log)
    dog.start()
    try:
        await dog.ready("/livez")

        async def stalled() -> bool:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http,
                http.get(dog.url + "/livez") as answer,
            ):
                return answer.status == 503 and (await answer.json())["status"] == "stalled"

        async def looks() -> bool:
            try:
                return await stalled()
            except (aiohttp.ClientError, TimeoutError):
                return False

        await eventually(looks, every_s=0.2, what="the thread's answer on /livez")
        assert await dog.exit_code() == EXIT_STALLED
    finally:
        dog.close()
    output = dog.output()
    assert "Event loop has not turned" in output
    assert "stalling_watchdog.py" in output or "Current thread" in output or "Thread 0x" in output
