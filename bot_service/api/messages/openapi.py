"""The operations on messages, events, webhooks, deliveries and keys in words; the other half of ``described.py``."""

from __future__ import annotations

from bot_service.api.health import statistics
from bot_service.api.messages import answers, schemas
from bot_service.api.server.openapi import Answer, Operation, Parameter, Told
from bot_service.events.publisher import Envelope
from bot_service.events.subscriptions import EVENT_TYPES
from shared.contract import keepalive

ONE = "/api/sessions/{id}"
WEBHOOK = "/api/webhooks/{webhookId}"
SESSION = {"id": "boutique"}
TEXT = {"type": "string"}
LIMIT = Parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50})

_MESSAGE = {
    "id": "3EB0C767D26A1D8E7F",
    "session": "boutique",
    "chat": "33612345678@s.whatsapp.net",
    "direction": "out",
    "type": "text",
    "at": "2026-11-23T09:16:02.000Z",
    "state": "queued",
    "stateAt": "2026-11-23T09:16:02.000Z",
    "text": "Your order is ready.",
}

MESSAGES = [
    Operation(
        "POST", f"{ONE}/messages", "Messages", "Send a message",
        "Queued and stored before the answer. The same Idempotency-Key sends nothing twice. A file comes as base64 in "
        "`media.data`, or as the part `file` of a multipart form. 409 `sending_frozen` says why nothing may be sent now.",
        {202: Answer("Queued.", answers.MessageView, example=_MESSAGE),
         200: Answer("The message that an earlier call with this key made.", answers.MessageView)},
        body=schemas.SendMessage, example={"to": "33612345678", "text": "Your order is ready."},
        parameters=(
            Parameter("Idempotency-Key", "Your own name for this message.",
                      {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}, place="header"),
        ),
        problems=(409, 429, 507), path_examples=SESSION,
    ),
    Operation(
        "GET", f"{ONE}/messages", "Messages", "List messages", "Newest first, in and out.",
        {200: Answer("A page of messages.", answers.MessagePage)},
        parameters=(
            Parameter("chat", "Only this chat: a JID or a number.", TEXT),
            Parameter("direction", "Only those.", {"type": "string", "enum": ["in", "out"]}),
            Parameter("state", "Only in this state.", TEXT),
            Parameter("before", "The `next` of the page before.", {"type": "integer", "minimum": 0}),
            LIMIT,
        ),
        path_examples=SESSION,
    ),
    Operation(
        "GET", f"{ONE}/messages/{{messageId}}", "Messages", "Look at a message", "With the state it has now.",
        {200: Answer("The message.", answers.MessageView)}, path_examples=SESSION,
    ),
    Operation(
        "GET", f"{ONE}/messages/{{messageId}}/media", "Messages", "Fetch a message's file", "As a download.",
        {200: Answer("The file.", None, binary=("application/octet-stream",))}, path_examples=SESSION,
    ),
    Operation(
        "POST", f"{ONE}/read", "Messages", "Mark messages as read", "The other side sees the blue ticks.",
        {204: Answer("Done.")}, body=schemas.MarkRead, problems=(409, 502, 504), path_examples=SESSION,
        example={"chat": "33612345678", "messageIds": ["3EB0C767D26A1D8E7F"]},
    ),
    Operation(
        "POST", f"{ONE}/typing", "Messages", "Show typing", "Until `paused`, or for a few seconds.",
        {204: Answer("Done.")}, body=schemas.ShowTyping, problems=(409, 502, 504), path_examples=SESSION,
        example={"chat": "33612345678", "state": "composing"},
    ),
]  # fmt: skip

EVENTS = [
    Operation(
        "GET", "/api/events", "Events", "Follow events",
        "Server-sent events, in order; `Last-Event-ID` goes on from there, `0` begins with the oldest. An event `gap` says that older ones are gone.",
        {200: Answer("The stream; it has no end.", str, media=("text/event-stream",))},
        parameters=(
            Parameter("session", "Only this session's.", TEXT),
            Parameter("Last-Event-ID", "The last event that was seen.", TEXT, place="header"),
            Parameter("types", "Names or patterns, separated by commas.", {**TEXT, "default": "*"}),
        ),
        problems=(503,),
    ),
    Operation(
        "GET", "/api/webhooks", "Events", "List webhooks", "Those of this key's owner; all for an administrator.",
        {200: Answer("The webhooks.", answers.WebhookList)},
        parameters=(Parameter("session", "Only those of one session.", TEXT),),
    ),
    Operation(
        "POST", "/api/webhooks", "Events", "Create a webhook",
        "Events are posted to `url`, signed by Standard Webhooks, retried for hours. An answer `{\"reply\": \"…\"}` to a "
        "`message` is sent back to the chat.",
        {201: Answer("The webhook, with its secret.", answers.NewWebhook)}, body=schemas.CreateWebhook, problems=(404,),
        example={"url": "https://shop.example.com/hook", "events": ["message", "session.*"]},
    ),
    Operation(
        "GET", WEBHOOK, "Events", "Look at a webhook", "Without its secret.",
        {200: Answer("The webhook.", answers.WebhookView)},
    ),
    Operation(
        "PATCH", WEBHOOK, "Events", "Change a webhook", "Address, events, and whether it is active.",
        {200: Answer("The webhook as it is now.", answers.WebhookView)}, body=schemas.ChangeWebhook,
        example={"active": False},
    ),
    Operation(
        "DELETE", WEBHOOK, "Events", "Delete a webhook", "What was on its way to it is dropped.",
        {204: Answer("It is gone.")},
    ),
    Operation(
        "POST", f"{WEBHOOK}/test", "Events", "Test a webhook",
        "One event of the type `webhook.test` now, signed like every other, tried once and kept nowhere.",
        {200: Answer("What came of it.", answers.WebhookTest,
                     example={"event": "06E9ZQ4WJ000000A1B", "delivered": True, "status": 200, "error": None, "durationMs": 45})},
    ),
    Operation(
        "POST", f"{WEBHOOK}/secret", "Events", "Rotate a webhook's secret", "A new one, in force at once.",
        {200: Answer("The webhook, with its new secret.", answers.NewWebhook)},
    ),
    Operation(
        "GET", "/api/deliveries", "Events", "List deliveries", "Newest first; dead letters when no state is given.",
        {200: Answer("A page of deliveries.", answers.DeliveryPage)},
        parameters=(
            Parameter("state", "Only those.", {"type": "string", "enum": ["dead", "pending", "delivered"]}),
            Parameter("webhook", "Only those to one webhook.", TEXT),
            Parameter("before", "The `next` of the page before.", TEXT),
            LIMIT,
        ),
    ),
    Operation(
        "POST", "/api/deliveries/replay", "Events", "Send dead letters again", "All of a webhook, or those named.",
        {202: Answer("They are tried again.", answers.Replayed, example={"replayed": 3})},
        body=schemas.ReplayDeliveries, problems=(404,), example={"webhook": "wh-0123456789abcdef"},
    ),
    Operation(
        "GET", "/api/deliveries/{webhookId}/{eventId}", "Events", "Look at a delivery", "With the body that is sent.",
        {200: Answer("The delivery.", answers.DeliveryWithBody)},
    ),
]  # fmt: skip

KEYS = [
    Operation("GET", "/api/keys", "Keys", "List keys", "Revoked ones too; never the keys themselves.",
              {200: Answer("The keys.", answers.KeyList)}),
    Operation(
        "POST", "/api/keys", "Keys", "Make a key", "It is shown in this answer and never again; only a hash is kept.",
        {201: Answer("The key.", answers.NewKey)}, body=schemas.CreateKey,
        example={"name": "Shop", "owner": "shop", "scopes": ["session", "read", "send"]},
    ),
    Operation("DELETE", "/api/keys/{keyId}", "Keys", "Revoke a key", "It is refused from now on.",
              {204: Answer("It is revoked.")}),
]  # fmt: skip

STATISTICS = [
    Operation(
        "GET", keepalive.PATH, "Watchdog", "Keep-alive statistics",
        "What the watchdog pushed last. The first eight keys count since its start; `lifetime` over restarts.",
        {200: Answer("The statistics.", keepalive.KeepAlive)},
    ),
    Operation(
        "POST", keepalive.PATH, "Watchdog", "Push statistics",
        "The watchdog's own call. Idempotent by (`bootId`, `sequence`).",
        {200: Answer("Taken, or older than what is known.", keepalive.PushAccepted)}, body=keepalive.Push,
        example={
            "bootId": "w1", "sequence": 1, "sentAt": "2026-11-23T09:16:02Z", "startedAt": "2026-11-23T09:00:00Z",
            "pushInterval": 30000, "isRunning": True, "uptime": 962000, "pingCount": 2, "failedPings": 0,
            "consecutiveFailures": 0, "healthUrl": "http://bot:3000/health", "pingInterval": 600000, "state": "UP",
        },
    ),
    Operation("GET", "/api/metrics", "Service", "Figures for people", "As JSON; Prometheus reads `/metrics`.",
              {200: Answer("The figures.", statistics.Statistics)}),
]  # fmt: skip

TOLD = Told(
    "Standard Webhooks: check the signature before anything else, and use `webhook-id` to know what came twice. Events of "
    "one session come in order. The types of events, and `webhook.test` for a test:",
    Envelope,
    EVENT_TYPES,
    {
        "webhook-id": "The event's id, the same at every try.",
        "webhook-timestamp": "Of this try, in seconds since the epoch.",
        "webhook-signature": "`v1,` and the signature of id, timestamp and body by the webhook's secret.",
    },
    {
        "id": "06E9ZQ4WJ000000A1B", "type": "session.state", "timestamp": "2026-11-23T09:16:02.000Z", "session": "boutique",
        "data": {
            "session": "boutique", "name": "Boutique", "state": "READY", "previous": "SYNCING", "wanted": "run",
            "reason": "synced", "detail": None, "acts": "nobody", "since": "2026-11-23T09:16:02.000Z",
        },
    },
)  # fmt: skip

OPERATIONS = [*MESSAGES, *EVENTS, *KEYS, *STATISTICS]
