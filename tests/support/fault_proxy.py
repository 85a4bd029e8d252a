"""Stands between the watchdog and the bot and makes the answers of /health wrong or slow on command."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from aiohttp import web


@dataclass
class FaultProxy:
    """Passes everything through to ``target``; ``fault`` is empty, a status (``500``) or ``slow`` (15 s)."""

    target: str
    fault: str = ""
    url: str = ""
    _runner: web.AppRunner | None = None
    _http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> FaultProxy:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        assert self._http is not None
        await self._runner.cleanup()
        await self._http.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self._http is not None
        if request.path == "/health" and self.fault == "slow":
            await asyncio.sleep(15)
        elif request.path == "/health" and self.fault:
            return web.json_response({}, status=int(self.fault))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "connection")}
        body = await request.read()
        try:
            async with self._http.request(
                request.method, self.target + request.path_qs, headers=headers, data=body, allow_redirects=False
            ) as answer:
                kept = {n: v for n, v in answer.headers.items() if n.lower() in ("content-type", "cache-control")}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)
