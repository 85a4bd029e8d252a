"""One-way silence with the real engine: the server takes everything and answers pings, but delivers nothing. On a faster clock
the service notices by messages that stay without a receipt, takes the first recovery step, and hears again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from bot_service.app import build_app
from bot_service.engines.pool.policy import PoolPolicy
from bot_service.engines.pool.pool import WorkerPool
from shared.clock import SystemClock
from tests.fake_whatsapp.remote import Remote
from tests.support import bot_app
from tests.support.fast_clock import FastClock
from tests.support.waiting import eventually

pytestmark = [pytest.mark.wire, pytest.mark.system, pytest.mark.timeout(300), pytest.mark.deep]
BOT, FRIENDS = "15550001", ("15550002", "15550003", "15550004")
# The service waits 150 s for a receipt, checks every session every few seconds, and takes the first step 5 s later.
NOTICED_S, HEALED_S = 300.0, 480.0
# Waiting is fast; what a worker and the server do takes real time: a QR code lives for seconds, a login takes some.
WAITING, WORKING = 20, 4


async def test_one_way_silence_is_noticed_and_healed(tmp_path: Path, server: Remote) -> None:
    policy = PoolPolicy(
        engine="neonize",
        data_dir=tmp_path,
        command=(sys.executable, "-m", "tests.fake_whatsapp.worker"),
        environment=server.environment(),
    )
    clock = FastClock()
    env = {"ENGINE": "neonize", "WHATSAPP_PROXY": server.proxy, "FRAME_FRESH_FOR": "1h", "SESSION_START_TIMEOUT": "10m"}
    app = build_app(bot_app.settings(tmp_path, **env), pool=WorkerPool(policy, SystemClock()), clock=clock)
    async with TestClient(TestServer(app)) as http:
        bot = bot_app.Bot(app, http, None)  # type: ignore[arg-type]
        await bot.call("POST", "/api/sessions", {"id": "s"})

        async def code() -> str | None:
            status, body = await bot.call("GET", "/api/sessions/s/qr")
            return body["qr"] if status == 200 else None

        async def is_ready() -> bool:
            return bool((await bot.call("GET", "/api/sessions/s"))[1]["state"] == "READY")

        await server("scan", code=await eventually(code, what="a code"), number=BOT)
        await eventually(is_ready, what="READY")
        for friend in FRIENDS:
            await server("account", number=friend)
        await server("hush", number=BOT)
        begun = clock.monotonic()
        await server("send", sender=FRIENDS[0], chat=BOT, body="can you hear me?")
        for index, friend in enumerate(FRIENDS):
            status, answer = await bot.call("POST", "/api/sessions/s/messages", {"to": friend, "text": f"hi {index}"})
            assert status < 300, answer
        clock.run_at(WAITING)

        async def suspected() -> bool:
            changes = str((await bot.call("GET", "/api/sessions/s/transitions"))[1])
            return "receive_suspected" in changes

        await eventually(suspected, what="the suspicion")
        noticed = clock.monotonic() - begun
        clock.run_at(WORKING)

        async def heard() -> bool:
            return "can you hear me?" in str((await bot.call("GET", "/api/sessions/s/messages"))[1])

        await eventually(heard, what="the message that was held back")
        await eventually(is_ready, what="READY again")
        healed = clock.monotonic() - begun
        print(f"noticed after {noticed:.0f} s, healed after {healed:.0f} s of the service's time")
        assert noticed <= NOTICED_S
        assert healed <= HEALED_S
