"""``POST /api/sessions/{id}/start|stop|restart|logout|simulate``: idempotent, 409 with the state when it is a wrong one."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.sessions.lookup import problems, session_of
from bot_service.api.sessions.schemas import Simulated, session_view
from bot_service.domain.session_record import CommandKind
from shared.web import body, errors
from shared.web.body import json_response
from shared.web.middleware import Handler


def command(kind: CommandKind) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        session = session_of(request).id
        with problems(request):
            record = await request.app[keys.SESSIONS].commands.command(session, kind)
        return json_response(session_view(record))

    return handler


async def logout(request: web.Request) -> web.Response:
    session = session_of(request).id
    with problems(request):
        record = await request.app[keys.SESSIONS].commands.logout(session)
    return json_response(session_view(record))


async def simulate(request: web.Request) -> web.Response:
    """404 with any other engine than the simulator."""
    if request.app[keys.SETTINGS].engine != "simulator":
        raise errors.not_found("this path with this engine")
    session = session_of(request).id
    wish = await body.read(request, dict[str, Any])
    action = wish.pop("action", None)
    if not isinstance(action, str) or not action:
        raise errors.invalid("action", "is needed, as a text")
    with problems(request):
        result = await request.app[keys.SESSIONS].commands.simulate(session, action, wish)
    return json_response(Simulated(msgspec.to_builtins(result)))
