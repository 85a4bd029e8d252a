"""Why a message that is queued has not gone yet: by the session as it is now and the last attempt."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.messages.answers import WaitsForView
from bot_service.api.sessions.lookup import session_of
from bot_service.api.sessions.schemas import moment
from bot_service.domain.states import LINKED
from bot_service.messages.rate_limits import frozen
from bot_service.store import send_queue
from bot_service.store.messages import StoredMessage


async def waits_for(request: web.Request, row: StoredMessage) -> WaitsForView | None:
    """A freeze with its end, the connection, the last error, or its turn; None when it has just gone."""
    record, app = session_of(request), request.app
    async with app[keys.DATABASE].read() as connection:
        standing = await send_queue.standing(connection, row.session, row.message_id)
    if standing is None:
        return None
    known_chat, last_error = standing
    stop = frozen(record, app[keys.SESSIONS].supervisor.now_ms(), known_chat=known_chat)
    if stop is not None:
        return WaitsForView(stop.reason.value, moment(stop.until_ms))
    if record.state not in LINKED:
        return WaitsForView("not_connected")
    return WaitsForView(last_error or "its_turn")
