"""``/webhooks``: webhooks of all sessions or of one, made, tested and deleted here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.dashboard import wording
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.flash import FlashMessage
from bot_service.dashboard.guard import Form, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.view_models import Choice, hours, moment
from bot_service.events.subscriptions import EVENT_TYPES
from bot_service.webhooks.commands import CreateWebhook, Webhook
from bot_service.webhooks.test_call import TestCallResult
from shared.web import body
from shared.web.ui.words import Words

FOR_ADMINISTRATORS = "service."
LONGEST_ID = 80


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


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    """``?session=`` narrows the list to one session and fills in the form."""
    t, session = words(request), request.query.get("session", "")[:LONGEST_ID]
    return render(
        request,
        login,
        "webhooks.html",
        rows=[_row(each) for each in request.app[keys.WEBHOOKS].commands.visible(login.principal, session or None)],
        session=session,
        retry_hours=hours(request.app[keys.SETTINGS].webhook_retry_for_ms, t),
        everybody=login.principal.owner is None,
        may_change=login.principal.may(Scope.SESSION),
        events=[Choice(name, t(about)) for name, about in _offered(login).items()],
    )


def _row(webhook: Webhook) -> WebhookRow:
    return WebhookRow(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        session=webhook.session or "",
        owner=webhook.owner or "",
        active=webhook.active,
        created=moment(webhook.created_ms),
    )


def _offered(login: Login) -> dict[str, str]:
    """Events of the service itself concern every owner."""
    everybody = login.principal.owner is None
    return {name: about for name, about in EVENT_TYPES.items() if everybody or not name.startswith(FOR_ADMINISTRATORS)}


async def create(request: web.Request, login: Login, form: Form) -> str:
    t, chosen = words(request), [str(value) for value in form.getall("events", [])]
    given: dict[str, object] = {
        # All events that are offered, ticked, include future ones.
        "events": ["*"] if set(chosen) >= set(_offered(login)) else chosen,
        "url": str(form.get("url", "")).strip(),
    }
    session = str(form.get("session", "")).strip()
    if session:
        given["session"] = session
    webhook = await request.app[keys.WEBHOOKS].commands.create(login.principal, body.convert(given, CreateWebhook))
    text = t("Webhook created. Copy its secret now: it will not be shown again. Receivers check signatures with it.")
    message = FlashMessage("good", text, webhook.secret, t("Secret"))
    return request.app[DASHBOARD].flash.add(login, _address(session), message)


async def test(request: web.Request, login: Login, form: Form) -> str:
    commands, webhook_id = request.app[keys.WEBHOOKS].commands, request.match_info["webhookId"]
    webhook, result = commands.get(login.principal, webhook_id), await commands.test(login.principal, webhook_id)
    message = _test_message(webhook, result, words(request))
    return request.app[DASHBOARD].flash.add(login, _address(str(form.get("session", ""))), message)


def _test_message(webhook: Webhook, result: TestCallResult, t: Words) -> FlashMessage:
    attempt = result.attempt
    values = {"url": webhook.url, "status": attempt.status, "span": t.span(result.duration_ms)}
    if attempt.error is None:
        return FlashMessage("good", t("{url}: test passed, answered {status} after {span}.", **values))
    if attempt.status is not None:
        return FlashMessage("bad", t("{url}: test failed, answered {status} after {span}.", **values))
    why = wording.NO_ANSWER.get(attempt.error, "no answer")
    return FlashMessage("bad", t("{url}: test failed, {why}.", url=webhook.url, why=t(why)))


async def delete(request: web.Request, login: Login, form: Form) -> str:
    await request.app[keys.WEBHOOKS].commands.delete(login.principal, request.match_info["webhookId"])
    return done(_address(str(form.get("session", ""))), "webhook-deleted")


def _address(session: str) -> str:
    return f"/webhooks?session={quote(session[:LONGEST_ID], safe='')}" if session else "/webhooks"
