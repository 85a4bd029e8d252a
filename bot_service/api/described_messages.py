"""The operations on messages, events, webhooks and keys in words; the other half of ``described.py``."""

from __future__ import annotations

from typing import Any

from bot_service.api import delivery_schemas as bodies
from bot_service.api.openapi import Answer, Operation, Parameter
from shared.contract import keepalive

ONE = "/api/sessions/{id}"
WEBHOOK = "/api/webhooks/{webhookId}"
SESSION = {"id": "boutique"}
MESSAGE = {**SESSION, "messageId": "3EB0A1B2C3D4E5F6A7B8C9"}
HOOK = {"webhookId": "wh-0123456789abcdef"}
TEXT = {"type": "string"}
OBJECT: Any = dict[str, Any]

_LIMIT = Parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50})
_BEFORE = Parameter("before", "The `next` of the page before.", TEXT)

MESSAGES = [
    Operation(
        "POST", f"{ONE}/messages", "Messages", "Send a message",
        "Queued before this answers, sent within the session's rate. Also as a multipart form with a part `file`. "
        "The same `Idempotency-Key` gives the same message (200), never a second one. 409 `sending_frozen` says why and until when.",
        {202: Answer("The message as it is queued.", OBJECT), 200: Answer("The message of an earlier call.", OBJECT)},
        body=bodies.SendMessage, problems=(409, 413, 429), path_examples=SESSION,
        parameters=(Parameter("Idempotency-Key", "Any text of your own, one per message.", TEXT, place="header"),),
        example={"to": "33612345678", "text": "Bonjour"},
    ),
    Operation(
        "GET", f"{ONE}/messages", "Messages", "List messages", "In and out, newest first.",
        {200: Answer("A page of messages.", OBJECT)}, path_examples=SESSION,
        parameters=(
            Parameter("chat", "Only this chat: a number or a JID.", TEXT),
            Parameter("direction", "Only this direction.", {"type": "string", "enum": ["in", "out"]}),
            Parameter("state", "Only in this state.", TEXT), _LIMIT, _BEFORE,
        ),
    ),
    Operation(
        "GET", f"{ONE}/messages/{{messageId}}", "Messages", "Look at a message",
        "`queued`, `sent`, `delivered`, `read` or `failed` for one of ours.",
        {200: Answer("The message.", OBJECT)}, path_examples=MESSAGE,
    ),
    Operation(
        "GET", f"{ONE}/messages/{{messageId}}/media", "Messages", "Fetch the file of a message", "As a download.",
        {200: Answer("The file.", None, media=(), binary=("application/octet-stream",))}, path_examples=MESSAGE,
    ),
    Operation(
        "POST", f"{ONE}/read", "Messages", "Mark messages as read", "The other side sees blue ticks.",
        {204: Answer("Done.")}, body=bodies.MarkRead, problems=(409, 502, 504), path_examples=SESSION,
        example={"chat": "33612345678", "messageIds": ["3EB0A1B2C3D4E5F6A7B8C9"]},
    ),
    Operation(
        "POST", f"{ONE}/typing", "Messages", "Show typing", "`composing`, `recording` or `paused`.",
        {204: Answer("Done.")}, body=bodies.ShowTyping, problems=(409, 502, 504), path_examples=SESSION,
        example={"chat": "33612345678", "state": "composing"},
    ),
]  # fmt: skip

EVENTS = [
    Operation(
        "GET", "/api/events", "Events", "Follow events",
        "Server-sent events, in order. `Last-Event-ID` resumes where a connection ended.",
        {200: Answer("The stream; it has no end.", str, media=("text/event-stream",))},
        parameters=(
            Parameter("session", "Only events of this session.", TEXT),
            Parameter("types", "Names or patterns, separated by commas.", TEXT),
            Parameter("Last-Event-ID", "The last event that was seen.", TEXT, place="header"),
        ),
        problems=(503,),
    ),
    Operation(
        "GET", "/api/webhooks", "Events", "List webhooks", "Those of the caller's owner; an administrator sees all.",
        {200: Answer("The webhooks.", OBJECT)}, parameters=(Parameter("session", "Only of this session.", TEXT),),
    ),
    Operation(
        "POST", "/api/webhooks", "Events", "Make a webhook",
        "Events are posted to `url`, signed as Standard Webhooks. An answer `{\"reply\": \"…\"}` to a `message` is sent "
        "back to its chat, once. The signing secret is in this answer and never shown again.",
        {201: Answer("The webhook, with its secret.", OBJECT)}, body=bodies.CreateWebhook, problems=(404,),
        example={"url": "https://example.com/hook", "events": ["message", "session.*"]},
    ),
    Operation(
        "GET", WEBHOOK, "Events", "Look at a webhook", "Without its secret.",
        {200: Answer("The webhook.", OBJECT)}, path_examples=HOOK,
    ),
    Operation(
        "PATCH", WEBHOOK, "Events", "Change a webhook", "Switched off, it keeps what waits for it.",
        {200: Answer("The webhook as it is now.", OBJECT)}, body=bodies.ChangeWebhook, path_examples=HOOK,
        example={"active": False},
    ),
    Operation(
        "DELETE", WEBHOOK, "Events", "Delete a webhook", "What was on its way to it is dropped.",
        {204: Answer("It is gone.")}, path_examples=HOOK,
    ),
    Operation(
        "POST", f"{WEBHOOK}/secret", "Events", "Make a new signing secret", "In force at once.",
        {200: Answer("The webhook, with its secret.", OBJECT)}, path_examples=HOOK,
    ),
    Operation(
        "GET", "/api/deliveries", "Events", "List deliveries", "Dead letters when no state is given, newest first.",
        {200: Answer("A page of deliveries.", OBJECT)},
        parameters=(
            Parameter("state", "Only in this state.", {"type": "string", "enum": ["dead", "pending", "delivered"]}),
            Parameter("webhook", "Only to this webhook.", TEXT), _LIMIT, _BEFORE,
        ),
    ),
    Operation(
        "GET", "/api/deliveries/{webhookId}/{eventId}", "Events", "Look at a delivery", "With the body that is sent.",
        {200: Answer("The delivery.", OBJECT)}, path_examples={**HOOK, "eventId": "01KAMB3Z9Q00000ABC"},
    ),
    Operation(
        "POST", "/api/deliveries/replay", "Events", "Try dead letters again", "All of a webhook, or those named.",
        {202: Answer("How many are tried again.", OBJECT)}, body=bodies.ReplayDeliveries, problems=(404,),
        example={"webhook": "wh-0123456789abcdef"},
    ),
]  # fmt: skip

KEYS = [
    Operation("GET", "/api/keys", "Keys", "List keys", "Without the keys themselves.", {200: Answer("The keys.", OBJECT)}),
    Operation(
        "POST", "/api/keys", "Keys", "Make a key",
        "For one owner, with scopes: `session` (manage), `read`, `send`, `admin` (everything, every owner). Shown once.",
        {201: Answer("The key.", OBJECT)}, body=bodies.CreateKey,
        example={"name": "shop backend", "owner": "shop", "scopes": ["read", "send"]},
    ),
    Operation(
        "DELETE", "/api/keys/{keyId}", "Keys", "Revoke a key", "It is refused from now on.",
        {204: Answer("It is revoked.")}, path_examples={"keyId": "key-0123456789abcdef"},
    ),
]  # fmt: skip

_PUSH = {
    "bootId": "b-1", "sequence": 1, "sentAt": "2026-11-23T09:16:02Z", "startedAt": "2026-11-23T09:00:00Z",
    "pushInterval": 30000, "isRunning": True, "uptime": 3600000, "pingCount": 6, "failedPings": 0,
    "consecutiveFailures": 0, "healthUrl": "http://127.0.0.1:3000/health", "pingInterval": 600000, "state": "UP",
}  # fmt: skip

STATISTICS = [
    Operation(
        "GET", keepalive.PATH, "Watchdog", "Keep-alive statistics", "What the watchdog pushed last. Durations in ms.",
        {200: Answer("The statistics.", keepalive.KeepAlive)},
    ),
    Operation(
        "POST", keepalive.PATH, "Watchdog", "Push statistics", "From the watchdog, idempotent by (bootId, sequence).",
        {200: Answer("Taken; `accepted` is false for an old one.", keepalive.PushAccepted)},
        body=keepalive.Push, example=_PUSH, problems=(503,),
    ),
    Operation(
        "GET", "/api/metrics", "Service", "Figures for people",
        "Memory, sessions, messages and rates as JSON; `/metrics` holds them for Prometheus.",
        {200: Answer("The figures.", OBJECT)},
    ),
]  # fmt: skip

OPERATIONS = [*MESSAGES, *EVENTS, *KEYS, *STATISTICS]
