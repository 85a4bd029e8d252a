"""``GET /webhooks``: where events go, of all sessions or of one; made, tested and deleted here, the secret shown once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.messages.schemas import CreateWebhook
from bot_service.api.webhooks import handlers as webhooks
from bot_service.dashboard import wording
from bot_service.dashboard.context import DESK, Form, done
from bot_service.dashboard.flash import Said
from bot_service.dashboard.login import Login
from bot_service.dashboard.page_context import base_context
from bot_service.dashboard.view_models import moment
from bot_service.events.subscriptions import EVENT_TYPES
from bot_service.store.deliveries import Webhook
from bot_service.webhooks.test_call import TestCallResult
from shared.web import body
from shared.web.ui.words import Words

FOR_ADMINISTRATORS = "service."


@dataclass(frozen=True, slots=True)
class Row:
    """``session`` and ``owner`` are empty when the webhook hears of all of them."""

    id: str
    url: str
    events: list[str]
    session: str
    owner: str
    active: bool
    created: datetime | None


@dataclass(frozen=True, slots=True)
class EventChoice:
    name: str
    about: str


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    """``?session=`` narrows the list to one session and fills in the form."""
    t = request.app[DESK].pages.words(request)
    session = request.query.get("session", "")[:64]
    found = [each for each in webhooks.seen(request) if not session or each.session == session]
    return request.app[DESK].pages.render(
        request,
        "webhooks.html",
        **base_context(request, login),
        rows=[_row(each) for each in found],
        session=session,
        everybody=login.principal.owner is None,
        may_change=login.principal.may(Scope.SESSION),
        events=[EventChoice(name, t(about)) for name, about in _offered(login).items()],
    )


def _row(webhook: Webhook) -> Row:
    return Row(
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
    desk = request.app[DESK]
    t = desk.pages.words(request)
    chosen = [str(value) for value in form.getall("events", [])]
    given: dict[str, object] = {
        # Every event that is offered, ticked, means those to come as well.
        "events": ["*"] if set(chosen) >= set(_offered(login)) else chosen,
        "url": str(form.get("url", "")).strip(),
    }
    session = str(form.get("session", "")).strip()
    if session:
        given["session"] = session
    webhook = await webhooks.make(request.app, login.principal, body.convert(given, CreateWebhook))
    word = desk.once.keep(
        login,
        Said(
            "good",
            t("The webhook is there. Its secret is shown now and never again; the receiver checks signatures with it."),
            webhook.secret,
            t("Secret"),
        ),
    )
    return _with_once(_here(session), word)


async def test(request: web.Request, login: Login, form: Form) -> str:
    desk = request.app[DESK]
    webhook = webhooks.webhook_of(request)
    trial = await request.app[keys.WEBHOOKS].test_call.run(webhook)
    word = desk.once.keep(login, _said(webhook, trial, desk.pages.words(request)))
    return _with_once(_here(str(form.get("session", ""))), word)


def _said(webhook: Webhook, trial: TestCallResult, t: Words) -> Said:
    attempt = trial.attempt
    values = {"url": webhook.url, "status": attempt.status, "span": t.span(trial.duration_ms)}
    if attempt.error is None:
        return Said("good", t("{url} took the test event: {status}, after {span}.", **values))
    if attempt.status is not None:
        return Said("bad", t("{url} refused the test event: {status}, after {span}.", **values))
    why = wording.NO_ANSWER.get(attempt.error, "no answer")
    return Said("bad", t("{url} did not get the test event: {why}.", url=webhook.url, why=t(why)))


async def delete(request: web.Request, _login: Login, form: Form) -> str:
    await webhooks.remove(request.app, webhooks.webhook_of(request))
    return done(_here(str(form.get("session", ""))), "webhook-deleted")


def _here(session: str) -> str:
    return f"/webhooks?session={quote(session[:64], safe='')}" if session else "/webhooks"


def _with_once(target: str, word: str) -> str:
    return f"{target}{'&' if '?' in target else '?'}once={word}"
