"""Events of this service as Evolution's webhooks name and show them. No body has an API key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from bot_service.dialects.evolution import names, views
from bot_service.domain.addresses import without_device
from bot_service.domain.message import InboundMessage, OutgoingMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State
from bot_service.events.dialects import TEST_EVENT, Envelope
from bot_service.sessions.pairing_codes import PairingCode
from shared.clock import parse_iso, to_ms

# Evolution's events as clients choose them, and the events of this service that they are made of.
# Those with none never come.
SOURCES: dict[str, tuple[str, ...]] = {
    "MESSAGES_UPSERT": ("message",),
    "MESSAGES_EDITED": ("message",),
    "MESSAGES_DELETE": ("message",),
    "MESSAGES_UPDATE": ("message.status",),
    "SEND_MESSAGE": ("message.status",),
    "CONNECTION_UPDATE": ("session.state",),
    "LOGOUT_INSTANCE": ("session.state",),
    "QRCODE_UPDATED": ("session.qr",),
    "PRESENCE_UPDATE": ("presence.update",),
    "CALL": ("call.received",),
    "GROUPS_UPSERT": ("group.joined",),
    "GROUP_UPDATE": ("group.updated",),
    "GROUP_PARTICIPANTS_UPDATE": ("group.members", "group.left"),
} | dict.fromkeys(
    (
        "APPLICATION_STARTUP", "MESSAGES_SET", "SEND_MESSAGE_UPDATE", "CONTACTS_SET", "CONTACTS_UPSERT", "CONTACTS_UPDATE",
        "CHATS_SET", "CHATS_UPSERT", "CHATS_UPDATE", "CHATS_DELETE", "LABELS_EDIT", "LABELS_ASSOCIATION", "REMOVE_INSTANCE", "NEW_JWT_TOKEN",
        "TYPEBOT_START", "TYPEBOT_CHANGE_STATUS", "ERRORS",
    ),
    (),
)  # fmt: skip
# As they are in bodies, where that is not the name with dots.
BODY_NAMES = {"GROUP_UPDATE": "groups.update", "GROUP_PARTICIPANTS_UPDATE": "group-participants.update"}
_OF_GROUP = {
    "subject": "subject", "description": "desc", "owner": "owner", "announce": "announce", "locked": "restrict",
}  # fmt: skip
_CLOSED = {State.LOGGED_OUT: 401, State.BANNED: 403, State.TEMP_BANNED: 403, State.OUTDATED: 405, State.FENCED: 440}
_OF_CHANGE = {"revoke": "messages.delete", "edit": "messages.edited"}
Shown = tuple[str, Any]


def envelopes(
    record: SessionRecord, event: Envelope, code: Callable[[], PairingCode | None], destination: str, server: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, body) of each of Evolution's events that ``event`` is.

    ``code`` is what a phone can scan now. ``destination`` is the address of the webhook, ``server``
    that of this service.
    """
    for name, data in _data(record, event, code, server):
        yield (
            name,
            {
                "event": name,
                "instance": record.id,
                "data": data,
                "destination": destination,
                "date_time": event.timestamp,
                "sender": without_device(record.jid) if record.jid else None,
                "server_url": server,
                "apikey": None,
            },
        )


def _data(
    record: SessionRecord, event: Envelope, code: Callable[[], PairingCode | None], server: str
) -> Iterator[Shown]:
    data = event.data
    match event.type:
        case "message":
            arrived = msgspec.convert(data, InboundMessage)
            shown = views.shown(record, arrived, arrived.chat, arrived.at_ms, "received", server)
            yield _OF_CHANGE.get(arrived.type, "messages.upsert"), _changed(arrived) or shown
        case "message.status":
            yield from _moved(record, data, server)
        case "session.state":
            yield from _connection(record, State(data["state"]), State(data["previous"]))
        case "session.qr":
            if (found := code()) is not None:
                yield "qrcode.updated", {"qrcode": {"instance": record.id, **views.codes(found)}}
        case "presence.update":
            seen = to_ms(parse_iso(data["lastSeen"])) // 1000 if data.get("lastSeen") else None
            last_seen = {"lastSeen": seen} if seen else {}
            yield (
                "presence.update",
                {"id": data["chat"], "presences": {data["from"]: {"lastKnownPresence": data["state"]} | last_seen}},
            )
        case "group.joined":
            yield "groups.upsert", [_group(data["group"], data["info"] or {})]
        case "group.updated":
            yield "groups.update", [_group(data["group"], data) | {"author": data["by"]}]
        case "group.members" | "group.left":
            own = [without_device(record.jid)] if record.jid else []
            change = {"action": data.get("action", "remove"), "participants": data.get("members", own)}
            yield "group-participants.update", {"id": data["group"], "author": data["by"], **change}
        case "call.received":
            yield "call", _call(data)
        case _ if event.type == TEST_EVENT:
            yield "test", {}


def _changed(arrived: InboundMessage) -> dict[str, Any] | None:
    """An edit or a revocation, as Evolution shows it; None for others."""
    if arrived.type not in _OF_CHANGE:
        return None
    own = {"remoteJid": arrived.chat, "fromMe": arrived.from_me, "participant": arrived.sender}
    if arrived.type == "revoke":
        return {**own, "id": arrived.revokes or "", "status": "DELETED"}
    text = {"conversation": arrived.text or ""}
    key = {**own, "id": arrived.edits or ""}
    return {"key": key, "type": "MESSAGE_EDIT", "editedMessage": text, "timestampMs": str(arrived.at_ms)}


def _moved(record: SessionRecord, data: dict[str, Any], server: str) -> Iterator[Shown]:
    """A message of this service was sent, delivered, read or refused."""
    if "message" in data:
        sent = msgspec.convert(data["message"], OutgoingMessage)
        at_ms = to_ms(parse_iso(data["at"]))
        shown = views.shown(record, sent, data["chat"], at_ms, data["state"], server)
        yield "send.message", shown | {"status": "PENDING"}
    update = {
        "keyId": data["id"],
        "messageId": data["id"],
        "remoteJid": data["chat"],
        "fromMe": True,
        "status": names.STATUS[data["state"]],
        "instanceId": record.id,
    }
    yield "messages.update", update | ({"error": data["error"]} if data.get("error") else {})


def _connection(record: SessionRecord, state: State, previous: State) -> Iterator[Shown]:
    """Only what is a change in Evolution's three states."""
    now, before = names.state(state), names.state(previous)
    if now != before:
        account = {"wuid": without_device(record.jid), "profileName": record.push_name} if record.jid else {}
        reason = 200 if now != "close" else closed(state)
        known = account if now == "open" else {}
        yield "connection.update", {"instance": record.id, "state": now, "statusReason": reason} | known
    if state is State.LOGGED_OUT:
        yield "logout.instance", {"instanceName": record.id, "instanceId": record.id}


def closed(state: State) -> int:
    """Why there is no connection, by the number that Evolution's library has for it."""
    return _CLOSED.get(state, 428)


def _group(group: str, known: dict[str, Any]) -> dict[str, Any]:
    """What is known of a group, by the names of Evolution."""
    found = {theirs: known[ours] for ours, theirs in _OF_GROUP.items() if known.get(ours) is not None}
    if "members" in known:
        people = [{"id": each["jid"], "admin": "admin" if each.get("admin") else None} for each in known["members"]]
        found |= {"size": len(people), "participants": people}
    if known.get("created"):
        found["creation"] = to_ms(parse_iso(known["created"])) // 1000
    return {"id": group, **found}


def _call(data: dict[str, Any]) -> dict[str, Any]:
    found = {"id": data["id"], "from": data["from"], "chatId": data.get("group") or data["from"]}
    at = {"date": data["at"], "status": "offer", "offline": False}
    return found | at | {"isVideo": bool(data.get("video")), "isGroup": bool(data.get("group"))}
