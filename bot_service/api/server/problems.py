"""Turns refusals of use cases, the engine and the store into problem documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.domain.refused import Refused
from bot_service.engines.port import EngineError
from shared import logs
from shared.web import errors
from shared.web.middleware import Handler

log = logs.get(__name__)

# The status of each code. A refusal that is not named is 409, a code of the engine 502.
STATUS = {
    "forbidden": 403,
    "not_found": 404,
    "not_supported": 404,
    "not_connected": 409,
    "not_pairing": 409,
    "not_started": 409,
    "timelocked": 409,
    "too_large": 413,
    "invalid": 422,
    "unknown_action": 422,
    "queue_full": 429,
    "media_not_fetched": 502,
    "rejected": 502,
    "store_damaged": 503,
    "store_unavailable": 503,
    "too_many_readers": 503,
    "timeout": 504,
    "no_space": 507,
}
_UNFIT = "the request has a value that the database cannot hold, such as a NUL character or a text that is too long"
_RETRY_AFTER_S = {"queue_full": "30", "store_unavailable": "5"}


def refusals(
    store_errors: tuple[type[Exception], ...],
    damaged: Callable[[], bool],
    is_unfit: Callable[[BaseException], bool],
) -> Middleware:
    """The middleware between the one that writes problem documents and all that call use cases.

    ``store_errors`` are what the store raises while it does not answer; ``damaged()`` says whether it
    never will, ``is_unfit(error)`` whether the fault is a value of the request.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            raise _of_refusal(_final(refused, damaged())) from None
        except EngineError as error:
            raise _of_engine(request, error) from None
        except (ConnectionResetError, TimeoutError):
            raise  # the client is gone
        except store_errors as error:
            if is_unfit(error):
                raise _of_refusal(Refused("invalid", _UNFIT)) from error
            # The first line: what PostgreSQL says then are values of rows.
            why = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0][:200]
            log.error("The store failed in a request", event_name="store.request_failed", why=why)
            unavailable = Refused("store_unavailable", f"the store does not answer: {why}")
            raise _of_refusal(_final(unavailable, damaged())) from error

    return middleware


def _final(refused: Refused, damaged: bool) -> Refused:
    """A store that is damaged does not come back: no caller should try again."""
    if damaged and refused.code == "store_unavailable":
        return Refused("store_damaged", "the database is damaged: the service needs a restart with a backup of it")
    return refused


def _of_refusal(refused: Refused) -> errors.Problem:
    headers = {"Retry-After": _RETRY_AFTER_S[refused.code]} if refused.code in _RETRY_AFTER_S else None
    fields = {refused.field: refused.detail} if refused.field is not None else None
    detail = refused.detail if refused.field is None else f"{refused.field}: {refused.detail}"
    status = STATUS.get(refused.code, 409)
    return errors.Problem(status, refused.code, detail, fields=fields, headers=headers, **refused.facts)


def _of_engine(request: web.Request, error: EngineError) -> errors.Problem:
    """A 409 names the state of the session in the path."""
    status = STATUS.get(error.code, 502)
    facts: dict[str, Any] = {"retryable": error.retryable}
    if status == 409 and (session := request.match_info.get("id")) is not None:
        record = request.app[keys.SESSIONS].queries.get(principal(request), session)
        if record is not None:
            facts["state"] = record.state.value
    fields = {error.field: error.detail} if error.field is not None else None
    return errors.Problem(status, error.code, error.detail, fields=fields, **facts)
