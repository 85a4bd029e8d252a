"""``/waha/ws``: the events of WAHA as they happen, each one JSON text. What clients say is ignored."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
from aiohttp import WSCloseCode, web

from bot_service import keys
from bot_service.access.principals import Principal
from bot_service.api.server.access import principal
from bot_service.dialects.waha import events
from bot_service.dialects.waha.paths import base_of
from bot_service.dialects.waha.sessions import find
from bot_service.domain.refused import invalid
from bot_service.domain.session_ids import without_mark
from bot_service.events.dialects import Envelope
from shared.web import errors

# A client that does not answer a ping within half of this time is gone.
HEARTBEAT_S = 30.0
_LONGEST_MESSAGE = 4096
_ENVELOPE = msgspec.json.Decoder(Envelope)


async def stream(request: web.Request) -> web.StreamResponse:
    """``session`` is a name, or ``*`` for all that the key sees; ``events`` are WAHA's names or ``*``.

    It begins with what happens now, and ends with its key.
    """
    who, session, wanted = principal(request), request.query.get("session", "*"), _wanted(request)
    if session != "*":
        find(request, session)
    if not web.WebSocketResponse().can_prepare(request):
        raise errors.Problem(426, "not_a_websocket", "this address speaks WebSocket", headers={"Upgrade": "websocket"})
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=1.0, max_msg_size=_LONGEST_MESSAGE, compress=False)
    async with request.app[keys.ACCESS].requests.stream(who):
        begin = await request.app[keys.EVENTS].stream.newest_id()
        await socket.prepare(request)
        sending = asyncio.create_task(_send(request, socket, who, begin, session, wanted), name="waha-websocket")
        try:
            async for _ in socket:
                pass
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await socket.close(code=WSCloseCode.GOING_AWAY)
    return socket


def _wanted(request: web.Request) -> list[str]:
    given = [name for value in request.query.getall("events", ["*"]) for name in value.split(",") if name]
    unknown = events.unknown(given)
    if unknown is not None:
        raise invalid("events", unknown)
    return given


async def _send(
    request: web.Request, socket: web.WebSocketResponse, who: Principal, begin: str, session: str, wanted: list[str]
) -> None:
    """Every event after ``begin``, until the service stops."""
    base, sessions = base_of(request), request.app[keys.SESSIONS].registry
    pages = request.app[keys.EVENTS].stream.after(begin, owner=who.owner, key=who.key_id or "")
    try:
        async with aclosing(pages):
            async for page in pages:
                for event in page:
                    record = sessions.get(event.session or "")
                    if record is None or not who.sees(event.owner) or session not in ("*", who.known_id(record.id)):
                        continue
                    for name, shown in events.envelopes(record, _ENVELOPE.decode(event.body), base):
                        if events.is_wanted(name, wanted):
                            body = msgspec.json.encode(shown)
                            known = body if who.owner is None else without_mark(body, record.id)
                            await socket.send_str(known.decode())
    except ConnectionError:
        pass  # the client is gone
    finally:
        await socket.close(code=WSCloseCode.GOING_AWAY)
