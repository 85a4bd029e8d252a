"""The handlers of sessions: create, list, read, change, delete, commands, health, transitions."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.server.request import page_limit, session_of
from bot_service.api.sessions.views import (
    AttentionList,
    SessionPage,
    Simulated,
    TransitionList,
    attention_view,
    health_view,
    session_view,
    transition_view,
)
from bot_service.domain.refused import invalid, not_found
from bot_service.domain.session_record import CommandKind
from bot_service.domain.states import State
from bot_service.sessions.commands import ChangeSession, CreateSession
from bot_service.sessions.registry import Search
from shared.web import body
from shared.web.body import json_response
from shared.web.middleware import Handler


async def create(request: web.Request) -> web.Response:
    wanted = await body.read(request, CreateSession, optional=True)
    record = await request.app[keys.SESSIONS].commands.create(principal(request), wanted)
    return json_response(session_view(record), status=201, headers={"Location": f"/api/sessions/{record.id}"})


async def index(request: web.Request) -> web.Response:
    """``next`` is the ``after`` of the page that follows."""
    search, after, limit = _search(request), request.query.get("after"), page_limit(request)
    records, following, total = request.app[keys.SESSIONS].queries.page(
        principal(request), search, after=after, limit=limit
    )
    return json_response(SessionPage([session_view(record) for record in records], total, following))


def _search(request: web.Request) -> Search:
    query = request.query
    state = query.get("state", "").upper()
    if state and state not in State.__members__:
        raise invalid("state", "must be one of " + ", ".join(State))
    text = query.get("q", "").strip().lower()
    return Search(owner=query.get("owner") or None, state=State(state) if state else None, text=text or None)


async def read(request: web.Request) -> web.Response:
    return json_response(session_view(session_of(request)))


async def change(request: web.Request) -> web.Response:
    session = session_of(request).id
    wanted = await body.read(request, ChangeSession)
    changed = await request.app[keys.SESSIONS].commands.change(principal(request), session, wanted)
    return json_response(session_view(changed))


async def delete(request: web.Request) -> web.Response:
    await request.app[keys.SESSIONS].commands.delete(session_of(request).id)
    return web.Response(status=204)


def command(kind: CommandKind) -> Handler:
    """The handler of START, STOP or RESTART."""

    async def handler(request: web.Request) -> web.StreamResponse:
        record = await request.app[keys.SESSIONS].commands.command(session_of(request).id, kind)
        return json_response(session_view(record))

    return handler


async def logout(request: web.Request) -> web.Response:
    record = await request.app[keys.SESSIONS].commands.logout(session_of(request).id)
    return json_response(session_view(record))


async def simulate(request: web.Request) -> web.Response:
    """404 with any other engine than the simulator."""
    if request.app[keys.SETTINGS].engine != "simulator":
        raise not_found("this path with this engine")
    session = session_of(request).id
    args = await body.read(request, dict[str, Any])
    action = args.pop("action", None)
    if not isinstance(action, str) or not action:
        raise invalid("action", "is needed, as a text")
    result = await request.app[keys.SESSIONS].commands.simulate(session, action, args)
    return json_response(Simulated(msgspec.to_builtins(result)))


async def health(request: web.Request) -> web.Response:
    record = session_of(request)
    return json_response(health_view(record, request.app[keys.SESSIONS].queries.health(record)))


async def transitions(request: web.Request) -> web.Response:
    record = session_of(request)
    kept = await request.app[keys.SESSIONS].queries.transitions(record)
    return json_response(TransitionList(record.id, [transition_view(change) for change in kept]))


async def attention(request: web.Request) -> web.Response:
    found = request.app[keys.OPERATIONS].attention.of_owner(principal(request).owner)
    return json_response(AttentionList([attention_view(record, link) for record, link in found]))
