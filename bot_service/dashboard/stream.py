"""``GET /events``: changes of the visible sessions, as server-sent events for the pages.

They say that something changed; they carry no text, telephone number or pairing code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.dashboard import wording
from bot_service.dashboard.context import DASHBOARD, words
from bot_service.dashboard.login import Login
from bot_service.domain.states import State
from bot_service.sessions.notifications import Event
from shared import sse
from shared.clock import iso, parse_iso
from shared.sse import EventStream
from shared.web.ui.words import Words

QUEUE = 200
# What a list of events begins with (``?recent``): of so many stored ones, the newest that it shows.
LOOKED_AT, RECENT = 200, 50
# A page counts the connection as lost within 5 s without an event.
BEAT_S = 1.5
BEAT = sse.event("beat", b"{}")
# The browser renews the stream after this time.
LASTS_S = 600.0


async def events(request: web.Request, login: Login) -> web.StreamResponse:
    response: web.StreamResponse = web.Response(status=204)  # ended before it began: browsers stay away
    async with request.app[keys.ACCESS].requests.stream(login.principal, login=login.id, lasts_s=LASTS_S):
        response = await sse.open_response(request, sse.retry(1000))
        await _follow(request, login, response)
    return response


async def _follow(request: web.Request, login: Login, response: web.StreamResponse) -> None:
    owner, t = login.principal.owner, words(request)
    stream, streams = EventStream(QUEUE), request.app[DASHBOARD].streams

    def enqueue(event: Event) -> None:
        if owner is None or event.owner == owner:
            stream.put(_line(event, t, login.principal.known_id(event.session)))

    streams.add(stream)
    unsubscribe = request.app[keys.SESSIONS].bus.subscribe(enqueue)
    messages = asyncio.create_task(_follow_messages(request.app, login, enqueue), name="dashboard.messages")
    try:
        if "recent" in request.query:
            await response.write(await _recent(request.app, login, t))
        await stream.write_to(response, keep_alive_s=BEAT_S, keep_alive=BEAT)
    finally:
        unsubscribe()
        messages.cancel()
        await asyncio.gather(messages, return_exceptions=True)
        streams.discard(stream)


class _Data(msgspec.Struct):
    state: str | None = None
    reason: object = None


class _Stored(msgspec.Struct):
    """The part of a stored event that is read: no text and no telephone number."""

    timestamp: str
    data: _Data


async def _recent(app: web.Application, login: Login, t: Words) -> bytes:
    """What happened before, as far as the bus and the messages would have said it."""
    who = login.principal
    found = await app[keys.EVENTS].stream.newest(LOOKED_AT, who.owner)
    shown = []
    for each in found:
        if each.session is not None and each.type.startswith(("session.", "message")):
            stored = msgspec.json.decode(each.body, type=_Stored)
            data = {
                "state": stored.data.state or "",
                "reason": stored.data.reason if isinstance(stored.data.reason, str) else "",
            }
            event = Event(each.type, each.session, each.owner or "", parse_iso(stored.timestamp), data)
            shown.append((event, who.known_id(each.session)))
    # A code may be stored before the change of state that led to it.
    shown.sort(key=lambda pair: pair[0].at)
    return b"".join(_line(event, t, session) for event, session in shown[-RECENT:])


async def _follow_messages(app: web.Application, login: Login, enqueue: Callable[[Event], None]) -> None:
    """Messages and receipts are not published on the bus: they are read once they are stored."""
    events, clock = app[keys.EVENTS].stream, app[keys.CLOCK]
    who = login.principal
    newest = await events.newest_id()
    async with aclosing(events.after(newest, owner=who.owner, key=who.key_id or "")) as pages:
        async for page in pages:
            for stored in page:
                if stored.type.startswith("message"):
                    state = msgspec.json.decode(stored.body, type=_Stored).data.state
                    data = {} if state is None else {"state": state}
                    enqueue(Event(stored.type, stored.session or "", stored.owner or "", clock.now(), data))


async def end_streams(app: web.Application) -> None:
    """At shutdown: no browser keeps the service waiting."""
    for stream in app[DASHBOARD].streams:
        stream.put(None)


def _line(event: Event, t: Words, session: str) -> bytes:
    value = {"kind": event.kind, "session": session, "at": iso(event.at), "text": _text(event, t)}
    return sse.event("change", msgspec.json.encode(value))


def _text(event: Event, t: Words) -> str:
    state = str(event.data.get("state", ""))
    if state in State.__members__:
        reason = wording.reason(str(event.data.get("reason", "")))
        return t(wording.STATE[State(state)]) + (f" – {t(reason)}" if reason else "")
    if state in wording.MESSAGE_STATE:
        return t(state)
    given = event.data.get("reason")
    return t(wording.reason(str(given))) if given else ""
