"""``/api/webhooks``: made, listed, changed, tried and deleted; the signing secret is shown when it is made and never again."""

from __future__ import annotations

import dataclasses
import secrets

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Principal, principal
from bot_service.api.messages.answers import WebhookList, new_webhook, webhook_test, webhook_view
from bot_service.api.messages.schemas import ChangeWebhook, CreateWebhook
from bot_service.api.sessions.lookup import may_see
from bot_service.events.subscriptions import unknown_patterns
from bot_service.store import deliveries
from bot_service.store.deliveries import Webhook
from bot_service.webhooks import signing
from bot_service.webhooks.addresses import is_reachable_url, refusal_of_url
from shared.clock import to_ms
from shared.web import body, errors
from shared.web.body import json_response


async def create(request: web.Request) -> web.Response:
    webhook = await make(request.app, principal(request), await body.read(request, CreateWebhook))
    return json_response(new_webhook(webhook), status=201, headers={"Location": f"/api/webhooks/{webhook.id}"})


async def make(app: web.Application, who: Principal, wish: CreateWebhook) -> Webhook:
    """For the API and the dashboard alike. Raises :class:`errors.Problem` when ``who`` may not, or a field cannot be used."""
    owner = _owner(app, wish, who)
    _check(app, wish.url, wish.events)
    secret = wish.secret or signing.new_secret()
    try:
        signing.key_of(secret)
    except ValueError as error:
        raise errors.invalid("secret", f"{error}: whsec_ and base64") from None
    now_ms = to_ms(app[keys.CLOCK].now())
    webhook = Webhook(
        id=f"wh-{secrets.token_hex(8)}",
        owner=owner,
        session=wish.session,
        url=wish.url,
        secret=secret,
        events=tuple(wish.events),
        active=wish.active,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    await _save(app, webhook)
    return webhook


async def index(request: web.Request) -> web.Response:
    """``?session=`` narrows the list to those of one session."""
    session = request.query.get("session")
    found = [webhook for webhook in seen(request) if session is None or webhook.session == session]
    return json_response(WebhookList([webhook_view(webhook) for webhook in found]))


async def read(request: web.Request) -> web.Response:
    return json_response(webhook_view(webhook_of(request)))


async def change(request: web.Request) -> web.Response:
    webhook, app = webhook_of(request), request.app
    wish = await body.read(request, ChangeWebhook)
    _check(app, wish.url or webhook.url, wish.events or list(webhook.events))
    changed = dataclasses.replace(
        webhook,
        url=wish.url or webhook.url,
        events=tuple(wish.events) if wish.events is not None else webhook.events,
        active=webhook.active if wish.active is None else wish.active,
        updated_ms=to_ms(app[keys.CLOCK].now()),
    )
    await _save(app, changed)
    return json_response(webhook_view(changed))


async def delete(request: web.Request) -> web.Response:
    """What was on its way to it is dropped."""
    await remove(request.app, webhook_of(request))
    return web.Response(status=204)


async def remove(app: web.Application, webhook: Webhook) -> None:
    async with app[keys.DATABASE].write() as connection:
        await deliveries.delete_webhook(connection, webhook.id)
    app[keys.EVENTS].subscriptions.remove(webhook.id)


async def test(request: web.Request) -> web.Response:
    """One call now, whether the webhook is active or not; what came of it is the answer."""
    return json_response(webhook_test(await request.app[keys.WEBHOOKS].test_call.run(webhook_of(request))))


async def rotate(request: web.Request) -> web.Response:
    """A new signing secret, in force at once."""
    webhook = dataclasses.replace(
        webhook_of(request), secret=signing.new_secret(), updated_ms=to_ms(request.app[keys.CLOCK].now())
    )
    await _save(request.app, webhook)
    return json_response(new_webhook(webhook))


def seen(request: web.Request) -> list[Webhook]:
    """The webhooks that the caller may know of."""
    who = principal(request)
    return [webhook for webhook in request.app[keys.EVENTS].subscriptions.all() if who.owner in (None, webhook.owner)]


def webhook_of(request: web.Request) -> Webhook:
    """The webhook of the path; 404 also for one of another owner."""
    webhook = request.app[keys.EVENTS].subscriptions.get(request.match_info["webhookId"])
    if webhook is None or principal(request).owner not in (None, webhook.owner):
        raise errors.not_found("this webhook")
    return webhook


def _owner(app: web.Application, wish: CreateWebhook, who: Principal) -> str | None:
    if wish.session is not None:
        record = app[keys.SESSIONS].registry.get(wish.session)
        if record is None or not may_see(who, record):
            raise errors.not_found("this session")
        return record.owner
    if who.owner is not None and wish.owner not in (None, who.owner):
        raise errors.forbidden("only an administrator makes webhooks for another owner")
    return who.owner or wish.owner


def _check(app: web.Application, url: str, patterns: list[str]) -> None:
    unknown = unknown_patterns(patterns)
    if unknown:
        raise errors.invalid("events", f"no event is called {unknown[0]}")
    if not is_reachable_url(url):
        raise errors.invalid("url", "must be a whole http or https address")
    why = None if app[keys.SETTINGS].webhook_allow_private else refusal_of_url(url)
    if why is not None:
        raise errors.invalid("url", f"{why}; WEBHOOK_ALLOW_PRIVATE=true allows it")


async def _save(app: web.Application, webhook: Webhook) -> None:
    async with app[keys.DATABASE].write() as connection:
        await deliveries.save_webhook(connection, webhook)
    app[keys.EVENTS].subscriptions.put(webhook)
