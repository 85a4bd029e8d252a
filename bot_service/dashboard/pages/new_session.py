"""``/new``: the form for a new session."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from bot_service import keys
from bot_service.dashboard.context import render
from bot_service.dashboard.guard import Form
from bot_service.dashboard.login import Login
from bot_service.sessions.commands import CreateSession
from shared.web import body


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    values = {name: request.query.get(name, "")[:200] for name in ("name", "id", "owner")}
    return render(request, login, "new.html", values=values, may_choose_owner=login.principal.owner is None)


async def create(request: web.Request, login: Login, form: Form) -> str:
    given = {name: str(form.get(name, "")).strip() for name in ("id", "name", "owner")}
    wanted = body.convert({name: value for name, value in given.items() if value}, CreateSession)
    record = await request.app[keys.SESSIONS].commands.create(login.principal, wanted)
    return f"/sessions/{quote(record.id, safe='')}"
