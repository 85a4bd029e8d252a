"""A webhook receiver that is a real HTTP server on loopback, told how to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.waiting import PATIENCE_S, eventually


@dataclass
class Received:
    """One request as it came; ``at`` is the loop's monotonic time in seconds."""

    path: str
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Receiver:
    """``answer`` gets the request and returns (status, JSON or None, headers); 200 when not set. ``hang`` never answers."""

    requests: list[Received] = field(default_factory=list)
    answer: Callable[[Received], tuple[int, Any, dict[str, str]]] | None = None
    hang: bool = False
    url: str = ""
    _runner: web.AppRunner | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> Receiver:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Receiver:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            request.path, dict(request.headers), await request.read(), asyncio.get_running_loop().time()
        )
        self.requests.append(received)
        if self.hang:
            await asyncio.Event().wait()
        status, body, headers = self.answer(received) if self.answer else (200, {}, {})
        return web.json_response(body, status=status, headers=headers)

    async def wait_for(self, match: Callable[[Any], bool], *, within_s: float = PATIENCE_S) -> Received:
        """The first request whose JSON matches."""

        def look() -> Received | None:
            return next((got for got in self.requests if match(got.json)), None)

        found: Received = await eventually(look, within_s=within_s, what="the wanted webhook")
        return found
