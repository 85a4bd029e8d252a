"""``GET /api/heartbeat``: a beat every interval over server-sent events, and ``stopping`` before a planned stop."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.operations.heartbeat import sse_event
from shared.contract.heartbeat import BEAT
from shared.sse import open_response


async def heartbeat(request: web.Request) -> web.StreamResponse:
    publisher = request.app[keys.OPERATIONS].heartbeat
    stream = publisher.open()
    try:
        response = await open_response(request, sse_event(BEAT, publisher.beat()))
        await stream.write_to(response)
    finally:
        publisher.close(stream)
    return response
