"""``GET /api/events``: server-sent events in order, resumable by Last-Event-ID."""

from __future__ import annotations

from contextlib import aclosing
from fnmatch import fnmatchcase

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal, Scope
from bot_service.api.server.access import principal
from bot_service.domain.refused import Refused, invalid
from bot_service.events.ids import is_event_id
from bot_service.events.stream import StoredEvent
from bot_service.events.subscriptions import unknown_patterns
from shared import sse
from shared.web import auth

KEEP_ALIVE_S = 15.0
READERS = 500
FROM_THE_BEGINNING = "0" * 18


async def stream(request: web.Request) -> web.StreamResponse:
    """An event ``gap`` says that older events are gone. Last-Event-ID ``0`` begins with the oldest."""
    events, last = request.app[keys.EVENTS].stream, _last_event_id(request)
    if events.readers >= READERS:
        raise Refused("too_many_readers", "so many readers of events are connected already")
    patterns = [name for name in request.query.get("types", "*").split(",") if name]
    unknown = unknown_patterns(patterns)
    if unknown:
        raise invalid("types", f"no event is called {unknown[0]}")
    begin = last if last is not None else await events.newest_id()
    response = await sse.open_response(request, sse.retry(2000))
    if last and last != FROM_THE_BEGINNING and last < await events.oldest_id():
        await response.write(sse.event("gap", b'{"reason":"older events are no longer stored"}'))
    who, session = principal(request), request.query.get("session")
    async with aclosing(events.after(begin, idle_s=KEEP_ALIVE_S)) as pages:
        async for page in pages:
            if not await _still_may(request):
                break
            wanted = [event for event in page if _is_for(event, who, session, patterns)]
            if wanted:
                await response.write(b"".join(sse.event(each.type, each.body, each.id) for each in wanted))
            elif not page:
                await response.write(sse.KEEP_ALIVE)
    return response


async def _still_may(request: web.Request) -> bool:
    """A stream lasts for days: it ends when its key is revoked or expires."""
    who = await request.app[keys.ACCESS].keyring.by_token(auth.bearer(request) or "")
    return who is not None and who.may(Scope.READ)


def _last_event_id(request: web.Request) -> str | None:
    given = request.headers.get("Last-Event-ID") or request.query.get("lastEventId")
    if given and set(given) == {"0"}:
        return FROM_THE_BEGINNING
    if given is not None and not is_event_id(given):
        raise invalid("Last-Event-ID", "is not the id of an event of this service")
    return given


def _is_for(event: StoredEvent, who: Principal, session: str | None, patterns: list[str]) -> bool:
    wanted = who.sees(event.owner) and (session is None or event.session == session)
    return wanted and any(fnmatchcase(event.type, pattern) for pattern in patterns)
