"""The handlers of webhooks: create, list, read, change, delete, test, rotate the secret."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.webhooks.views import WebhookList, new_webhook, webhook_test, webhook_view
from bot_service.webhooks.commands import ChangeWebhook, CreateWebhook, WebhookCommands
from shared.web import body
from shared.web.body import json_response


def _commands(request: web.Request) -> WebhookCommands:
    return request.app[keys.WEBHOOKS].commands


async def create(request: web.Request) -> web.Response:
    webhook = await _commands(request).create(principal(request), await body.read(request, CreateWebhook))
    return json_response(new_webhook(webhook), status=201, headers={"Location": f"/api/webhooks/{webhook.id}"})


async def index(request: web.Request) -> web.Response:
    found = _commands(request).visible(principal(request), request.query.get("session"))
    return json_response(WebhookList([webhook_view(webhook) for webhook in found]))


async def read(request: web.Request) -> web.Response:
    return json_response(webhook_view(_commands(request).get(principal(request), request.match_info["webhookId"])))


async def change(request: web.Request) -> web.Response:
    webhook = _commands(request).get(principal(request), request.match_info["webhookId"])
    wanted = await body.read(request, ChangeWebhook)
    return json_response(webhook_view(await _commands(request).change(principal(request), webhook.id, wanted)))


async def delete(request: web.Request) -> web.Response:
    await _commands(request).delete(principal(request), request.match_info["webhookId"])
    return web.Response(status=204)


async def test(request: web.Request) -> web.Response:
    result = await _commands(request).test(principal(request), request.match_info["webhookId"])
    return json_response(webhook_test(result))


async def rotate_secret(request: web.Request) -> web.Response:
    webhook = await _commands(request).rotate_secret(principal(request), request.match_info["webhookId"])
    return json_response(new_webhook(webhook))
