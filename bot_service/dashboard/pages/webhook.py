"""``/webhooks/{id}``: one webhook; its health, and the forms that change, pause, test, rotate and delete it."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.access.public_addresses import shown_receiver
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.flash import FlashMessage
from bot_service.dashboard.guard import Form, Submit, back, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.pages.webhooks import list_path
from bot_service.dashboard.view_models import Choice, moment
from bot_service.dashboard.webhook_views import (
    SPANS_MS,
    cause,
    health_line,
    matched,
    offered,
    patterns_of,
    session_choices,
    spans,
)
from bot_service.domain.refused import invalid
from bot_service.webhooks.commands import ChangeWebhook, RotateSecret, Webhook
from bot_service.webhooks.custom_headers import hidden
from bot_service.webhooks.test_call import TestCallResult
from shared.web import body
from shared.web.ui.words import Words


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    webhooks, t = request.app[keys.WEBHOOKS], words(request)
    webhook = webhooks.commands.get(login.principal, request.match_info["webhookId"])
    health = (await webhooks.health.of([webhook]))[webhook.id]
    until = moment(webhook.old_secret_until_ms)
    return render(
        request,
        login,
        "webhook.html",
        webhook=webhook,
        name=shown_receiver(webhook.url),
        health=health_line(health, t),
        own_headers="\n".join(f"{name}: {value}" for name, value in hidden(webhook.headers).items()),
        old_until=until if until is not None and until > request.app[keys.CLOCK].now() else None,
        created=moment(webhook.created_ms),
        everybody=login.principal.owner is None,
        may_change=login.principal.may(Scope.SESSION),
        sessions=session_choices(request, login),
        events=[Choice(name, t(about)) for name, about in offered(login).items()],
        chosen=matched(login, webhook.events),
        overlaps=[
            Choice("24h", t("24 hours")),
            Choice("1h", t("one hour")),
            Choice("7d", t("7 days")),
            Choice("", t("not at all")),
        ],
        spans=spans(t),
    )


async def change(request: web.Request, login: Login, form: Form) -> str:
    commands = request.app[keys.WEBHOOKS].commands
    before = commands.get(login.principal, request.match_info["webhookId"])
    given: dict[str, object] = {
        "url": str(form.get("url", "")).strip(),
        "events": patterns_of(login, [str(value) for value in form.getall("events", [])], before.events),
        "headers": _headers(str(form.get("headers", ""))),
    }
    session = str(form.get("session", "")).strip()
    if session != login.principal.known_id(before.session or ""):
        given["session"] = session or None
    await commands.change(login.principal, before.id, body.convert(given, ChangeWebhook))
    return done(path_of(before.id), "webhook-changed")


def _headers(text: str) -> Mapping[str, str]:
    """One header a line. Refused: ``invalid``."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name:
            raise invalid("headers", "must be one header in each line, as in Authorization: Bearer abc")
        if name in found:
            raise invalid("headers", f"{name} is there twice")
        found[name] = value
    return found


def activate(*, active: bool) -> Submit:
    """The form that pauses or resumes a webhook."""

    async def run(request: web.Request, login: Login, _form: Form) -> str:
        webhook_id = request.match_info["webhookId"]
        await request.app[keys.WEBHOOKS].commands.change(login.principal, webhook_id, ChangeWebhook(active=active))
        return done(path_of(webhook_id), "webhook-resumed" if active else "webhook-paused")

    return run


async def rotate_secret(request: web.Request, login: Login, form: Form) -> str:
    """``overlap`` is how long the old secret signs too."""
    t, commands, wanted = words(request), request.app[keys.WEBHOOKS].commands, str(form.get("overlap", ""))
    webhook = commands.get(login.principal, request.match_info["webhookId"])
    if wanted and wanted not in SPANS_MS:
        raise invalid("overlap", "must be one of those offered")
    webhook = await commands.rotate_secret(login.principal, webhook.id, RotateSecret(SPANS_MS.get(wanted, 0)))
    text = t("This is the new secret. Copy it now: it will not be shown again.")
    message = FlashMessage("good", text, webhook.secret, t("Secret"))
    return request.app[DASHBOARD].flash.add(login, path_of(webhook.id), message)


async def test(request: web.Request, login: Login, form: Form) -> str:
    commands, webhook_id = request.app[keys.WEBHOOKS].commands, request.match_info["webhookId"]
    webhook, result = commands.get(login.principal, webhook_id), await commands.test(login.principal, webhook_id)
    target = back(request, form) if form.get("next") else list_path(str(form.get("session", "")))
    return request.app[DASHBOARD].flash.add(login, target, _test_message(webhook, result, words(request)))


def _test_message(webhook: Webhook, result: TestCallResult, t: Words) -> FlashMessage:
    attempt = result.attempt
    values = {"url": webhook.url, "status": attempt.status, "span": t.span(result.duration_ms)}
    if attempt.error is None:
        return FlashMessage("good", t("{url}: test passed, answered {status} after {span}.", **values))
    if attempt.status is not None:
        return FlashMessage("bad", t("{url}: test failed, answered {status} after {span}.", **values))
    why = cause(None, attempt.error, t)
    return FlashMessage("bad", t("{url}: test failed, {why}.", url=webhook.url, why=why))


async def delete(request: web.Request, login: Login, form: Form) -> str:
    await request.app[keys.WEBHOOKS].commands.delete(login.principal, request.match_info["webhookId"])
    return done(list_path(str(form.get("session", ""))), "webhook-deleted")


def path_of(webhook_id: str) -> str:
    """The page of a webhook."""
    return f"/webhooks/{webhook_id}"
