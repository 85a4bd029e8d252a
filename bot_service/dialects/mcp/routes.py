"""``/mcp``: the Model Context Protocol by streamable HTTP, when its SDK is installed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aiohttp import web

from bot_service.access.principals import Scope
from shared.web import errors

if TYPE_CHECKING:
    from bot_service.dialects.mcp.server import McpServer

PATH = "/mcp"
_INSTALL = "the Model Context Protocol needs the extra veilleur[mcp]: pip install 'mcp>=2.3' beside the bot service"


class _Started:
    """Loads the SDK for the first request: it takes a second, and 40 MB that most services never need."""

    def __init__(self) -> None:
        self._server: McpServer | None = None
        self._starting = asyncio.Lock()

    async def server(self) -> McpServer:
        async with self._starting:
            if self._server is None:
                # Not in the thread of the loop, which nothing may hold for so long.
                module = await asyncio.to_thread(importlib.import_module, "bot_service.dialects.mcp.server")
                server: McpServer = module.McpServer()
                await server.start()
                self._server = server
        return self._server

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()


_STARTED: web.AppKey[_Started] = web.AppKey("mcp", _Started)


def mount(app: web.Application, scopes: dict[tuple[str, str], Scope]) -> None:
    """Add the route to ``app``, and its scope to the table of its gate."""
    scopes["POST", PATH] = Scope.READ
    app.router.add_post(PATH, _handle)
    app.cleanup_ctx.append(_running)


async def _running(app: web.Application) -> AsyncIterator[None]:
    app[_STARTED] = _Started()
    yield
    await app[_STARTED].close()


async def _handle(request: web.Request) -> web.StreamResponse:
    if find_spec("mcp") is None:
        raise errors.Problem(501, "not_installed", _INSTALL)
    return await (await request.app[_STARTED].server()).handle(request)
