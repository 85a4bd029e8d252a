"""``GET /api/events``: server-sent events in order, resumable by Last-Event-ID."""

from __future__ import annotations

from contextlib import aclosing
from fnmatch import fnmatchcase

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal
from bot_service.api.server.access import principal
from bot_service.domain.refused import invalid
from bot_service.domain.session_ids import without_mark
from bot_service.events.ids import is_event_id
from bot_service.events.stream import StoredEvent
from bot_service.events.subscriptions import unknown_patterns
from shared import sse
from shared.web import errors

KEEP_ALIVE_S = 15.0
FROM_THE_BEGINNING = "0" * 18


async def stream(request: web.Request) -> web.StreamResponse:
    """An event ``gap`` says that older events are gone. Last-Event-ID ``0`` begins with the oldest."""
    events, last = request.app[keys.EVENTS].stream, _last_event_id(request)
    patterns = [name for name in request.query.get("types", "*").split(",") if name]
    unknown = unknown_patterns(patterns)
    if unknown:
        raise invalid("types", f"no event is called {unknown[0]}")
    who, session = principal(request), request.query.get("session")
    response: web.StreamResponse = errors.forbidden("this key is not known").response()
    # A stream lasts for days: it ends when its key is revoked or expires.
    async with request.app[keys.ACCESS].requests.stream(who):
        begin = last if last is not None else await events.newest_id()
        response = await sse.open_response(request, sse.retry(2000))
        if last and last != FROM_THE_BEGINNING and last < await events.oldest_id():
            await response.write(sse.event("gap", b'{"reason":"older events are no longer stored"}'))
        async with aclosing(events.after(begin, owner=who.owner, key=who.key_id or "", idle_s=KEEP_ALIVE_S)) as pages:
            async for page in pages:
                wanted = [event for event in page if _is_for(event, who, session, patterns)]
                if wanted:
                    await response.write(b"".join(sse.event(each.type, _body(each, who), each.id) for each in wanted))
                elif not page:
                    await response.write(sse.KEEP_ALIVE)
    return response


def _last_event_id(request: web.Request) -> str | None:
    given = request.headers.get("Last-Event-ID") or request.query.get("lastEventId")
    if given and set(given) == {"0"}:
        return FROM_THE_BEGINNING
    if given is not None and not is_event_id(given):
        raise invalid("Last-Event-ID", "is not the id of an event of this service")
    return given


def _is_for(event: StoredEvent, who: Principal, session: str | None, patterns: list[str]) -> bool:
    wanted = who.sees(event.owner) and (session is None or who.known_id(event.session or "") == session)
    return wanted and any(fnmatchcase(event.type, pattern) for pattern in patterns)


def _body(event: StoredEvent, who: Principal) -> bytes:
    return event.body if who.owner is None or event.session is None else without_mark(event.body, event.session)
