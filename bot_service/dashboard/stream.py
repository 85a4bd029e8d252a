"""``GET /events``: what happens to the sessions that a signed-in person may see, as server-sent events for our pages.

It says that something changed and never what was written: no text, no number, no code leaves by it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.dashboard import wording
from bot_service.dashboard.context import DESK
from bot_service.dashboard.login import Login
from bot_service.domain.states import State
from bot_service.sessions.event_bus import Event
from shared.clock import iso
from shared.web.ui.words import Words

QUEUE = 200
PING_S = 15.0
# A login may have ended meanwhile: a stream is renewed after so long, and the cookie looked at anew.
LASTS_S = 600.0


async def events(request: web.Request, login: Login) -> web.StreamResponse:
    owner, t = login.principal.owner, request.app[DESK].pages.words(request)
    queue: asyncio.Queue[Event | None] = asyncio.Queue(maxsize=QUEUE)
    streams = request.app[DESK].streams

    def keep(event: Event) -> None:
        if owner is not None and event.owner != owner:
            return
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(event)

    streams.add(queue)
    unsubscribe = request.app[keys.SESSIONS].bus.subscribe(keep)
    messages = asyncio.create_task(_follow_messages(request.app, keep), name="dashboard.messages")
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    try:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LASTS_S):
                await _write_on(response, queue, t)
    except ConnectionResetError:
        pass
    finally:
        unsubscribe()
        messages.cancel()
        await asyncio.gather(messages, return_exceptions=True)
        streams.discard(queue)
    return response


class _Data(msgspec.Struct):
    state: str | None = None


class _Stored(msgspec.Struct):
    """What is read of a stored event: no text and no number."""

    data: _Data


async def _follow_messages(app: web.Application, keep: Callable[[Event], None]) -> None:
    """Messages and their marks do not pass the bus: they are told once they are stored."""
    feed, clock = app[keys.EVENTS].stream, app[keys.CLOCK]
    async with aclosing(feed.after(await feed.newest_id())) as pages:
        async for page in pages:
            for stored in page:
                if stored.type.startswith("message"):
                    state = msgspec.json.decode(stored.body, type=_Stored).data.state
                    data = {} if state is None else {"state": state}
                    keep(Event(stored.type, stored.session or "", stored.owner or "", clock.now(), data))


async def end_streams(app: web.Application) -> None:
    """At shutdown: no browser keeps the service waiting."""
    for queue in app[DESK].streams:
        if queue.full():
            queue.get_nowait()
        queue.put_nowait(None)


async def _write_on(response: web.StreamResponse, queue: asyncio.Queue[Event | None], t: Words) -> None:
    while True:
        try:
            async with asyncio.timeout(PING_S):
                event = await queue.get()
        except TimeoutError:
            await response.write(b": still here\n\n")
            continue
        if event is None:
            return
        await response.write(_line(event, t))


def _line(event: Event, t: Words) -> bytes:
    value = {"kind": event.kind, "session": event.session, "at": iso(event.at), "text": _text(event, t)}
    return b"event: change\ndata: " + msgspec.json.encode(value) + b"\n\n"


def _text(event: Event, t: Words) -> str:
    state = str(event.data.get("state", ""))
    if state in State.__members__:
        words = wording.reason(str(event.data.get("reason", "")))
        return t(wording.STATE[State(state)]) + (f" – {t(words)}" if words else "")
    if state in wording.MESSAGE_STATE:
        return t(state)
    reason = event.data.get("reason")
    return t(wording.reason(str(reason))) if reason else ""
