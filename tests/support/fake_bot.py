"""A bot that is a real HTTP server on loopback and answers as a test says; also ``python -m tests.support.fake_bot``.

It speaks what the watchdog uses: ``/health``, ``/api/heartbeat``, ``/api/keepalive``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from shared.contract.heartbeat import Beat, ComponentShares, SessionShares, Stopping
from shared.contract.identity import BOT, CHALLENGE_HEADER, Identity
from shared.settings import Secret
from tests.support.processes import WATCHDOG_TOKEN


@dataclass
class FakeBot:
    """``health`` is ok, hang, drop or a status as text (``500``); ``slow_s`` delays every answer of /health.

    ``health`` may also be html (a page of a proxy), json (one of another program), watchdog, or
    ``proxy-403``: a status of something in front of the bot, without its identity.
    ``beats`` is on, silent or absent (404). ``token`` is WATCHDOG_TOKEN; an old bot has None and
    proves nothing. ``status`` is that of the body of a 200.
    """

    health: str = "ok"
    slow_s: float = 0.0
    beats: str = "on"
    beat_s: float = 0.05
    token: str | None = WATCHDOG_TOKEN
    status: str = "ok"
    boot_id: str = field(default_factory=lambda: secrets.token_hex(8))
    sessions: SessionShares = field(default_factory=lambda: SessionShares(0, 0, 0, 0, {}))
    components: tuple[ComponentShares, ...] = ()
    pings: int = 0
    pushes: list[dict[str, Any]] = field(default_factory=list)
    push_status: int = 200
    tokens: list[str] = field(default_factory=list)
    port: int = 0
    script: list[str] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _streams: set[web.StreamResponse] = field(default_factory=set)
    _sequence: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> FakeBot:
        """Listen; on the same port again after :meth:`stop`."""
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/api/heartbeat", self._heartbeat)
        app.router.add_post("/api/keepalive", self._keepalive)
        app.router.add_get("/pushes", self._pushes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Be gone: nothing listens any more, every stream breaks."""
        if self._runner is not None:
            for stream in list(self._streams):
                with contextlib.suppress(AttributeError):
                    stream._req.transport.abort()  # type: ignore[union-attr]
            await self._runner.cleanup()
            self._runner = None

    async def restart(self, gone_s: float = 0.0) -> None:
        """Stop, and come back as a new boot."""
        await self.stop()
        await asyncio.sleep(gone_s)
        self.boot_id = secrets.token_hex(8)
        await self.start()

    async def __aenter__(self) -> FakeBot:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def announce_stop(self, deadline_ms: int) -> None:
        """Send ``stopping`` on every open heartbeat."""
        stopping = Stopping(boot_id=self.boot_id, deadline_ms=deadline_ms)
        for stream in list(self._streams):
            await stream.write(b"event: stopping\ndata: " + msgspec.json.encode(stopping) + b"\n\n")

    async def _health(self, request: web.Request) -> web.StreamResponse:
        ping = request.headers.get("Connection") == "close" and CHALLENGE_HEADER in request.headers
        self.pings += ping
        how = self.script.pop(0) if self.script and ping else self.health
        if not ping and how.isdigit() and how != "404":
            how = "ok"
        if self.slow_s and ping:
            await asyncio.sleep(self.slow_s)
        if how == "hang":
            await asyncio.Event().wait()
        if how == "drop":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if how == "html":
            return web.Response(text="<html><h1>We are back soon</h1></html>", content_type="text/html")
        if how == "json":
            return web.json_response({"status": "ok"})
        if how.startswith("proxy-"):
            return web.Response(text="<html>no entry</html>", status=int(how[6:]), content_type="text/html")
        if how == "watchdog":
            return web.json_response({"status": "ok", "bootId": "w1", "lastCycleAge": 5})
        proof = None
        if self.token is not None:
            proof = Identity(Secret(self.token)).proof(BOT, self.boot_id, request.headers.get(CHALLENGE_HEADER))
        identity = {"bootId": self.boot_id} | ({} if proof is None else {"proof": proof})
        if how != "ok":
            return web.json_response({"status": "unhealthy", "reasons": ["asked for"], **identity}, status=int(how))
        version = {"version": "2.3000.1047769893", "source": "published", "ageDays": 12.3, "outdated": False}
        return web.json_response(
            {
                "status": self.status,
                "uptime": 1,
                "version": "0",
                **identity,
                "sessions": {"total": 0, "ready": 0},
                "clientVersion": version,
            }
        )

    async def _heartbeat(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.beats == "absent":
            return web.json_response({}, status=404)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        self._streams.add(stream)
        try:
            while True:
                if self.beats == "on":
                    self._sequence += 1
                    beat = Beat(
                        self.boot_id,
                        self._sequence,
                        int(self.beat_s * 1000),
                        1,
                        0,
                        self.sessions,
                        components=self.components,
                    )
                    await stream.write(b"event: beat\ndata: " + msgspec.json.encode(beat) + b"\n\n")
                await asyncio.sleep(self.beat_s)
        finally:
            self._streams.discard(stream)

    async def _keepalive(self, request: web.Request) -> web.StreamResponse:
        self.pushes.append(await request.json())
        return web.json_response({"accepted": True, "sequence": self.pushes[-1]["sequence"]}, status=self.push_status)

    async def _pushes(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self.pushes)


async def _main() -> None:
    bot = FakeBot(port=int(os.environ["PORT"]), beat_s=int(os.environ.get("HEARTBEAT_INTERVAL", "2000")) / 1000)
    bot.beats = os.environ.get("BEATS", "on")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await bot.start()
    print(json.dumps({"message": "fake bot runs", "port": bot.port}), flush=True)
    await stop.wait()
    await bot.stop()


if __name__ == "__main__":
    asyncio.run(_main())
