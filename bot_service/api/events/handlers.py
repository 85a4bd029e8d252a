"""``GET /api/events``: server-sent events, in order, resumable by Last-Event-ID; each caller sees what is theirs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from fnmatch import fnmatchcase

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import ADMINISTRATOR, Scope, principal
from bot_service.events.ids import is_event_id
from bot_service.events.subscriptions import unknown_patterns
from bot_service.store.events import StoredEvent
from shared.web import auth, errors

KEEP_ALIVE_S = 15.0
READERS = 500
FROM_THE_BEGINNING = "0" * 18


async def stream(request: web.Request) -> web.StreamResponse:
    """``?session=&types=message,session.*``. A gap that is no longer stored is told by an event ``gap``; ``0`` as
    Last-Event-ID begins with the oldest event there is."""
    feed, last = request.app[keys.EVENTS].stream, _last_event_id(request)
    if feed.readers >= READERS:
        raise errors.Problem(503, "too_many_readers", "so many readers of events are connected already")
    patterns = [name for name in request.query.get("types", "*").split(",") if name]
    unknown = unknown_patterns(patterns)
    if unknown:
        raise errors.invalid("types", f"no event is called {unknown[0]}")
    begin = last if last is not None else await feed.newest_id()
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    await response.write(b"retry: 2000\n\n")
    if last and last != FROM_THE_BEGINNING and last < await feed.oldest_id():
        await response.write(b'event: gap\ndata: {"reason":"older events are no longer stored"}\n\n')
    await _follow(request, response, begin, patterns)
    return response


async def _follow(request: web.Request, response: web.StreamResponse, begin: str, patterns: list[str]) -> None:
    feed, cursor = request.app[keys.EVENTS].stream, begin
    who, session = principal(request), request.query.get("session")
    async with aclosing(feed.after(cursor)) as pages, _Steps(pages) as steps:
        while True:
            try:
                page = await steps.next(KEEP_ALIVE_S)
            except StopAsyncIteration:  # the program ends
                return
            if not await _still_may(request):
                return
            if page is None:
                await response.write(b": still here\n\n")
                continue
            wanted = [event for event in page if _is_for(event, who.owner, session, patterns)]
            if wanted:
                await response.write(b"".join(_frame(event) for event in wanted))


async def _still_may(request: web.Request) -> bool:
    """A stream lasts for days: a key that was revoked or has expired meanwhile hears nothing more."""
    if principal(request) is ADMINISTRATOR:
        return True
    now = await request.app[keys.KEYRING].principal(auth.bearer(request) or "")
    return now is not None and now.may(Scope.READ)


class _Steps:
    """The next page of a generator, or None after a while, without ever cancelling the generator in the middle."""

    def __init__(self, pages: object) -> None:
        self._pages = pages
        self._task: asyncio.Task[list[StoredEvent]] | None = None

    async def __aenter__(self) -> _Steps:
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
        raise errors.invalid("Last-Event-ID", "is no id of an event of this service")
    return given


def _is_for(event: StoredEvent, owner: str | None, session: str | None, patterns: list[str]) -> bool:
    if owner is not None and event.owner != owner:
        return False
    if session is not None and event.session != session:
        return False
    return any(fnmatchcase(event.type, pattern) for pattern in patterns)


def _frame(event: StoredEvent) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.type.encode(), event.body)
