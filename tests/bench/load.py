"""Work for the service, made by a process of its own that gives way to every other.

``python -m tests.bench.load create URL COUNT AT_ONCE`` and ``… storm URL SESSIONS RATE SECONDS``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from tests.support.processes import Client


async def create(url: str, count: int, at_once: int) -> None:
    """Sessions ``s0``, ``s1``, …, ``at_once`` of them at a time."""
    numbers = iter(range(count))
    async with Client(url) as client:

        async def some() -> None:
            for number in numbers:
                await client.post("/api/sessions", {"id": f"s{number}"})

        await asyncio.gather(*(some() for _ in range(at_once)))


async def storm(url: str, over: int, rate: int, seconds: int) -> None:
    """``rate`` inbound messages a second for ``seconds``, spread over ``over`` sessions."""
    each = {"action": "message", "count": rate * seconds // over, "rate": rate / over}
    async with Client(url) as client:
        await asyncio.gather(*(client.post(f"/api/sessions/s{number}/simulate", each) for number in range(over)))
    await asyncio.sleep(seconds)


async def run(what: str, *args: str | int) -> None:
    """Do it in another process; returns when it is done."""
    line = [sys.executable, "-m", "tests.bench.load", what, *map(str, args)]
    process = await asyncio.create_subprocess_exec(*line, stdin=subprocess.DEVNULL)
    assert await process.wait() == 0, line


if __name__ == "__main__":
    os.nice(10)
    work: Callable[..., Coroutine[Any, Any, None]] = create if sys.argv[1] == "create" else storm
    asyncio.run(work(sys.argv[2], *map(int, sys.argv[3:])))
