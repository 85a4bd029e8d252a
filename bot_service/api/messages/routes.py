"""The routes of messages, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.messages import handlers
from bot_service.api.messages.views import MessagePage, MessageView
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.messages.requests import EditMessage, ForwardMessage, MarkRead, SendMessage, ShowTyping

ONE = "/api/sessions/{id}"

_EXAMPLE = {
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

_KEY = Parameter(
    "Idempotency-Key",
    "Your own name for this message.",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    location="header",
)
_QUEUED = {
    202: Response("Queued.", MessageView, example=_EXAMPLE),
    200: Response("The message that an earlier call with this key made.", MessageView),
}

ROUTES = [
    Route(
        "POST", f"{ONE}/messages", handlers.send, Scope.SEND,
        "Messages", "Send a message",
        "Queued and stored before the answer. The same Idempotency-Key sends nothing twice. A file comes as base64 in "
        "`media.data`, or as the part `file` of a multipart form. 409 `sending_frozen` says why nothing may be sent now.",
        _QUEUED,
        body=SendMessage, example={"to": "33612345678", "text": "Your order is ready."},
        parameters=(_KEY,),
        problems=(409, 429, 507),
    ),
    Route(
        "GET", f"{ONE}/messages", handlers.index, Scope.READ,
        "Messages", "List messages", "Newest first, in and out.",
        {200: Response("A page of messages.", MessagePage)},
        parameters=(
            Parameter("chat", "Only this chat: a JID or a number.", TEXT),
            Parameter("direction", "Only those.", {"type": "string", "enum": ["in", "out"]}),
            Parameter("state", "Only in this state.", TEXT),
            Parameter("before", "The `next` of the page before.", {"type": "integer", "minimum": 0}),
            LIMIT,
        ),
    ),
    Route(
        "GET", f"{ONE}/messages/{{messageId}}", handlers.read, Scope.READ,
        "Messages", "Look at a message", "With the state it has now.",
        {200: Response("The message.", MessageView)},
    ),
    Route(
        "PUT", f"{ONE}/messages/{{messageId}}", handlers.edit, Scope.SEND,
        "Messages", "Edit a message",
        "The text of an own message, or the caption of its file, within 15 minutes. The edit is a message of its own "
        "(`type` `edit`, `edits`), queued behind earlier ones; the edited message stays as it is.",
        _QUEUED, body=EditMessage, example={"text": "Your order is ready since 9:00."},
        parameters=(_KEY,), problems=(409, 429),
    ),
    Route(
        "DELETE", f"{ONE}/messages/{{messageId}}", handlers.revoke, Scope.SEND,
        "Messages", "Revoke a message",
        "Deletes it on all phones, within 60 hours: an own message or, as an administrator of a group, any message of it. "
        "The revocation is a message of its own (`type` `revoke`, `revokes`).",
        _QUEUED, parameters=(_KEY,), problems=(409, 429),
    ),
    Route(
        "POST", f"{ONE}/messages/{{messageId}}/forward", handlers.forward, Scope.SEND,
        "Messages", "Forward a message", "Sends a copy, with its file and the mark of a forward.",
        _QUEUED, body=ForwardMessage, example={"to": "33612345678"}, parameters=(_KEY,), problems=(409, 429, 507),
    ),
    Route(
        "GET", f"{ONE}/messages/{{messageId}}/media", handlers.media, Scope.READ,
        "Messages", "Fetch a message's file", "As a download.",
        {200: Response("The file.", None, binary=("application/octet-stream",))},
    ),
    Route(
        "POST", f"{ONE}/read", handlers.mark_read, Scope.SEND,
        "Messages", "Mark messages as read", "The other side sees the blue ticks.",
        {204: Response("Done.")}, body=MarkRead, problems=(409, 502, 504),
        example={"chat": "33612345678", "messageIds": ["3EB0C767D26A1D8E7F"]},
    ),
    Route(
        "POST", f"{ONE}/typing", handlers.show_typing, Scope.SEND,
        "Messages", "Show typing", "Until `paused`, or for a few seconds.",
        {204: Response("Done.")}, body=ShowTyping, problems=(409, 502, 504),
        example={"chat": "33612345678", "state": "composing"},
    ),
]  # fmt: skip
