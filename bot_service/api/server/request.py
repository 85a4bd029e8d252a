"""Reads what many requests have: the session in the path, whole numbers in the query, the Idempotency-Key."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.server.route import LONGEST_PAGE, PAGE
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from shared.clock import from_ms, iso, parse_iso, to_ms

_LONGEST_KEY = 200


def session_of(request: web.Request) -> SessionRecord:
    """The session in the path. Raises :class:`Refused` ``not_found``."""
    return request.app[keys.SESSIONS].queries.find(principal(request), request.match_info["id"])


def integer(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query. Raises :class:`Refused` ``invalid``."""
    raw = request.query.get(name)
    if raw is None:
        return default
    # Python refuses to convert thousands of digits: more than ``high`` has are not read.
    digits = raw.lstrip("0") or "0"
    if not raw.isascii() or not raw.isdigit() or len(digits) > len(str(high)) or not low <= int(digits) <= high:
        raise invalid(name, f"must be a whole number from {low} to {high}")
    return int(digits)


def page_limit(request: web.Request) -> int:
    """``?limit=``: how many rows the answer may hold."""
    return integer(request, "limit", PAGE, 1, LONGEST_PAGE)


def iso_time(at_ms: int | None) -> str | None:
    """``at_ms`` since the epoch as ISO 8601."""
    return None if at_ms is None else iso(from_ms(at_ms))


def idempotency_key(request: web.Request) -> str | None:
    """None without one. Raises :class:`Refused` ``invalid``."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise invalid("Idempotency-Key", f"must have 1 to {_LONGEST_KEY} printable ASCII characters")
    return key


def time_ms(name: str, text: str) -> int:
    """An ISO 8601 time with its offset, in ms since the epoch. Raises :class:`Refused` ``invalid``."""
    try:
        return to_ms(parse_iso(text))
    except (ValueError, OverflowError):
        raise invalid(name, "must be a time with its offset, such as 2026-11-23T09:16:02Z") from None
