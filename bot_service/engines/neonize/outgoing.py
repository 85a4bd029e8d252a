"""Translates an outgoing message for WhatsApp, and uploads its file."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot_service.domain.addresses import STATUS_CHAT
from bot_service.domain.message import MEDIA_TYPES, PROBE_ID, Media, OutgoingMessage, Poll, missing_part
from bot_service.engines.neonize.content import EDIT, REVOKE
from bot_service.engines.neonize.native import e2e
from bot_service.engines.port import EngineError

# Without a colour phones show white letters on black.
STATUS_BACKGROUND = "#075E54"

Upload = Callable[[bytes, str], Any]


def build(message: OutgoingMessage, chat: str, upload: Upload, whatsapp_id: Callable[[str], str], now_ms: int) -> Any:
    """The protobuf of a message to `chat`. Raises `EngineError` `invalid`.

    `upload(bytes, kind)` blocks; `whatsapp_id` translates the id of the referenced message.
    """
    if (missing := missing_part(message)) is not None:
        raise EngineError("invalid", missing)
    if message.type == "text":
        return _text(message, whatsapp_id)
    if message.type in MEDIA_TYPES:
        return _media(message, upload, whatsapp_id)
    if message.type == "location":
        part = e2e.LocationMessage(degreesLatitude=message.latitude, degreesLongitude=message.longitude)
        part.name = message.name or ""
        return _with_context(e2e.Message(locationMessage=part), "locationMessage", message, whatsapp_id)
    if message.type == "contact":
        return _with_context(_contact(message), "contactMessage", message, whatsapp_id)
    if message.type == "poll":
        return _with_context(*_poll(message), message, whatsapp_id)
    if message.type in ("edit", "revoke"):
        return _change(message, chat, whatsapp_id, now_ms)
    return _reaction(message, chat, whatsapp_id, now_ms)


def _text(message: OutgoingMessage, whatsapp_id: Callable[[str], str]) -> Any:
    if message.id.startswith(PROBE_ID):
        # The library chooses the id on the wire, so a probe's id is in a field that no phone shows.
        context = e2e.ContextInfo(conversionSource=message.id)
        return e2e.Message(extendedTextMessage=e2e.ExtendedTextMessage(text=message.text, contextInfo=context))
    if message.to == STATUS_CHAT:
        background = _argb(message.background or STATUS_BACKGROUND)
        status = e2e.ExtendedTextMessage(
            text=message.text, textArgb=_argb("#FFFFFF"), backgroundArgb=background, font=message.font or 0
        )
        return e2e.Message(extendedTextMessage=status)
    context, preview = _context(message, whatsapp_id), message.link_preview
    if context is None and preview is None:
        return e2e.Message(conversation=message.text)
    part = e2e.ExtendedTextMessage(text=message.text, contextInfo=context)
    if preview is not None:
        part.matchedText, part.title, part.description = preview.url, preview.title, preview.description
    return e2e.Message(extendedTextMessage=part)


def _argb(colour: str) -> int:
    """``#RRGGBB``, opaque."""
    return 0xFF000000 | int(colour[1:], 16)


def _with_context(built: Any, field: str, message: OutgoingMessage, whatsapp_id: Callable[[str], str]) -> Any:
    if (context := _context(message, whatsapp_id)) is not None:
        getattr(built, field).contextInfo.CopyFrom(context)
    return built


def _context(message: OutgoingMessage, whatsapp_id: Callable[[str], str]) -> Any | None:
    """The quoted message, the mentioned people and the mark of a forward; None without all."""
    if message.reply_to is None and not message.mentions and not message.forwarded:
        return None
    context = e2e.ContextInfo(mentionedJID=message.mentions)
    if message.forwarded:
        context.isForwarded, context.forwardingScore = True, 1
    if message.reply_to is not None:
        context.stanzaID = whatsapp_id(message.reply_to)
        context.quotedMessage.conversation = ""
        if message.reply_to_sender:
            context.participant = message.reply_to_sender
    return context


def _media(message: OutgoingMessage, upload: Upload, whatsapp_id: Callable[[str], str]) -> Any:
    media = message.media or Media("")
    try:
        data = Path(media.path or "").read_bytes()
    except OSError as error:
        raise EngineError("invalid", f"the file cannot be read: {error.strerror}") from error
    uploaded = upload(data, message.type)
    built = e2e.Message()
    part = getattr(built, f"{message.type}Message")
    part.URL = uploaded.url
    part.directPath = uploaded.DirectPath
    part.mediaKey = uploaded.MediaKey
    part.fileEncSHA256 = uploaded.FileEncSHA256
    part.fileSHA256 = uploaded.FileSHA256 or hashlib.sha256(data).digest()
    part.fileLength = len(data)
    part.mimetype = media.mime_type
    _decorate(part, message, media)
    return _with_context(built, f"{message.type}Message", message, whatsapp_id)


def _decorate(part: Any, message: OutgoingMessage, media: Media) -> None:
    if message.text and message.type in ("image", "video", "document"):
        part.caption = message.text
    if message.type == "document":
        part.fileName = part.title = media.file_name or "document"
    if message.type in ("audio", "video") and media.seconds is not None:
        part.seconds = media.seconds
    if message.type == "audio":
        part.PTT = media.voice
        if message.background is not None:
            part.backgroundArgb = _argb(message.background)


def _contact(message: OutgoingMessage) -> Any:
    digits = "".join(letter for letter in message.contact_phone or "" if letter.isdigit())
    name = " ".join((message.name or "").split()).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    card = f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={digits}:+{digits}\nEND:VCARD"
    return e2e.Message(contactMessage=e2e.ContactMessage(displayName=message.name, vcard=card))


def _poll(message: OutgoingMessage) -> tuple[Any, str]:
    poll = message.poll or Poll("", ())
    # Phones show "select one" only for this version.
    field = "pollCreationMessageV3" if poll.selectable == 1 else "pollCreationMessage"
    built = e2e.Message()
    # Votes are encrypted with this secret, which the library keeps.
    built.messageContextInfo.messageSecret = secrets.token_bytes(32)
    part = getattr(built, field)
    part.name, part.selectableOptionsCount = poll.question, poll.selectable
    for option in poll.options:
        part.options.add(optionName=option)
    return built, field


def _change(message: OutgoingMessage, chat: str, whatsapp_id: Callable[[str], str], now_ms: int) -> Any:
    """An edit of an own message, or a revocation; an administrator of a group may revoke others'."""
    built = e2e.Message()
    part = built.protocolMessage
    if message.type == "edit":
        # Phones expect an edit in this envelope.
        part = built.editedMessage.message.protocolMessage
        part.editedMessage.CopyFrom(_new_content(message, whatsapp_id))
    part.type = EDIT if message.type == "edit" else REVOKE
    part.timestampMS = now_ms
    key = part.key
    key.remoteJID, key.ID = chat, whatsapp_id(message.edits or message.revokes or "")
    key.fromMe = message.refers_to_own
    if not message.refers_to_own and message.reply_to_sender:
        key.participant = message.reply_to_sender
    return built


def _new_content(message: OutgoingMessage, whatsapp_id: Callable[[str], str]) -> Any:
    """The caption of a file or a text; mentions are the new ones."""
    if message.media is not None:
        kind = message.media.mime_type.partition("/")[0]
        field = f"{kind}Message" if kind in ("image", "video") else "documentMessage"
        built = e2e.Message()
        getattr(built, field).caption = message.text or ""
        return _with_context(built, field, message, whatsapp_id)
    return _text(message, whatsapp_id)


def _reaction(message: OutgoingMessage, chat: str, whatsapp_id: Callable[[str], str], now_ms: int) -> Any:
    target = whatsapp_id(message.reaction_to or "")
    built = e2e.Message()
    key = built.reactionMessage.key
    key.remoteJID, key.ID = chat, target
    key.fromMe = message.refers_to_own or target != message.reaction_to
    # Only in a group does the key name a person: elsewhere the chat is one.
    if message.reply_to_sender and chat.endswith("@g.us"):
        key.participant = message.reply_to_sender
    built.reactionMessage.text = message.text or ""
    built.reactionMessage.senderTimestampMS = now_ms
    return built
