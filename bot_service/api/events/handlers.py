"""``GET /api/events``: server-sent events in order, resumable by Last-Event-ID; callers see their owner's events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from fnmatch import fnmatchcase

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
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
    """An event ``gap`` says that older events are no longer stored. ``0`` as Last-Event-ID begins with the oldest event."""
    feed, last = request.app[keys.EVENTS].stream, _last_event_id(request)
    if feed.readers >= READERS:
        raise Refused("too_many_readers", "so many readers of events are connected already")
    patterns = [name for name in request.query.get("types", "*").split(",") if name]
    unknown = unknown_patterns(patterns)
    if unknown:
        raise invalid("types", f"no event is called {unknown[0]}")
    begin = last if last is not None else await feed.newest_id()
    response = await sse.open_response(request, sse.retry(2000))
    if last and last != FROM_THE_BEGINNING and last < await feed.oldest_id():
        await response.write(sse.event("gap", b'{"reason":"older events are no longer stored"}'))
    await _follow(request, response, begin, patterns)
    return response


async def _follow(request: web.Request, response: web.StreamResponse, begin: str, patterns: list[str]) -> None:
    feed, cursor = request.app[keys.EVENTS].stream, begin
    who, session = principal(request), request.query.get("session")
    async with aclosing(feed.after(cursor)) as pages, _PageReader(pages) as reader:
        while True:
            try:
                page = await reader.next(KEEP_ALIVE_S)
            except StopAsyncIteration:  # the program ends
                return
            if not await _still_may(request):
                return
            if page is None:
                await response.write(sse.KEEP_ALIVE)
                continue
            wanted = [event for event in page if _is_for(event, who.owner, session, patterns)]
            if wanted:
                await response.write(b"".join(sse.event(each.type, each.body, each.id) for each in wanted))


async def _still_may(request: web.Request) -> bool:
    """A stream lasts for days: it ends when its key is revoked or expires."""
    who = await request.app[keys.ACCESS].keyring.by_token(auth.bearer(request) or "")
    return who is not None and who.may(Scope.READ)


class _PageReader:
    """The next page of a generator, or None after a timeout, without cancelling the generator."""

    def __init__(self, pages: object) -> None:
        self._pages = pages
        self._task: asyncio.Task[list[StoredEvent]] | None = None

    async def __aenter__(self) -> _PageReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def next(self, timeout_s: float) -> list[StoredEvent] | None:
        if self._task is None:
            self._task = asyncio.ensure_future(anext(self._pages))  # type: ignore[call-overload]
        await asyncio.wait({self._task}, timeout=timeout_s)
        if not self._task.done():
            return None
        page, self._task = self._task.result(), None
        return page


def _last_event_id(request: web.Request) -> str | None:
    given = request.headers.get("Last-Event-ID") or request.query.get("lastEventId")
    if given and set(given) == {"0"}:
        return FROM_THE_BEGINNING
    if given is not None and not is_event_id(given):
        raise invalid("Last-Event-ID", "is not the id of an event of this service")
    return given


def _is_for(event: StoredEvent, owner: str | None, session: str | None, patterns: list[str]) -> bool:
    if owner is not None and event.owner != owner:
        return False
    if session is not None and event.session != session:
        return False
    return any(fnmatchcase(event.type, pattern) for pattern in patterns)
