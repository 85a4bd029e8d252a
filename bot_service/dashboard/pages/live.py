"""``GET /live``: events line by line, from the stream that also refreshes the other pages."""

from __future__ import annotations

from aiohttp import web

from bot_service.dashboard.context import render
from bot_service.dashboard.login import Login


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    return render(request, login, "live.html")
