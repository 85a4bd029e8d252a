"""Background loops: a crash is named, restarted, and forgotten only after it ran well."""

from __future__ import annotations

import asyncio

import pytest

from shared.clock import SystemClock
from shared.tasks import TaskGroupOfLoops
from tests.support.waiting import eventually


async def test_a_crashed_loop_is_named_restarted_and_forgiven_when_it_runs() -> None:
    runs: list[int] = []

    async def loop() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("first run fails")
        await asyncio.Event().wait()

    loops = TaskGroupOfLoops(SystemClock(), restart_delay_s=0.01)
    loops.start("cleanup", loop)
    try:
        await eventually(lambda: loops.dead() == {"cleanup": "RuntimeError"}, what="the crash by name")
        await eventually(lambda: len(runs) == 2, what="the restart")
        await eventually(lambda: not loops.dead(), what="forgiveness")
    finally:
        await loops.stop()


async def test_a_name_is_taken_once_and_stop_waits_for_all() -> None:
    ended: list[str] = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("x")

    loops = TaskGroupOfLoops(SystemClock())
    loops.start("x", loop)
    with pytest.raises(ValueError, match="already running"):
        loops.start("x", loop)
    await asyncio.sleep(0)
    await loops.stop()
    assert ended == ["x"]
