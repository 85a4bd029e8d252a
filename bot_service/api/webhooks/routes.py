"""The routes of webhooks, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.server.route import TEXT, Parameter, Response, Route
from bot_service.api.webhooks import handlers
from bot_service.api.webhooks.views import NewWebhook, WebhookList, WebhookTest, WebhookView
from bot_service.webhooks.commands import ChangeWebhook, CreateWebhook, RotateSecret

WEBHOOK = "/api/webhooks/{webhookId}"

ROUTES = [
    Route(
        "GET", "/api/webhooks", handlers.index, Scope.READ,
        "Events", "List webhooks", "Those of this key's owner; all for an administrator.",
        {200: Response("The webhooks.", WebhookList)},
        parameters=(Parameter("session", "Only those of one session.", TEXT),),
    ),
    Route(
        "POST", "/api/webhooks", handlers.create, Scope.SESSION,
        "Events", "Create a webhook",
        "Events are posted to `url`, signed by Standard Webhooks, retried for hours. An answer `{\"reply\": \"…\"}` to a "
        "`message` is sent back to the chat.",
        {201: Response("The webhook, with its secret.", NewWebhook)}, body=CreateWebhook, problems=(404,),
        example={"url": "https://shop.example.com/hook", "events": ["message", "session.*"]},
    ),
    Route(
        "GET", WEBHOOK, handlers.read, Scope.READ,
        "Events", "Get a webhook", "Without its secret.",
        {200: Response("The webhook.", WebhookView)},
    ),
    Route(
        "PATCH", WEBHOOK, handlers.change, Scope.SESSION,
        "Events", "Change a webhook",
        "Address, events, session, headers, and whether it is active. What is not given stays.",
        {200: Response("The webhook as it is now.", WebhookView)}, body=ChangeWebhook,
        example={"active": False},
    ),
    Route(
        "DELETE", WEBHOOK, handlers.delete, Scope.SESSION,
        "Events", "Delete a webhook", "What was on its way to it is dropped.",
        {204: Response("Deleted.")},
    ),
    Route(
        "POST", f"{WEBHOOK}/test", handlers.test, Scope.SESSION,
        "Events", "Test a webhook",
        "One event of the type `webhook.test` now, signed like every other, tried once and kept nowhere.",
        {200: Response("The result of the call.", WebhookTest,
                     example={"event": "06E9ZQ4WJ000000A1B", "delivered": True, "status": 200, "error": None, "durationMs": 45, "answer": None})},
    ),
    Route(
        "POST", f"{WEBHOOK}/secret", handlers.rotate_secret, Scope.SESSION,
        "Events", "Rotate a webhook's secret",
        "A new one, in force at once. For `overlap` (a day) requests carry a second signature, by the old secret.",
        {200: Response("The webhook, with its new secret.", NewWebhook)},
        body=RotateSecret, body_optional=True, example={"overlap": 3_600_000},
    ),
]  # fmt: skip
