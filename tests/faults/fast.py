"""The whole application with real workers on a clock that runs faster: hours and the defaults of the probe, without the wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from bot_service.app import build_app
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from shared.clock import SystemClock
from tests.faults.scene import Row
from tests.support import bot_app
from tests.support.bot_app import Bot
from tests.support.fast_clock import FastClock
from tests.support.waiting import eventually

# Migrations know one database at a time in a process.
_OPENING = asyncio.Lock()


@asynccontextmanager
async def fast_service(
    folder: Path, factor: float, *sessions: str, per_worker: int = 50, **env: str
) -> AsyncIterator[tuple[Bot, FastClock]]:
    """``sessions`` are READY. Workers live in real time, and so do their frames: only the service's own time is faster."""
    clock = FastClock(factor)
    policy = PoolPolicy(
        engine="simulator",
        data_dir=folder,
        sessions_per_worker=per_worker,
        options={"auto_pair_ms": "50", "frame_ms": "500"},
        pulse_s=0.25,
        log_level="error",
    )
    app = build_app(bot_app.settings(folder, **env), pool=WorkerPool(policy, SystemClock()), clock=clock)
    async with AsyncExitStack() as stack:
        async with _OPENING:
            http = await stack.enter_async_context(TestClient(TestServer(app)))
        bot = Bot(app, http, None)  # type: ignore[arg-type]
        for session in sessions:
            await bot.call("POST", "/api/sessions", {"id": session})
            await eventually(partial(_is_ready, bot, session), what=f"{session} READY")
        yield bot, clock


async def _is_ready(bot: Bot, session: str) -> bool:
    return bool((await bot.call("GET", f"/api/sessions/{session}"))[1].get("state") == "READY")


async def silence_at_the_defaults(folder: Path, heals: str) -> Row:
    """How long one-way silence lasts with ``RECEIVE_PROBE=self`` and nothing else set."""
    async with fast_service(folder, 20, "one", "other", "third", per_worker=2, RECEIVE_PROBE="self") as (bot, clock):
        await bot.call("POST", "/api/sessions/one/simulate", {"action": "silence", "heals": heals})
        await bot.call("POST", "/api/sessions/one/simulate", {"action": "message", "text": "can you hear me?"})
        began = clock.monotonic()

        async def reasons() -> list[str]:
            _, told = await bot.call("GET", "/api/sessions/one/transitions")
            return [change["reason"] for change in told["transitions"]][::-1]

        async def doubted() -> bool:
            return "receive_suspected" in await reasons()

        await eventually(doubted, what="the suspicion")
        noticed_s = clock.monotonic() - began

        async def heard() -> Any:
            return (await bot.call("GET", "/api/sessions/one/messages"))[1]["messages"]

        await eventually(heard, what="the message that was held back")
        healed_s = clock.monotonic() - began
        steps = [reason for reason in await reasons() if reason in ("reconnect", "rebuild", "recycle_worker")]
        status, _ = await bot.call("GET", "/health", key=None)
        assert status == 200
        assert noticed_s < 300, noticed_s
        assert healed_s < 480, healed_s
    return Row(f"noticed after {noticed_s:.0f} s; {', '.join(steps)}", healed_s, "receives again", "health 200")
