"""Instances, messages, chats and groups as Evolution shows them."""

from __future__ import annotations

import base64
from typing import Any

from bot_service.api.sessions import pairing
from bot_service.dialects.evolution import names
from bot_service.dialects.evolution.content import Message, content_of
from bot_service.dialects.evolution.requests import Settings
from bot_service.domain.addresses import has_authors, without_device
from bot_service.domain.directory import Group, GroupMember
from bot_service.domain.message import InboundMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.signals import SignalKind
from bot_service.messages import rendering
from bot_service.messages.commands import StoredChat, StoredMessage
from bot_service.sessions.pairing_codes import PairingCode
from shared.clock import from_ms, iso

INTEGRATION = "WHATSAPP-BAILEYS"
# In the metadata of a session.
IGNORES_GROUPS = "evolution.groupsIgnore"
_REJECTS_CALLS, _CALL_TEXT = "evolution.rejectCall", "evolution.msgCall"


def state(record: SessionRecord) -> dict[str, Any]:
    return {"instance": {"instanceName": record.id, "state": names.state(record.state)}}


def instance(record: SessionRecord) -> dict[str, Any]:
    """As version 2 shows it, and under ``instance`` as version 1 did. There are no keys in it."""
    owner, status = without_device(record.jid) if record.jid else None, names.state(record.state)
    older = {"instanceName": record.id, "instanceId": record.id, "status": status, "profileName": record.push_name}
    return {
        "id": record.id,
        "name": record.id,
        "connectionStatus": status,
        "ownerJid": owner,
        "profileName": record.push_name,
        "profilePicUrl": None,
        "integration": INTEGRATION,
        "number": owner.partition("@")[0] if owner else None,
        "createdAt": iso(from_ms(record.created_ms)),
        "veilleur": {"state": record.state.value, "reason": record.reason, "detail": record.detail},
        "instance": older | ({"owner": owner} if owner else {}),
    }


def settings(record: SessionRecord) -> dict[str, Any]:
    return {
        "reject_call": rejects_calls(record),
        "msg_call": call_text(record),
        "groups_ignore": ignores_groups(record),
        "always_online": False,
        "read_messages": False,
        "read_status": False,
        "sync_full_history": False,
    }


def ignores_groups(record: SessionRecord) -> bool:
    """Whether the webhook of this dialect hears nothing of groups."""
    return record.metadata.get(IGNORES_GROUPS) == "true"


def rejects_calls(record: SessionRecord) -> bool:
    return record.metadata.get(_REJECTS_CALLS) == "true"


def call_text(record: SessionRecord) -> str:
    """What a caller gets who is rejected; empty for nothing."""
    return record.metadata.get(_CALL_TEXT, "")


def with_settings(metadata: dict[str, str], wanted: Settings) -> dict[str, str]:
    """The metadata of a session with the settings that are kept in it."""
    given = {
        IGNORES_GROUPS: "true" if wanted.groupsIgnore else "",
        _REJECTS_CALLS: "true" if wanted.rejectCall else "",
        _CALL_TEXT: wanted.msgCall or "",
    }
    kept = {name: value for name, value in metadata.items() if name not in given}
    return kept | {name: value for name, value in given.items() if value}


def codes(shown: PairingCode) -> dict[str, Any]:
    """A code to type into the phone, or one to scan, also as the address of a picture."""
    if shown.kind != SignalKind.QR.value:
        return {"pairingCode": shown.code}
    picture = "data:image/png;base64," + base64.b64encode(pairing.picture(shown, "png")).decode()
    return {"code": shown.code, "base64": picture, "count": shown.round}


def message(record: SessionRecord, row: StoredMessage, server: str) -> dict[str, Any]:
    """A stored message of the instance, in or out. ``messageTimestamp`` in seconds."""
    return shown(record, rendering.message_of(row), row.chat, row.at_ms, row.state, server)


def shown(record: SessionRecord, content: Message, chat: str, at_ms: int, state: str, server: str) -> dict[str, Any]:
    """``content`` as it arrived or as it was sent. ``server``: the address that files begin with."""
    arrived = content if isinstance(content, InboundMessage) else None
    kind, fields = content_of(content, server + rendering.media_url(record.id, content.id))
    key: dict[str, Any] = {"remoteJid": chat, "fromMe": arrived is None or arrived.from_me, "id": content.id}
    if arrived is not None and has_authors(chat):
        key["participant"] = arrived.sender
    return {
        "id": content.id,
        "key": key,
        "pushName": (arrived.push_name if arrived is not None else record.push_name) or "",
        "message": fields,
        "messageType": kind,
        "messageTimestamp": at_ms // 1000,
        "status": names.STATUS.get(state, "DELIVERY_ACK"),
        "instanceId": record.id,
        "source": "unknown",
    }


def sent(record: SessionRecord, row: StoredMessage, server: str) -> dict[str, Any]:
    """The answer to a send. Its status is always ``PENDING``; a webhook and the history say more."""
    found = message(record, row, server)
    return found | {"messageTimestamp": str(found["messageTimestamp"]), "status": "PENDING"}


def chat(record: SessionRecord, found: StoredChat, server: str) -> dict[str, Any]:
    """One chat, with its last message."""
    last = message(record, found.last, server)
    return {
        "id": found.last.chat,
        "remoteJid": found.last.chat,
        "pushName": None if has_authors(found.last.chat) or last["key"]["fromMe"] else last["pushName"] or None,
        "profilePicUrl": None,
        "updatedAt": iso(from_ms(found.last.at_ms)),
        "unreadCount": found.unread,
        "lastMessage": last,
    }


def participant(member: GroupMember, owner: str | None = None) -> dict[str, Any]:
    role = {"admin": "superadmin" if member.jid == owner else "admin"} if member.admin else {}
    return {"id": member.jid, **role} | ({"error": member.error} if member.error else {})


def group(found: Group, *, members: bool) -> dict[str, Any]:
    """A text that this service does not have is empty."""
    created = found.created_ms // 1000
    shown = {
        "id": found.id,
        "subject": found.subject,
        "subjectOwner": "",
        "subjectTime": created,
        "pictureUrl": "",
        "size": len(found.members),
        "creation": created,
        "owner": found.owner or "",
        "desc": found.description,
        "descId": "",
        "restrict": found.locked,
        "announce": found.announce,
    }
    return shown | ({"participants": [participant(each, found.owner) for each in found.members]} if members else {})
