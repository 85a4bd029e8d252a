"""Finds what a request names, and turns what went wrong below into the right problem document."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal, principal
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.port import EngineError
from bot_service.sessions.commands import Refused, SessionGone
from bot_service.store.sessions import StoreUnavailable
from shared.web import errors

# Stable codes of the engine, and the status that each is answered with.
_STATUS = {
    "not_started": 409,
    "not_connected": 409,
    "not_pairing": 409,
    "timelocked": 409,
    "timeout": 504,
    "rejected": 502,
    "invalid": 422,
    "not_supported": 404,
    "unknown_action": 422,
}


def may_see(who: Principal, record: SessionRecord) -> bool:
    return who.owner is None or who.owner == record.owner


def session_of(request: web.Request) -> SessionRecord:
    """The session of the path. 404 also for one of another owner: nobody learns which ids exist."""
    record = request.app[keys.SESSIONS].registry.get(request.match_info["id"])
    if record is None or not may_see(principal(request), record):
        raise errors.not_found("this session")
    return record


@contextlib.contextmanager
def problems(request: web.Request | None = None) -> Iterator[None]:
    """Around calls below the API: their errors become answers. With ``request`` a 409 tells the state of its session."""
    try:
        yield
    except Refused as refused:
        raise errors.conflict(refused.code, refused.detail, state=refused.record.state.value) from None
    except SessionGone:
        raise errors.not_found("this session") from None
    except StoreUnavailable as error:
        raise errors.Problem(
            503, "store_unavailable", f"the store does not take writes: {error}", headers={"Retry-After": "5"}
        ) from None
    except EngineError as error:
        status = _STATUS.get(error.code, 502)
        record = request.app[keys.SESSIONS].registry.get(request.match_info["id"]) if request is not None else None
        extra: dict[str, Any] = {"retryable": error.retryable}
        if status == 409 and record is not None:
            extra["state"] = record.state.value
        fields = {error.field: error.detail} if error.field is not None else None
        raise errors.Problem(status, error.code, error.detail, fields=fields, **extra) from None
    except TimeoutError:
        raise errors.Problem(504, "timeout", "the engine did not answer in time", retryable=True) from None


def integer(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query. 422 when it is none or out of bounds."""
    raw = request.query.get(name)
    if raw is None:
        return default
    # More digits than the upper bound has are not even read: Python refuses to convert thousands of them.
    digits = raw.lstrip("0") or "0"
    if not raw.isascii() or not raw.isdigit() or len(digits) > len(str(high)) or not low <= int(digits) <= high:
        raise errors.invalid(name, f"must be a whole number from {low} to {high}")
    return int(digits)
