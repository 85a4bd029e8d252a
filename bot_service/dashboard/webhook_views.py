"""Webhooks and deliveries in words: health, causes of failures, choices of their forms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from aiohttp import web

from bot_service import keys
from bot_service.dashboard import wording
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice, moment
from bot_service.events.subscriptions import EVENT_TYPES
from bot_service.sessions.registry import Search
from bot_service.webhooks.health import Health
from shared.web.ui.words import Words

FOR_ADMINISTRATORS = "service."
LONGEST_ID = 80
_OFFERED_SESSIONS = 200

# How far back a form looks, by what stands in the address.
SPANS_MS = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000}


@dataclass(frozen=True, slots=True)
class HealthLine:
    """``cause`` is why the last attempt failed; empty when none did. ``next_try`` is None when nothing waits."""

    kind: str
    state: str
    succeeded: datetime | None
    failed: datetime | None
    cause: str
    waiting: int
    dead: int
    next_try: datetime | None
    waiting_text: str
    dead_text: str


def health_line(health: Health, t: Words) -> HealthLine:
    kind, state = wording.WEBHOOK_HEALTH[health.state]
    last = health.last
    return HealthLine(
        kind=kind,
        state=t(state),
        succeeded=moment(last.succeeded_ms),
        failed=moment(last.failed_ms),
        cause=cause(last.failed_status, last.failed_error, t) if last.failed_ms is not None else "",
        waiting=health.waiting,
        dead=health.dead,
        next_try=moment(health.next_ms),
        waiting_text=t.many(health.waiting, "{n} waiting", "{n} waiting"),
        dead_text=t.many(health.dead, "{n} failed", "{n} failed"),
    )


def cause(status: int | None, error: str | None, t: Words) -> str:
    """What an attempt ended with; ``error`` None is a success."""
    if status is not None:
        text = t("answered {status}", status=status)
        return text + (f": {t('redirects are not followed')}" if error == "redirect" else "")
    return t(wording.NO_ANSWER.get(error or "", "no answer"))


def offered(login: Login) -> dict[str, str]:
    """Events of the service itself concern every owner."""
    everybody = login.principal.owner is None
    return {name: about for name, about in EVENT_TYPES.items() if everybody or not name.startswith(FOR_ADMINISTRATORS)}


def matched(login: Login, patterns: tuple[str, ...]) -> list[str]:
    """The offered events that ``patterns`` name."""
    return [name for name in offered(login) if any(fnmatchcase(name, pattern) for pattern in patterns)]


def patterns_of(login: Login, ticked: list[str], before: tuple[str, ...] = ()) -> list[str]:
    """What ticked boxes mean: patterns that stood for exactly these stay, and all of them include future ones."""
    if before and matched(login, before) == [name for name in offered(login) if name in ticked]:
        return list(before)
    return ["*"] if set(ticked) >= set(offered(login)) else ticked


def session_choices(request: web.Request, login: Login) -> list[str]:
    """The ids that a form suggests."""
    page, _, _ = request.app[keys.SESSIONS].queries.page(login.principal, Search(), after=None, limit=_OFFERED_SESSIONS)
    return [record.id for record in page]


def spans(t: Words) -> list[Choice]:
    """How far back; the first is without a limit."""
    return [
        Choice("", t("at any time")),
        Choice("1h", t("in the last hour")),
        Choice("24h", t("in the last 24 hours")),
        Choice("7d", t("in the last 7 days")),
    ]
