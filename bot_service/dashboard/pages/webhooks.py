"""``/webhooks``: webhooks of all sessions or of one, with their health, made here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.flash import FlashMessage
from bot_service.dashboard.guard import Form
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice, hours, moment
from bot_service.dashboard.webhook_views import (
    LONGEST_ID,
    HealthLine,
    health_line,
    offered,
    patterns_of,
    session_choices,
)
from bot_service.webhooks.commands import CreateWebhook, Webhook
from bot_service.webhooks.health import Health
from shared.web import body
from shared.web.ui.words import Words


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """``session`` and ``owner`` are empty when the webhook hears of all of them."""

    id: str
    url: str
    events: list[str]
    session: str
    owner: str
    active: bool
    created: datetime | None
    health: HealthLine


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    """``?session=`` narrows the list to one session and fills in the form."""
    t, session = words(request), request.query.get("session", "")[:LONGEST_ID]
    webhooks = request.app[keys.WEBHOOKS]
    found = webhooks.commands.visible(login.principal, session or None)
    health = await webhooks.health.of(found)
    return render(
        request,
        login,
        "webhooks.html",
        rows=[_row(each, health[each.id], t) for each in found],
        session=session,
        sessions=session_choices(request, login),
        retry_hours=hours(request.app[keys.SETTINGS].webhook_retry_for_ms, t),
        everybody=login.principal.owner is None,
        may_change=login.principal.may(Scope.SESSION),
        events=[Choice(name, t(about)) for name, about in offered(login).items()],
    )


def _row(webhook: Webhook, health: Health, t: Words) -> WebhookRow:
    return WebhookRow(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        session=webhook.session or "",
        owner=webhook.owner or "",
        active=webhook.active,
        created=moment(webhook.created_ms),
        health=health_line(health, t),
    )


async def create(request: web.Request, login: Login, form: Form) -> str:
    t = words(request)
    given: dict[str, object] = {
        "events": patterns_of(login, [str(value) for value in form.getall("events", [])]),
        "url": str(form.get("url", "")).strip(),
    }
    session = str(form.get("session", "")).strip()
    if session:
        given["session"] = session
    webhook = await request.app[keys.WEBHOOKS].commands.create(login.principal, body.convert(given, CreateWebhook))
    text = t("Webhook created. Copy its secret now: it will not be shown again. Receivers check signatures with it.")
    message = FlashMessage("good", text, webhook.secret, t("Secret"))
    return request.app[DASHBOARD].flash.add(login, list_path(session), message)


def list_path(session: str) -> str:
    """The list, or that of one ``session``."""
    return f"/webhooks?session={quote(session[:LONGEST_ID], safe='')}" if session else "/webhooks"
