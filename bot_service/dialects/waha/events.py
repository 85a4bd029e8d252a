"""Events of this service as WAHA names and shows them; webhooks and the WebSocket get the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from bot_service.dialects.waha import names, views
from bot_service.domain.addresses import without_device
from bot_service.domain.message import InboundMessage, OutgoingMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import State
from bot_service.events.dialects import TEST_EVENT, Envelope
from shared.clock import to_ms
from shared.version import VERSION

# WAHA's events, with the events of this service that they are made of. Those with none never come.
SOURCES: dict[str, tuple[str, ...]] = {
    "session.status": ("session.state", "session.qr"),
    "message": ("message",),
    "message.any": ("message", "message.status"),
    "message.ack": ("message.status",),
    "message.reaction": ("message",),
    "message.edited": ("message",),
    "message.revoked": ("message",),
    "poll.vote": ("message",),
    "poll.vote.failed": ("message",),
    "group.join": ("group.joined", "group.members"),
    "group.leave": ("group.left", "group.members"),
    "group.v2.join": ("group.joined",),
    "group.v2.leave": ("group.left",),
    "group.v2.participants": ("group.members",),
    "group.v2.update": ("group.updated",),
    "presence.update": ("presence.update",),
    "call.received": ("call.received",),
}
NEVER = (
    "state.change", "message.ack.group", "message.waiting", "chat.archive", "call.accepted", "call.rejected",
    "label.upsert", "label.deleted", "label.chat.added", "label.chat.deleted", "event.response",
    "event.response.failed", "engine.event",
)  # fmt: skip
_PRESENCES = {"unavailable": "offline", "composing": "typing", "recording": "recording", "paused": "paused"}
_GROUP_EVENTS = {
    "group.joined": "group.v2.join",
    "group.left": "group.v2.leave",
    "group.members": "group.v2.participants",
    "group.updated": "group.v2.update",
}
_MEMBERS = {"add": "join", "remove": "leave", "promote": "promote", "demote": "demote"}
_ROLES = {"remove": "left", "promote": "admin"}
_ALLOWED = {"announce": "membersCanSendMessages", "locked": "membersCanChangeInfo"}
_SPECIAL = {"reaction": "message.reaction", "edit": "message.edited", "revoke": "message.revoked"}
Shown = tuple[str, dict[str, Any]]


def envelopes(record: SessionRecord, event: Envelope, base: str) -> Iterator[Shown]:
    """(name, body) of each of WAHA's events that ``event`` is. ``base``: where files are fetched."""
    at_ms = _ms(event.timestamp)
    for name, payload in _payloads(record, event, base, at_ms):
        yield (
            name,
            {
                "id": _event_id(event.id, name),
                "timestamp": at_ms,
                "event": name,
                "session": record.id,
                "metadata": dict(record.metadata),
                **({"me": own} if (own := views.me(record)) is not None else {}),
                "payload": payload,
                "engine": views.ENGINE,
                "environment": views.environment(VERSION),
            },
        )


def unknown(wanted: Sequence[str]) -> str | None:
    """Why ``wanted`` are not names of WAHA's events; None when they are."""
    found = [name for name in wanted if name != "*" and name not in SOURCES and name not in NEVER]
    return f"no event is called {found[0][:40]}; there are *, {', '.join(SOURCES)}" if found else None


def is_wanted(name: str, wanted: Sequence[str]) -> bool:
    """Whether a client that asked for ``wanted`` gets the event ``name``; everybody gets a test."""
    return name == TEST_EVENT or "*" in wanted or name in wanted


def chat_of(payload: dict[str, Any]) -> str:
    """The chat of a message's event, or the group; empty for others."""
    if isinstance(group := payload.get("group"), dict):
        return str(group["id"])
    if "chatId" in payload:
        return str(payload["chatId"])
    about = payload.get("after") or payload.get("vote") or payload
    return str(about.get("to" if about.get("fromMe") else "from", ""))


def _payloads(record: SessionRecord, event: Envelope, base: str, at_ms: int) -> Iterator[Shown]:
    data = event.data
    match event.type:
        case "session.state":
            state, previous = State(data["state"]), State(data["previous"])
            # WAHA's SCAN_QR_CODE means that there is a code: `session.qr` says that.
            if names.status(state) != names.status(previous) and state is not State.PAIRING:
                yield "session.status", _status(record, state, at_ms, data)
        case "session.qr":
            yield "session.status", _status(record, State.PAIRING, at_ms, {"state": State.PAIRING.value})
        case "message":
            yield from _arrived(record, data, base)
        case "message.status":
            yield from _moved(record, data, base)
        case "group.joined" | "group.left" | "group.members" | "group.updated":
            yield _GROUP_EVENTS[event.type], _group(event.type, data)
            yield from _came_or_went(record, event.type, data)
        case "presence.update":
            yield "presence.update", presence(data)
        case "call.received":
            yield "call.received", _call(data)
        case _ if event.type == TEST_EVENT:
            yield TEST_EVENT, {}


def _status(record: SessionRecord, state: State, at_ms: int, data: dict[str, Any]) -> dict[str, Any]:
    status = names.status(state)
    known = {name: data[name] for name in ("state", "reason", "detail") if name in data}
    return {
        "name": record.id,
        "status": status,
        "statuses": [{"status": status, "timestamp": at_ms}],
        "data": known,
    }


def _arrived(record: SessionRecord, data: dict[str, Any], base: str) -> Iterator[Shown]:
    message = msgspec.convert(_with_file(data), InboundMessage)
    if message.type == "poll_vote":
        yield from _voted(record, message)
        return
    shown = views.inbound(record, message, base)
    match _SPECIAL.get(message.type):
        case "message.reaction":
            target = names.message_id(message.refers_to_own, message.chat, message.reaction_to or "")
            reaction = {"text": message.text or "", "messageId": target}
            kept = ("id", "timestamp", "from", "fromMe", "source", "to", "participant")
            yield "message.reaction", {name: shown[name] for name in kept} | {"reaction": reaction}
        case "message.edited":
            yield "message.edited", shown | {"editedMessageId": message.edits or ""}
        case "message.revoked":
            yield "message.revoked", {"revokedMessageId": message.revokes or "", "after": shown, "_data": {}}
        case _:
            if not message.from_me:
                yield "message", shown
            yield "message.any", shown


def _voted(record: SessionRecord, message: InboundMessage) -> Iterator[Shown]:
    if message.vote is None:
        return
    of_vote = views.sides(record, message)
    own_poll = {**of_vote, "fromMe": True, "from": of_vote["to"], "to": of_vote["from"]}
    of_poll = (
        own_poll if message.refers_to_own and not message.from_me else {**of_vote, "fromMe": message.refers_to_own}
    )
    vote = {
        **of_vote,
        "id": names.message_id(message.from_me, message.chat, message.id, of_vote["participant"] or None),
        "selectedOptions": list(message.vote.options),
        "timestamp": message.at_ms,
    }
    poll = {**of_poll, "id": names.message_id(message.refers_to_own, message.chat, message.vote.poll)}
    yield (
        "poll.vote.failed" if message.vote.unreadable else "poll.vote",
        {"vote": vote, "poll": poll, "_data": {"hashes": list(message.vote.hashes)}},
    )


def _moved(record: SessionRecord, data: dict[str, Any], base: str) -> Iterator[Shown]:
    """A message of this service was sent, delivered, read or refused."""
    ack, ack_name = names.ACKS[data["state"]]
    if "message" in data:
        sent = msgspec.convert(_with_file(data["message"]), OutgoingMessage)
        if sent.type not in _SPECIAL:
            yield "message.any", views.outgoing(record, sent, data["chat"], _ms(data["at"]), data["state"], base)
    account = views.account(record)
    yield (
        "message.ack",
        {
            "id": names.message_id(True, data["chat"], data["id"]),
            "from": account,
            "to": names.chat_out(data["chat"]),
            "participant": "",
            "fromMe": True,
            "ack": ack,
            "ackName": ack_name,
            "_data": {"error": data["error"]} if "error" in data else {},
        },
    )


def _group(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    """The payload of one of WAHA's events of groups, version 2."""
    group: dict[str, Any] = {"id": data["group"]}
    shown: dict[str, Any] = {"timestamp": _ms(data["at"]) // 1000, "group": group, "_data": {"by": data["by"]}}
    match type_:
        case "group.joined":
            group |= _group_info(data["info"] or {})
        case "group.members":
            role = _ROLES.get(data["action"], "participant")
            people = [{"id": names.chat_out(each), "role": role} for each in data["members"]]
            shown |= {"type": _MEMBERS[data["action"]], "participants": people}
        case "group.updated":
            known = {name: data[name] for name in ("subject", "description") if name in data}
            group |= known | {theirs: not data[ours] for ours, theirs in _ALLOWED.items() if ours in data}
    return shown


def _came_or_went(record: SessionRecord, type_: str, data: dict[str, Any]) -> Iterator[Shown]:
    """WAHA's older events of who came and who went, which it passes on as its engine has them."""
    action = {"group.joined": "add", "group.left": "remove"}.get(type_, data.get("action"))
    if action in ("add", "remove") and type_ != "group.updated":
        members = data["members"] if type_ == "group.members" else [record.jid or ""]
        yield (
            "group.join" if action == "add" else "group.leave",
            {
                "chatId": data["group"],
                "type": action,
                "author": names.chat_out(data["by"]) if data["by"] else None,
                "recipientIds": [names.chat_out(without_device(each)) for each in members],
                "timestamp": _ms(data["at"]) // 1000,
            },
        )


def _group_info(info: dict[str, Any]) -> dict[str, Any]:
    """What is not known is empty. New members come without approval as far as this service can see."""
    allowed = {theirs: not info.get(ours, False) for ours, theirs in _ALLOWED.items()}
    people = [
        {"id": names.chat_out(each["jid"]), "role": "admin" if each.get("admin") else "participant"}
        for each in info.get("members", ())
    ]
    texts = {name: info.get(name, "") for name in ("subject", "description")}
    known = {"membersCanAddNewMember": True, "newMembersApprovalRequired": False, "participants": people}
    return {**texts, **allowed, **known}


def presence(data: dict[str, Any]) -> dict[str, Any]:
    """The payload of a person's presence."""
    known: dict[str, Any] = {
        "participant": names.chat_out(data["from"]),
        "lastKnownPresence": _PRESENCES.get(data["state"], "online"),
    }
    if data.get("lastSeen"):
        known["lastSeen"] = _ms(data["lastSeen"]) // 1000
    return {"id": names.chat_out(data["chat"]), "presences": [known]}


def _call(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": data["id"],
        "from": names.chat_out(data["from"]),
        "timestamp": _ms(data["at"]) // 1000,
        "isVideo": bool(data["video"]),
        "isGroup": data["group"] is not None,
        "_data": {"group": data["group"]},
    }


def _with_file(data: dict[str, Any]) -> dict[str, Any]:
    """Events say by ``url`` that there is a file; messages in the store say it by ``path``."""
    media = data.get("media")
    return data if media is None else {**data, "media": {**media, "path": media.get("url")}}


def _event_id(event_id: str, name: str) -> str:
    """A ULID: 18 characters of this service's id, and 8 that differ for each of WAHA's events."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"evt_{event_id}{digest}".lower()


def _ms(timestamp: str) -> int:
    return to_ms(datetime.fromisoformat(timestamp))
