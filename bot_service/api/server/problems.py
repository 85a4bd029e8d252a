"""A store that does not answer is 503 with Retry-After, wherever in a request it shows: never a crash of ours."""

from __future__ import annotations

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from shared import logs
from shared.web import errors
from shared.web.middleware import Handler

log = logs.get(__name__)


@web.middleware
async def store_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Goes between the middleware that writes problem documents and everything that asks the store."""
    try:
        return await handler(request)
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or type(error).__name__)[:200]
        log.error("The store failed in a request", event_name="store.request_failed", why=why)
        raise errors.Problem(
            503, "store_unavailable", f"the store does not answer: {why}", headers={"Retry-After": "5"}
        ) from error
