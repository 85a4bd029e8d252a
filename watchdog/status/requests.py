"""Bodies of API requests and forms, checked: maintenance, announcements, acknowledgements, test alerts."""

from __future__ import annotations

import secrets

import msgspec

from shared.clock import parse_iso, to_ms
from shared.visible import RULE, is_plain_name
from shared.web import errors
from watchdog.domain.announcements import Announcement, Severity
from watchdog.domain.policy import Pause

LONGEST_PAUSE_MS = 7 * 86_400_000
FURTHEST_MS = 366 * 86_400_000
LONGEST_TEXT = 2000
_ENDS = ("until", "durationMs", "minutes")


class PauseRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Exactly one of ``until`` (ISO 8601), ``durationMs`` and ``minutes``: a window always ends.

    ``from`` (ISO 8601) is now when it is left out. ``text`` is for the readers of the status page,
    ``reason`` for operators.
    """

    target: str = "*"
    from_: str | None = msgspec.field(default=None, name="from")
    until: str | None = None
    duration_ms: int | None = None
    minutes: float | None = None
    author: str = ""
    reason: str = ""
    text: str = ""


class AnnouncementRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``until`` (ISO 8601): when it goes away by itself."""

    title: str
    text: str = ""
    severity: Severity = Severity.INFO
    until: str | None = None
    author: str = ""


class AcknowledgeRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    author: str = ""


class TestRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``channel``: id or name of the only channel to try."""

    author: str = ""
    channel: str = ""


def pause_of(request: PauseRequest, targets: tuple[str, ...], now_ms: int) -> Pause:
    """The requested window. Raises :class:`shared.web.errors.Problem` 422."""
    if request.target != "*" and request.target not in targets:
        raise errors.invalid("target", f"must be * or one of {', '.join(targets)}")
    from_ms = now_ms if request.from_ is None else _moment(request.from_, "from")
    if from_ms > now_ms + FURTHEST_MS:
        raise errors.invalid("from", "must be within a year")
    # A window that began before is one that begins now: nothing is paused afterwards.
    from_ms = max(from_ms, now_ms)
    until_ms = _until(request, from_ms)
    field = _given(request)[0]
    if until_ms <= now_ms:
        raise errors.invalid(field, "must end in the future")
    if until_ms <= from_ms:
        raise errors.invalid(field, "must end after its begin")
    if until_ms - from_ms > LONGEST_PAUSE_MS:
        raise errors.invalid(field, "must end within 7 days of its begin")
    return Pause(
        id=f"pause-{now_ms}-{secrets.token_hex(3)}",
        target=request.target,
        from_ms=from_ms,
        until_ms=until_ms,
        author=plain(request.author, "author") or "api",
        reason=plain(request.reason, "reason", 500),
        text=paragraphs(request.text, "text"),
        created_at_ms=now_ms,
    )


def announcement_of(request: AnnouncementRequest, now_ms: int) -> Announcement:
    """The requested announcement, from now on. Raises :class:`shared.web.errors.Problem` 422."""
    title = plain(request.title, "title", 120)
    if not title:
        raise errors.invalid("title", "must not be empty")
    until_ms = None if request.until is None else _moment(request.until, "until")
    if until_ms is not None and until_ms <= now_ms:
        raise errors.invalid("until", "must end in the future")
    return Announcement(
        id=f"news-{now_ms}-{secrets.token_hex(3)}",
        title=title,
        text=paragraphs(request.text, "text"),
        severity=request.severity,
        created_at_ms=now_ms,
        until_ms=until_ms,
        author=plain(request.author, "author") or "api",
    )


def _given(request: PauseRequest) -> list[str]:
    values = (request.until, request.duration_ms, request.minutes)
    return [name for name, value in zip(_ENDS, values, strict=True) if value is not None]


def _until(request: PauseRequest, from_ms: int) -> int:
    given = _given(request)
    if len(given) != 1:
        raise errors.invalid("until", f"exactly one of {', '.join(_ENDS)} is needed: a maintenance window always ends")
    if request.until is not None:
        return _moment(request.until, "until")
    if request.duration_ms is not None:
        return from_ms + request.duration_ms
    return from_ms + int(min(request.minutes or 0, 1e6) * 60_000)


def _moment(text: str, field: str) -> int:
    try:
        return to_ms(parse_iso(text))
    except (ValueError, OverflowError):
        raise errors.invalid(field, "must be a time such as 2026-01-31T09:00:00Z") from None


def plain(text: str, field: str, longest: int = 100) -> str:
    """``text`` stripped. Raises a 422 when too long or with control characters."""
    kept = text.strip()
    if len(kept) > longest:
        raise errors.invalid(field, f"at most {longest} characters")
    if kept and not is_plain_name(kept):
        raise errors.invalid(field, RULE)
    return kept


def paragraphs(text: str, field: str) -> str:
    """Several lines of visible text. Raises a 422."""
    kept = text.replace("\r\n", "\n").strip()
    if len(kept) > LONGEST_TEXT:
        raise errors.invalid(field, f"at most {LONGEST_TEXT} characters")
    lines = [line.strip() for line in kept.split("\n")]
    if any(line and not is_plain_name(line) for line in lines):
        raise errors.invalid(field, RULE.replace("on one line", "in lines"))
    return "\n".join(lines)
