"""``GET /live``: what happens, line by line, from the same stream that keeps the other pages fresh."""

from __future__ import annotations

from aiohttp import web

from bot_service.dashboard.context import DESK
from bot_service.dashboard.login import Login
from bot_service.dashboard.page_context import base_context


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    return request.app[DESK].pages.render(request, "live.html", **base_context(request, login))
