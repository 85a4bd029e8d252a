"""Translates WhatsApp's messages and receipts.

Pure, except that `fetch` gets the file of a media message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bot_service.domain.message import PROBE_ID, InboundMessage, Media, MessageType, Receipt
from bot_service.engines.neonize import jids

MEDIA_FIELDS: tuple[tuple[str, MessageType], ...] = (
    ("imageMessage", "image"),
    ("videoMessage", "video"),
    ("audioMessage", "audio"),
    ("documentMessage", "document"),
    ("stickerMessage", "sticker"),
)
WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "deviceSentMessage",
    "editedMessage",
)
# Parts without content for a person.
SILENT_FIELDS = frozenset({"senderKeyDistributionMessage", "messageContextInfo", "protocolMessage"})
RECEIPT_TYPES = {1: "delivered", 4: "read", 6: "played", 9: "delivered"}

_CARD_PHONE = re.compile(r"waid=(\d+)|TEL[^:]{0,100}:\+?([\d ()-]+)")

Fetch = Callable[[Any, "Media", str], Media]
OwnId = Callable[[str], str]


def unwrap(message: Any) -> Any:
    """The message inside envelopes such as "disappearing" or "view once"."""
    for _ in range(5):
        for name in WRAPPERS:
            if message.HasField(name):
                message = getattr(message, name).message
                break
        else:
            return message
    return message


def has_content(message: Any) -> bool:
    """Whether it has content for a person."""
    return any(field.name not in SILENT_FIELDS for field, _ in unwrap(message).ListFields())


def message(session: str, event: Any, *, own_id: OwnId, fetch: Fetch) -> InboundMessage | None:
    """An inbound message; None without content for a person."""
    body = unwrap(event.Message)
    if not has_content(event.Message):
        return None
    info, source = event.Info, event.Info.MessageSource
    other = source.RecipientAlt if source.IsFromMe else source.SenderAlt
    chat = jids.to_text(source.Chat) if source.IsGroup else jids.known_by_number(source.Chat, other)
    parts = _parts(body, own_id, fetch, info.ID)
    return InboundMessage(
        session=session,
        chat=chat,
        id=_probe_id(body) or info.ID,
        sender=jids.known_by_number(source.Sender, source.SenderAlt),
        at_ms=_milliseconds(info.Timestamp),
        push_name=info.Pushname or None,
        from_me=source.IsFromMe,
        is_group=source.IsGroup,
        **parts,
    )


def _probe_id(body: Any) -> str | None:
    """The id of a receive probe, which `outgoing` hides in the message; None for others."""
    if not body.HasField("extendedTextMessage"):
        return None
    source = str(body.extendedTextMessage.contextInfo.conversionSource)
    return source if source.startswith(PROBE_ID) else None


def _parts(body: Any, own_id: OwnId, fetch: Fetch, message_id: str) -> dict[str, Any]:
    if body.HasField("reactionMessage"):
        part = body.reactionMessage
        return {"type": "reaction", "text": part.text or None, "reaction_to": own_id(part.key.ID)}
    for name, kind in MEDIA_FIELDS:
        if body.HasField(name):
            return _media(getattr(body, name), kind, body, own_id, fetch, message_id)
    if body.HasField("locationMessage"):
        part = body.locationMessage
        return {
            "type": "location",
            "latitude": part.degreesLatitude,
            "longitude": part.degreesLongitude,
            "name": part.name or None,
            "reply_to": _reply(part, own_id),
        }
    if body.HasField("contactMessage"):
        part = body.contactMessage
        return {
            "type": "contact",
            "name": part.displayName or None,
            "contact_phone": _phone_of(part.vcard),
            "reply_to": _reply(part, own_id),
        }
    if body.HasField("extendedTextMessage"):
        part = body.extendedTextMessage
        return {"type": "text", "text": part.text, "reply_to": _reply(part, own_id)}
    if body.conversation:
        return {"type": "text", "text": body.conversation}
    return {"type": "other"}


def _media(part: Any, kind: MessageType, body: Any, own_id: OwnId, fetch: Fetch, message_id: str) -> dict[str, Any]:
    plain = Media(
        mime_type=part.mimetype or "application/octet-stream",
        file_name=getattr(part, "fileName", "") or None,
        size=part.fileLength or None,
        seconds=getattr(part, "seconds", 0) or None,
        voice=bool(getattr(part, "PTT", False)),
    )
    return {
        "type": kind,
        "text": getattr(part, "caption", "") or None,
        "media": fetch(body, plain, message_id),
        "reply_to": _reply(part, own_id),
    }


def _reply(part: Any, own_id: OwnId) -> str | None:
    return own_id(part.contextInfo.stanzaID) if part.contextInfo.stanzaID else None


def _phone_of(card: str) -> str | None:
    found = _CARD_PHONE.search(card)
    return "".join(letter for letter in (found[1] or found[2]) if letter.isdigit()) if found else None


def receipt(session: str, event: Any, *, own_id: OwnId, chat_of: Callable[[str], str | None]) -> Receipt | None:
    """A receipt for sent messages; None for receipts of no use.

    `chat_of(WhatsApp's id)` is the chat of that message: the receipt may name the hidden address.
    """
    kind = RECEIPT_TYPES.get(event.Type, "")
    ids = list(event.MessageIDs)
    if event.MessageSource.IsFromMe:
        # A receipt of the own phone counts only for a probe to the own account.
        kind = "delivered" if any(own_id(whatsapp_id).startswith(PROBE_ID) for whatsapp_id in ids) else ""
    if not kind:
        return None
    source = event.MessageSource
    chat = chat_of(ids[0]) if ids else None
    return Receipt(
        session=session,
        chat=chat or jids.known_by_number(source.Chat, source.SenderAlt),
        message_ids=[own_id(whatsapp_id) for whatsapp_id in ids],
        type=kind,
        at_ms=_milliseconds(event.Timestamp),
    )


def _milliseconds(timestamp: int) -> int:
    """The library gives seconds in some places and milliseconds in others."""
    return timestamp if timestamp > 100_000_000_000 else timestamp * 1000
