"""An example of every event that webhooks get."""

from __future__ import annotations

from typing import Any

_AT = "2026-11-23T09:16:02.000Z"
_CUSTOMER = "33612345678@s.whatsapp.net"
_SERVICE = ("service.alert", "service.recovered")

_GROUP = "120363041234567890@g.us"
_IN_GROUP = {"session": "boutique", "group": _GROUP, "by": _CUSTOMER, "at": _AT}
_STATE = {
    "session": "boutique",
    "name": "Boutique",
    "state": "READY",
    "previous": "SYNCING",
    "wanted": "run",
    "reason": "synced",
    "detail": None,
    "acts": "nobody",
    "since": _AT,
}

_DATA: dict[str, dict[str, Any]] = {
    "message": {
        "session": "boutique",
        "chat": _CUSTOMER,
        "id": "3EB0C767D0D1A2B3C4D5E6",
        "sender": _CUSTOMER,
        "atMs": 1795425362000,
        "type": "text",
        "text": "Is my order ready?",
        "pushName": "Ann",
        "at": _AT,
    },
    "message.status": {
        "id": "3EB0C767D0D1A2B3C4D5E7",
        "session": "boutique",
        "chat": _CUSTOMER,
        "state": "sent",
        "at": _AT,
        "message": {
            "id": "3EB0C767D0D1A2B3C4D5E7",
            "to": _CUSTOMER,
            "type": "text",
            "text": "Your order is ready.",
        },
    },
    "call.received": {
        "id": "3EB0C767",
        "session": "boutique",
        "from": _CUSTOMER,
        "video": False,
        "group": None,
        "at": _AT,
    },
    "group.joined": {
        **_IN_GROUP,
        "info": {
            "id": _GROUP,
            "subject": "Orders",
            "description": "",
            "owner": _CUSTOMER,
            "created": _AT,
            "announce": False,
            "locked": False,
            "members": [{"jid": _CUSTOMER, "admin": True}, {"jid": "33698765432@s.whatsapp.net"}],
        },
    },
    "group.left": _IN_GROUP,
    "group.members": {**_IN_GROUP, "action": "add", "members": ["33698765432@s.whatsapp.net"]},
    "group.updated": {**_IN_GROUP, "subject": "Orders of December"},
    "presence.update": {
        "session": "boutique",
        "chat": _CUSTOMER,
        "from": _CUSTOMER,
        "state": "composing",
        "lastSeen": None,
        "at": _AT,
    },
    "session.state": _STATE,
    "session.qr": {"kind": "qr", "expiresAt": "2026-11-23T09:16:22.000Z"},
    "session.attention": {
        **_STATE,
        "state": "BANNED",
        "previous": "BANNED",
        "reason": "banned",
        "acts": "owner",
        "attention": "banned",
    },
    "session.deleted": {"session": "boutique", "name": "Boutique"},
    "service.alert": {
        "kind": "sessions_need_person",
        "title": "Session Boutique (boutique) needs a person",
        "text": "Session Boutique (boutique) needs a person: WhatsApp banned this number. What to do: look at the phone.",
        "session": "boutique",
        "severity": "critical",
        "count": 1,
        "needs": {"banned": 1},
        "sessions": [
            {
                "session": "boutique",
                "name": "Boutique",
                "need": "banned",
                "link": "https://bots.example.com/sessions/boutique",
            }
        ],
    },
    "service.recovered": {
        "kind": "watchdog_silent",
        "text": "The watchdog sends its statistics again",
        "since": "2026-11-23T09:10:00.000Z",
    },
    "webhook.test": {"webhook": "wh-0123456789abcdef"},
}


def of(type_: str) -> dict[str, Any]:
    """The whole body of an event of ``type_``."""
    return {
        "id": "06E9ZQ4WJ000000A1B",
        "type": type_,
        "timestamp": _AT,
        "session": None if type_ in _SERVICE else "boutique",
        "data": _DATA[type_],
    }
