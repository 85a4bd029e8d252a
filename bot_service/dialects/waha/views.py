"""Sessions, messages and chats as WAHA shows them."""

from __future__ import annotations

from typing import Any

from bot_service.dialects.waha import names
from bot_service.domain.addresses import without_device
from bot_service.domain.message import InboundMessage
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


def session(record: SessionRecord) -> dict[str, Any]:
    """The session with `config`; `data` says what this service knows better."""
    found = {
        "name": record.id,
        "status": names.status(record.state),
        "config": {"metadata": dict(record.metadata)},
        "presence": {},
        "timestamps": {"activity": record.active_ms},
        "data": {"state": record.state.value, "reason": record.reason, "detail": record.detail},
    }
    return found | ({"me": own} if (own := me(record)) is not None else {})


def message(record: SessionRecord, row: StoredMessage) -> dict[str, Any]:
    """A stored message of the session, in or out. What a message does not have is empty."""
    content = rendering.message_of(row)
    arrived = content if isinstance(content, InboundMessage) else None
    own = row.from_me or arrived is None
    ack, ack_name = names.ACKS.get(row.state, (2, "DEVICE"))
    author = arrived.sender if arrived is not None and arrived.is_group else None
    account = names.chat_out(without_device(record.jid)) if record.jid else ""
    url = rendering.media_url(row.session, row.message_id) if content.media and content.media.path else ""
    found: dict[str, Any] = {
        "id": names.message_id(own, row.chat, row.message_id, author),
        "timestamp": row.at_ms // 1000,
        "from": names.chat_out(row.chat) if not own else account,
        "fromMe": own,
        "source": "api" if row.direction == "out" else "app",
        "to": names.chat_out(row.chat) if own else account,
        "participant": names.chat_out(author) if author else "",
        "body": content.text or "",
        "hasMedia": content.media is not None,
        "mediaUrl": url,
        "ack": ack,
        "ackName": ack_name,
        "_data": {"type": content.type},
    }
    if content.media is not None:
        found["media"] = {
            "url": url,
            "mimetype": content.media.mime_type,
            "filename": content.media.file_name or "",
        }
    if content.reply_to is not None:
        found["replyTo"] = {"id": content.reply_to, "hasMedia": False}
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


def chat(record: SessionRecord, found: StoredChat) -> dict[str, Any]:
    """One chat of the overview."""
    last = message(record, found.last)
    content = rendering.message_of(found.last)
    name = content.push_name if isinstance(content, InboundMessage) and not content.is_group else None
    chat_id = names.chat_out(found.last.chat)
    return {
        "id": chat_id,
        "name": name,
        "picture": None,
        "lastMessage": last,
        "_chat": {"id": chat_id, "unreadCount": found.unread},
    }
