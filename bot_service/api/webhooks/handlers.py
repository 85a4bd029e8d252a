"""The handlers of webhooks: create, list, read, change, delete, test, rotate the secret."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.webhooks.views import WebhookList, new_webhook, webhook_test, webhook_view
from bot_service.webhooks.commands import ChangeWebhook, CreateWebhook, RotateSecret, Webhook, WebhookCommands
from bot_service.webhooks.health import Health
from shared.web import body
from shared.web.body import json_response


def _commands(request: web.Request) -> WebhookCommands:
    return request.app[keys.WEBHOOKS].commands


async def _health(request: web.Request, webhook: Webhook) -> Health:
    return (await request.app[keys.WEBHOOKS].health.of([webhook]))[webhook.id]


async def create(request: web.Request) -> web.Response:
    made = await _commands(request).create(principal(request), await body.read(request, CreateWebhook))
    answer = new_webhook(made, await _health(request, made))
    return json_response(answer, status=201, headers={"Location": f"/api/webhooks/{made.id}"})


async def index(request: web.Request) -> web.Response:
    found = _commands(request).visible(principal(request), request.query.get("session"))
    health = await request.app[keys.WEBHOOKS].health.of(found)
    return json_response(WebhookList([webhook_view(webhook, health[webhook.id]) for webhook in found]))


async def read(request: web.Request) -> web.Response:
    webhook = _commands(request).get(principal(request), request.match_info["webhookId"])
    return json_response(webhook_view(webhook, await _health(request, webhook)))


async def change(request: web.Request) -> web.Response:
    webhook = _commands(request).get(principal(request), request.match_info["webhookId"])
    wanted = await body.read(request, ChangeWebhook)
    changed = await _commands(request).change(principal(request), webhook.id, wanted)
    return json_response(webhook_view(changed, await _health(request, changed)))


async def delete(request: web.Request) -> web.Response:
    await _commands(request).delete(principal(request), request.match_info["webhookId"])
    return web.Response(status=204)


async def test(request: web.Request) -> web.Response:
    result = await _commands(request).test(principal(request), request.match_info["webhookId"])
    return json_response(webhook_test(result))


async def rotate_secret(request: web.Request) -> web.Response:
    wanted = await body.read(request, RotateSecret, optional=True)
    webhook = await _commands(request).rotate_secret(principal(request), request.match_info["webhookId"], wanted)
    return json_response(new_webhook(webhook, await _health(request, webhook)))
