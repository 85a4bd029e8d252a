"""What people may ask of the watchdog by its API, checked: maintenance windows, acknowledgements, test alerts."""

from __future__ import annotations

import secrets

import msgspec

from shared.clock import parse_iso
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


def pause_of(wish: PauseRequest, targets: tuple[str, ...], now_ms: int) -> Pause:
    """The window that is wished for, from now on. Raises :class:`shared.web.errors.Problem` 422."""
    if wish.target != "*" and wish.target not in targets:
        raise errors.invalid("target", f"must be * or one of {', '.join(targets)}")
    until_ms = _until(wish, now_ms)
    if until_ms <= now_ms:
        raise errors.invalid(_given(wish)[0], "must end in the future")
    if until_ms - now_ms > LONGEST_PAUSE_MS:
        raise errors.invalid(_given(wish)[0], "must end within 7 days")
    author, reason = plain(wish.author, "author") or "api", plain(wish.reason, "reason", 500)
    return Pause(f"pause-{now_ms}-{secrets.token_hex(3)}", wish.target, now_ms, until_ms, author, reason)


def _given(wish: PauseRequest) -> list[str]:
    values = (wish.until, wish.duration_ms, wish.minutes)
    return [name for name, value in zip(_ENDS, values, strict=True) if value is not None]


def _until(wish: PauseRequest, now_ms: int) -> int:
    given = _given(wish)
    if len(given) != 1:
        raise errors.invalid("until", f"exactly one of {', '.join(_ENDS)} is needed: a maintenance window always ends")
    if wish.until is not None:
        try:
            return int(parse_iso(wish.until).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise errors.invalid("until", "must be a time such as 2026-01-31T09:00:00Z") from None
    if wish.duration_ms is not None:
        return now_ms + wish.duration_ms
    return now_ms + int(min(wish.minutes or 0, 1e6) * 60_000)


def plain(text: str, field: str, longest: int = 100) -> str:
    """``text`` without white space around it. Raises a 422 when it is too long or holds control characters."""
    kept = text.strip()
    if len(kept) > longest or not kept.isprintable():
        raise errors.invalid(field, f"at most {longest} printable characters")
    return kept
