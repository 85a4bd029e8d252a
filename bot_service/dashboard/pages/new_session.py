"""``GET /new``: the form for a new session."""

from __future__ import annotations

from aiohttp import web

from bot_service.dashboard.context import DESK
from bot_service.dashboard.login import Login
from bot_service.dashboard.page_context import base_context


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    values = {name: request.query.get(name, "")[:200] for name in ("name", "id", "owner")}
    return request.app[DESK].pages.render(
        request,
        "new.html",
        **base_context(request, login),
        values=values,
        may_choose_owner=login.principal.owner is None,
    )
