"""Operations of WAHA that this service does not have, by the first parts of their path, and why."""

from __future__ import annotations

import re

_BUSINESS = "WhatsApp shows it of business accounts only"
_SHARED = "the library cannot change what an account shares between its devices"
_FILES = "files are sent as they are: voice messages should be Opus in Ogg, videos MP4"
NOT_HERE = {
    "/api/{session}/auth/passkey": "the library has no call to answer a passkey: remove it on the phone, then scan again",
    "/api/keys": "keys are those of Veilleur: `/api/keys`, `veilleur keys`, or the page of keys",
    "/api/{session}/profile/picture": "the library cannot send an empty picture: set another",
    "/api/sendButtons": _BUSINESS,
    "/api/sendList": _BUSINESS,
    "/api/send/buttons/reply": "buttons are read, and not answered",
    "/api/sendPollVote": "votes are read, and not cast",
    "/api/{session}/new-message-id": "this service makes the ids: `Idempotency-Key` sends a message once",
    "/api/{session}/chats/{chatId}/messages/{messageId}": "a message cannot be pinned",
    "/api/{session}/chats/{chatId}/messages": "messages are kept until they are too old (`MESSAGE_RETENTION`)",
    "/api/{session}/chats/{chatId}/archive": _SHARED,
    "/api/{session}/chats/{chatId}/unarchive": _SHARED,
    "/api/{session}/chats/{chatId}/unread": _SHARED,
    "/api/{session}/chats/{chatId}": "chats are kept as long as their messages",
    "/api/{session}/channels/search": "the library cannot search channels: ask for one by its id or the code of its link",
    "/api/{session}/channels/{id}/messages": "what a channel has published is not fetched",
    "/api/{session}/channels/{id}": "a channel cannot be deleted: delete it on the phone",
    "/api/{session}/status": "this service makes the ids of statuses: `Idempotency-Key` posts one once",
    "/api/{session}/labels": _SHARED,
    "/api/{session}/contacts": "contacts are kept on the phone",
    "/api/{session}/groups/{id}/picture": "the library cannot send an empty picture: set another",
    "/api/{session}/groups/{id}": "a group cannot be deleted: `POST …/leave` leaves it",
    "/api/screenshot": "there is no browser",
    "/api/{session}/events": "invitations to an event cannot be sent",
    "/api/server/environment": "`veilleur doctor` shows the settings to operators",
    "/api/server/stop": "operators restart the service",
    "/api/server/debug": "operators have `/metrics`",
    "/api/{session}/media/convert": _FILES,
    "/api/apps": "programs get events through webhooks",
    "/mcp": "`/mcp` of this service is at its root",
}
_PATTERNS = [
    (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "(?:/|$)"), why)
    for path, why in sorted(NOT_HERE.items(), key=lambda each: each[0].count("{"))
]


def reason(path: str) -> str | None:
    """Why an operation with this path, without the prefix, is not here; None for what WAHA does not have either."""
    return next((why for pattern, why in _PATTERNS if pattern.match(path)), None)
