"""``GET /live``: what happens, line by line, from the same stream that keeps the other pages fresh."""

from __future__ import annotations

from aiohttp import web

from bot_service.dashboard.context import render
from bot_service.dashboard.login import Login


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    return render(request, login, "live.html")
