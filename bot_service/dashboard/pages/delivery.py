"""``/deliveries/{webhook}/{event}``: one delivery; the request, every attempt with its answer, the next try."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.access.public_addresses import shown_receiver
from bot_service.dashboard.context import render, words
from bot_service.dashboard.login import Login
from bot_service.dashboard.pages.deliveries import ALERTS, delivery_row
from bot_service.dashboard.view_models import moment
from bot_service.dashboard.webhook_views import cause
from bot_service.webhooks.tries import Try, tries_of
from shared.web.ui.words import Words


@dataclass(frozen=True, slots=True)
class TryLine:
    """One attempt; ``answer`` is the beginning of what came back, often empty."""

    at: datetime | None
    kind: str
    result: str
    span: str
    answer: str


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    webhooks, t, match = request.app[keys.WEBHOOKS], words(request), request.match_info
    found = await webhooks.deliveries.get(login.principal, match["webhookId"], match["eventId"])
    webhook = next((each for each in webhooks.commands.visible(login.principal) if each.id == found.webhook), None)
    receiver = ALERTS if webhook is None else shown_receiver(webhook.url)
    return render(
        request,
        login,
        "delivery.html",
        row=delivery_row(found, login.principal, receiver, webhooks.deliveries.next_try_ms(found), t),
        webhook=found.webhook if webhook is not None else "",
        event=found.event,
        finished=moment(found.finished_ms),
        sent=webhooks.deliveries.request_of(found),
        body=msgspec.json.format(found.body, indent=2).decode(),
        tries=[_line(each, t) for each in reversed(tries_of(found))],
    )


def _line(made: Try, t: Words) -> TryLine:
    return TryLine(
        at=moment(made.at_ms),
        kind="good" if made.error is None else "bad",
        result=cause(made.status, made.error, t),
        span=t.span(made.duration_ms),
        answer=made.answer or "",
    )
