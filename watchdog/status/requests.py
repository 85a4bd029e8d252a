"""Bodies of API requests, checked: maintenance windows, acknowledgements, test alerts."""

from __future__ import annotations

import secrets

import msgspec

from shared.clock import parse_iso, to_ms
from shared.visible import RULE, is_plain_name
from shared.web import errors
from watchdog.domain.policy import Pause

LONGEST_PAUSE_MS = 7 * 86_400_000
_ENDS = ("until", "durationMs", "minutes")


class PauseRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Exactly one of ``until`` (ISO 8601), ``durationMs`` and ``minutes``: a window always ends."""

    target: str = "*"
    until: str | None = None
    duration_ms: int | None = None
    minutes: float | None = None
    author: str = ""
    reason: str = ""


class AcknowledgeRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    author: str = ""


class TestRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    author: str = ""


def pause_of(request: PauseRequest, targets: tuple[str, ...], now_ms: int) -> Pause:
    """The requested window, from now on. Raises :class:`shared.web.errors.Problem` 422."""
    if request.target != "*" and request.target not in targets:
        raise errors.invalid("target", f"must be * or one of {', '.join(targets)}")
    until_ms = _until(request, now_ms)
    if until_ms <= now_ms:
        raise errors.invalid(_given(request)[0], "must end in the future")
    if until_ms - now_ms > LONGEST_PAUSE_MS:
        raise errors.invalid(_given(request)[0], "must end within 7 days")
    author, reason = plain(request.author, "author") or "api", plain(request.reason, "reason", 500)
    return Pause(f"pause-{now_ms}-{secrets.token_hex(3)}", request.target, now_ms, until_ms, author, reason)


def _given(request: PauseRequest) -> list[str]:
    values = (request.until, request.duration_ms, request.minutes)
    return [name for name, value in zip(_ENDS, values, strict=True) if value is not None]


def _until(request: PauseRequest, now_ms: int) -> int:
    given = _given(request)
    if len(given) != 1:
        raise errors.invalid("until", f"exactly one of {', '.join(_ENDS)} is needed: a maintenance window always ends")
    if request.until is not None:
        try:
            return to_ms(parse_iso(request.until))
        except (ValueError, OverflowError):
            raise errors.invalid("until", "must be a time such as 2026-01-31T09:00:00Z") from None
    if request.duration_ms is not None:
        return now_ms + request.duration_ms
    return now_ms + int(min(request.minutes or 0, 1e6) * 60_000)


def plain(text: str, field: str, longest: int = 100) -> str:
    """``text`` stripped. Raises a 422 when too long or with control characters."""
    kept = text.strip()
    if len(kept) > longest:
        raise errors.invalid(field, f"at most {longest} characters")
    if kept and not is_plain_name(kept):
        raise errors.invalid(field, RULE)
    return kept
