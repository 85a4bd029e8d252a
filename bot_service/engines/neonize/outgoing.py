"""Translates an outgoing message for WhatsApp, and uploads its file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot_service.domain.message import MEDIA_TYPES, PROBE_ID, Media, OutgoingMessage, missing_part
from bot_service.engines.neonize.native import e2e
from bot_service.engines.port import EngineError

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
        return e2e.Message(locationMessage=part)
    if message.type == "contact":
        return _contact(message)
    return _reaction(message, chat, whatsapp_id, now_ms)


def _text(message: OutgoingMessage, whatsapp_id: Callable[[str], str]) -> Any:
    if message.id.startswith(PROBE_ID):
        # The library chooses the id on the wire, so a probe's id is in a field that no phone shows.
        context = e2e.ContextInfo(conversionSource=message.id)
        return e2e.Message(extendedTextMessage=e2e.ExtendedTextMessage(text=message.text, contextInfo=context))
    if message.reply_to is None:
        return e2e.Message(conversation=message.text)
    context = _context(message, whatsapp_id)
    return e2e.Message(extendedTextMessage=e2e.ExtendedTextMessage(text=message.text, contextInfo=context))


def _context(message: OutgoingMessage, whatsapp_id: Callable[[str], str]) -> Any:
    return e2e.ContextInfo(
        stanzaID=whatsapp_id(message.reply_to or ""),
        participant=message.reply_to_sender or message.to,
        quotedMessage=e2e.Message(conversation=""),
    )


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
    if message.reply_to is not None:
        part.contextInfo.CopyFrom(_context(message, whatsapp_id))
    return built


def _decorate(part: Any, message: OutgoingMessage, media: Media) -> None:
    if message.text and message.type in ("image", "video", "document"):
        part.caption = message.text
    if message.type == "document":
        part.fileName = part.title = media.file_name or "document"
    if message.type in ("audio", "video") and media.seconds is not None:
        part.seconds = media.seconds
    if message.type == "audio":
        part.PTT = media.voice


def _contact(message: OutgoingMessage) -> Any:
    digits = "".join(letter for letter in message.contact_phone or "" if letter.isdigit())
    name = (message.name or "").replace("\n", " ").replace(";", ",")
    card = f"BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nTEL;type=CELL;waid={digits}:+{digits}\nEND:VCARD"
    return e2e.Message(contactMessage=e2e.ContactMessage(displayName=message.name, vcard=card))


def _reaction(message: OutgoingMessage, chat: str, whatsapp_id: Callable[[str], str], now_ms: int) -> Any:
    target = whatsapp_id(message.reaction_to or "")
    built = e2e.Message()
    key = built.reactionMessage.key
    key.remoteJID, key.ID = chat, target
    key.fromMe = target != message.reaction_to
    if message.reply_to_sender:
        key.participant = message.reply_to_sender
    built.reactionMessage.text = message.text or ""
    built.reactionMessage.senderTimestampMS = now_ms
    return built
