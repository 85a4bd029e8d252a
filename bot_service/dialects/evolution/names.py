"""Evolution's names for what this service has: states of instances and of messages, and fields."""

from __future__ import annotations

from bot_service.domain.states import LINKED, LIVE, State

STATUS = {
    "failed": "ERROR",
    "queued": "PENDING",
    "sent": "SERVER_ACK",
    "delivered": "DELIVERY_ACK",
    "read": "READ",
    "received": "DELIVERY_ACK",
}
# By the name of a field here. A refusal names the field that the caller has sent.
FIELDS = {
    "id": "instanceName",
    "to": "number",
    "chat": "number",
    "phone": "number",
    "replyTo": "quoted.key.id",
    "reactionTo": "key.id",
    "mentions": "mentioned",
    "contactPhone": "contact.phoneNumber",
    "media.data": "media",
    "media.url": "media",
    "media.mimeType": "mimetype",
    "media.fileName": "fileName",
    "poll.question": "name",
    "poll.options": "values",
    "poll.selectable": "selectableCount",
    "group": "groupJid",
    "members": "participants",
    "code": "inviteCode",
    "about": "status",
    "data": "picture",
    "contact": "number",
}


def state(of: State) -> str:
    """``open``, ``connecting`` or ``close``."""
    if of in LINKED:
        return "open"
    return "connecting" if of in LIVE else "close"
