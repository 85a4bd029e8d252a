"""What the message API answers with, in camelCase."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bot_service.api.server.request import iso_time
from bot_service.domain.addresses import has_authors
from bot_service.domain.message import InboundMessage, Media, MessageDetails, MessageType, OutgoingMessage
from bot_service.messages import rendering
from bot_service.messages.commands import StoredChat, StoredMessage, WaitsFor
from shared.clock import from_ms, iso

MessageState = Literal["queued", "sent", "delivered", "read", "failed", "received", "handled", "unhandled"]


class FileView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A file of a message; ``url`` is where to fetch it, when it is kept."""

    mime_type: str
    url: str | None = None
    file_name: str | None = None
    size: int | None = None
    seconds: int | None = None
    voice: bool = False
    video_note: bool = False


class WaitsForView(msgspec.Struct, frozen=True):
    """``reason``: a freeze as a send is refused with, ``not_connected``, the last error, or
    ``its_turn``. ``until`` where known."""

    reason: str
    until: str | None = None


class MessageView(MessageDetails, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """A message, in or out. What it does not have is left out. ``lid`` is the hidden address of the
    chat's person, in a group of the sender."""

    id: str
    session: str
    chat: str
    direction: Literal["in", "out"]
    type: MessageType
    at: str
    state: MessageState
    state_at: str
    error: str | None = None
    waits_for: WaitsForView | None = None
    duplicates: int = 0
    text: str | None = None
    media: FileView | None = None
    sender: str | None = None
    push_name: str | None = None
    from_me: bool = False
    is_group: bool = False
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    contact_phone: str | None = None
    reply_to: str | None = None
    reaction_to: str | None = None
    lid: str | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """``next`` is the ``before`` of the page that follows."""

    messages: list[MessageView]
    next: int | None


class ChatView(msgspec.Struct, frozen=True, rename="camel"):
    """``unread``: messages of others since the last own message and the last one marked as read.
    ``name`` is what the person calls himself, where it is known."""

    chat: str
    name: str | None
    is_group: bool
    unread: int
    last: MessageView


class ChatPage(msgspec.Struct, frozen=True):
    """``next`` is the ``before`` of the page that follows."""

    chats: list[ChatView]
    next: int | None


def chat_view(found: StoredChat) -> ChatView:
    last = message_view(found.last)
    is_group = last.chat.endswith("@g.us")
    own = last.direction == "out" or last.from_me
    return ChatView(last.chat, None if has_authors(last.chat) or own else last.push_name, is_group, found.unread, last)


def message_view(row: StoredMessage, waits_for: WaitsFor | None = None) -> MessageView:
    """Without the path or the bytes of a file."""
    message = rendering.message_of(row)
    arrived = message if isinstance(message, InboundMessage) else None
    return MessageView(
        id=row.message_id,
        session=row.session,
        chat=row.chat,
        direction="in" if row.direction == "in" else "out",
        type=message.type,
        at=iso(from_ms(row.at_ms)),
        state=msgspec.convert(row.state, MessageState),
        state_at=iso(from_ms(row.state_ms)),
        error=row.error,
        waits_for=WaitsForView(waits_for.reason, iso_time(waits_for.until_ms)) if waits_for else None,
        duplicates=row.duplicates,
        text=message.text,
        media=_file_view(row, message.media) if message.media is not None else None,
        sender=arrived.sender if arrived else None,
        push_name=arrived.push_name if arrived else None,
        from_me=arrived.from_me if arrived else False,
        is_group=arrived.is_group if arrived else False,
        latitude=message.latitude,
        longitude=message.longitude,
        name=message.name,
        contact_phone=message.contact_phone,
        reply_to=message.reply_to,
        reaction_to=message.reaction_to,
        lid=arrived.lid if arrived else None,
        **_details(message),
    )


def _details(message: InboundMessage | OutgoingMessage) -> dict[str, Any]:
    if isinstance(message, OutgoingMessage):
        names: tuple[str, ...] = ("mentions", "poll", "edits", "revokes", "forwarded")
    else:
        names = MessageDetails.__struct_fields__
    return {name: getattr(message, name) for name in names}


def _file_view(row: StoredMessage, media: Media) -> FileView:
    url = rendering.media_url(row.session, row.message_id) if media.file_key is not None else None
    return FileView(media.mime_type, url, media.file_name, media.size, media.seconds, media.voice, media.video_note)
