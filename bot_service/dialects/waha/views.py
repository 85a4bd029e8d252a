"""Sessions, messages and chats as WAHA shows them."""

from __future__ import annotations

from typing import Any

from bot_service.dialects.waha import names
from bot_service.domain.addresses import has_authors, without_device
from bot_service.domain.message import InboundMessage, OutgoingMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.messages import rendering
from bot_service.messages.commands import StoredChat, StoredMessage

ENGINE = "NOWEB"


def environment(version: str) -> dict[str, Any]:
    """Clients compare `version` by its shape only."""
    return {
        "version": version,
        "engine": ENGINE,
        "tier": "PLUS",
        "browser": "none",
        "platform": "linux",
        "worker": {"id": None},
    }


def me(record: SessionRecord) -> dict[str, Any] | None:
    """None without a linked phone."""
    if record.jid is None:
        return None
    found = {"id": names.chat_out(without_device(record.jid)), "pushName": record.push_name or "", "jid": record.jid}
    return found | ({"lid": without_device(record.lid)} if record.lid else {})


def account(record: SessionRecord) -> str:
    """The account's own address; empty without a linked phone."""
    return names.chat_out(without_device(record.jid)) if record.jid else ""


def session(record: SessionRecord, webhooks: list[dict[str, Any]]) -> dict[str, Any]:
    """The session with its configuration; `data` says what this service knows better."""
    found = {
        "name": record.id,
        "status": names.status(record.state),
        "config": {"metadata": dict(record.metadata), "webhooks": webhooks},
        "presence": {},
        "timestamps": {"activity": record.active_ms},
        "data": {"state": record.state.value, "reason": record.reason, "detail": record.detail},
    }
    return found | ({"me": own} if (own := me(record)) is not None else {})


def message(record: SessionRecord, row: StoredMessage, base: str) -> dict[str, Any]:
    """A stored message of the session, in or out. ``base``: where its file is fetched."""
    content = rendering.message_of(row)
    if isinstance(content, OutgoingMessage):
        return outgoing(record, content, row.chat, row.at_ms, row.state, base)
    return inbound(record, content, base, row.state)


def inbound(record: SessionRecord, content: InboundMessage, base: str, state: str = "received") -> dict[str, Any]:
    """A message that arrived, also one that the account's own phone sent."""
    shown = sides(record, content) | _content(record, content, base)
    author = shown["participant"] or None
    return {
        "id": names.message_id(content.from_me, content.chat, content.id, author),
        "timestamp": content.at_ms // 1000,
        "source": "app",
        **shown,
        **_ack(state),
    }


def outgoing(
    record: SessionRecord, content: OutgoingMessage, chat: str, at_ms: int, state: str, base: str
) -> dict[str, Any]:
    """A message that was sent by this service."""
    return {
        "id": names.message_id(True, chat, content.id),
        "timestamp": at_ms // 1000,
        "source": "api",
        "from": account(record),
        "fromMe": True,
        "to": names.chat_out(chat),
        "participant": "",
        **_content(record, content, base),
        **_ack(state),
    }


def sides(record: SessionRecord, content: InboundMessage) -> dict[str, Any]:
    """Who wrote, and to whom; `participant` is the author in a group and of a status, and empty elsewhere."""
    own, chat = account(record), names.chat_out(content.chat)
    author = names.chat_out(content.sender) if has_authors(content.chat) else ""
    return {
        "from": own if content.from_me else chat,
        "fromMe": content.from_me,
        "to": chat if content.from_me else own,
        "participant": author,
    }


def _ack(state: str) -> dict[str, Any]:
    ack, ack_name = names.ACKS.get(state, (2, "DEVICE"))
    return {"ack": ack, "ackName": ack_name}


def _content(record: SessionRecord, content: InboundMessage | OutgoingMessage, base: str) -> dict[str, Any]:
    """What was written. What a message does not have is empty."""
    arrived = content if isinstance(content, InboundMessage) else None
    has_file = content.media is not None and content.media.file_key is not None
    url = f"{base}/api/files/{record.id}/{content.id}" if has_file else ""
    found: dict[str, Any] = {
        "body": content.text or "",
        "hasMedia": content.media is not None,
        "mediaUrl": url,
        "_data": {"type": content.type} | ({"pushName": arrived.push_name} if arrived and arrived.push_name else {}),
    }
    if content.media is not None:
        found["media"] = {
            "url": url,
            "mimetype": content.media.mime_type,
            "filename": content.media.file_name or "",
            **({} if has_file else {"error": {"message": "the file could not be fetched"}}),
        }
    if content.reply_to is not None:
        found["replyTo"] = {"id": content.reply_to, "hasMedia": False}
    if content.type == "contact":
        found["vCards"] = _cards(content)
    if content.latitude is not None and content.longitude is not None:
        found["location"] = {
            "latitude": str(content.latitude),
            "longitude": str(content.longitude),
            "live": arrived is not None and arrived.live,
            "name": content.name or "",
            "address": "",
            "url": "",
            "description": content.name or "",
        }
    return found


def _cards(content: InboundMessage | OutgoingMessage) -> list[str]:
    cards = [(each.name, each.phones) for each in getattr(content, "contacts", ())]
    return [_card(*each) for each in cards or [(content.name, (content.contact_phone or "",))]]


def _card(name: str | None, phones: tuple[str, ...]) -> str:
    numbers = "".join(f"TEL;type=CELL;waid={phone}:+{phone}\n" for phone in phones if phone)
    plain = " ".join((name or "").split())
    return f"BEGIN:VCARD\nVERSION:3.0\nFN:{plain}\n{numbers}END:VCARD"


def chat(record: SessionRecord, found: StoredChat, base: str) -> dict[str, Any]:
    """One chat of the overview."""
    content = rendering.message_of(found.last)
    name = content.push_name if isinstance(content, InboundMessage) and not has_authors(content.chat) else None
    chat_id = names.chat_out(found.last.chat)
    return {
        "id": chat_id,
        "name": name,
        "picture": None,
        "lastMessage": message(record, found.last, base),
        "_chat": {"id": chat_id, "unreadCount": found.unread},
    }
