"""``/api/sessions``: create, list, read, change, delete."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import principal
from bot_service.api.sessions.lookup import integer, problems, session_of
from bot_service.api.sessions.schemas import DEFAULT_OWNER, ChangeSession, CreateSession, SessionPage, session_view
from bot_service.domain.states import State
from bot_service.sessions.commands import NewSession, SessionExists
from bot_service.sessions.registry import Search
from shared.web import body, errors
from shared.web.body import json_response

PAGE = 50
LONGEST_PAGE = 500


async def create(request: web.Request) -> web.Response:
    wish = await body.read(request, CreateSession, optional=True)
    who = principal(request)
    if who.owner is not None and wish.owner not in (None, who.owner):
        raise errors.forbidden("only an administrator makes sessions for another owner")
    new = NewSession(wish.owner or who.owner or DEFAULT_OWNER, wish.id, wish.name, wish.metadata)
    with problems():
        try:
            record = await request.app[keys.SESSIONS].commands.create(new, start=wish.start)
        except SessionExists:
            raise errors.conflict("exists", "a session with this id exists already") from None
    return json_response(session_view(record), status=201, headers={"Location": f"/api/sessions/{record.id}"})


async def index(request: web.Request) -> web.Response:
    """``?limit=&after=&state=&owner=&q=``; ``next`` is the ``after`` of the page that follows."""
    registry = request.app[keys.SESSIONS].registry
    search, limit = _search(request), integer(request, "limit", PAGE, 1, LONGEST_PAGE)
    records, more, total = registry.page(search, after=request.query.get("after"), limit=limit)
    return json_response(SessionPage([session_view(record) for record in records], total, more))


def _search(request: web.Request) -> Search:
    who, query = principal(request), request.query
    state = query.get("state")
    try:
        wanted_state = State(state.upper()) if state else None
    except ValueError:
        raise errors.invalid("state", "must be one of " + ", ".join(State)) from None
    text = query.get("q", "").strip().lower()
    return Search(owner=who.owner or query.get("owner") or None, state=wanted_state, text=text or None)


async def read(request: web.Request) -> web.Response:
    return json_response(session_view(session_of(request)))


async def change(request: web.Request) -> web.Response:
    record = session_of(request)
    wish = await body.read(request, ChangeSession)
    if wish.owner is not None and principal(request).owner not in (None, wish.owner):
        raise errors.forbidden("only an administrator gives a session to another owner")
    with problems():
        changed = await request.app[keys.SESSIONS].commands.change(
            record.id, name=wish.name, owner=wish.owner, metadata=wish.metadata
        )
    return json_response(session_view(changed))


async def delete(request: web.Request) -> web.Response:
    with problems():
        await request.app[keys.SESSIONS].commands.delete(session_of(request).id)
    return web.Response(status=204)
