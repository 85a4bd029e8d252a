"""``GET /api/heartbeat``: a beat every interval over server-sent events, and ``stopping`` before a planned stop."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.operations.heartbeat import sse_event
from shared.contract.heartbeat import BEAT


async def heartbeat(request: web.Request) -> web.StreamResponse:
    publisher = request.app[keys.OPERATIONS].heartbeat
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    queue = publisher.open()
    try:
        await response.prepare(request)
        await response.write(sse_event(BEAT, publisher.beat()))
        while (data := await queue.get()) is not None:
            await response.write(data)
    except ConnectionResetError:
        pass
    finally:
        publisher.close(queue)
    return response
