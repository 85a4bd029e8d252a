"""Messages in and out as plain values; the same for every engine."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MessageType = Literal[
    "text", "image", "document", "audio", "video", "location", "contact", "reaction", "sticker", "other"
]


MEDIA_TYPES = frozenset({"image", "document", "audio", "video", "sticker"})


# Prefix of the ids of receive probes, and their text. Probes prove the receive path; no subscriber
# gets them.
PROBE_ID = "VEILLEURPROBE"
PROBE_TEXT = "·"


class Media(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A sent or received file. ``path`` is in DATA_DIR; ``data_base64`` is for the API only."""

    mime_type: str
    file_name: str | None = None
    path: str | None = None
    data_base64: str | None = None
    size: int | None = None
    seconds: int | None = None
    voice: bool = False


class OutgoingMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One message to send. A retry with the same ``id`` is the same message.

    ``to`` is a JID (``…@s.whatsapp.net``, ``…@g.us``) or a telephone number in digits.
    """

    id: str
    to: str
    type: MessageType
    text: str | None = None
    media: Media | None = None
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    contact_phone: str | None = None
    reaction_to: str | None = None
    reply_to: str | None = None
    reply_to_sender: str | None = None


def missing_part(message: OutgoingMessage) -> str | None:
    """What ``message`` lacks, as a sentence; None when every engine can send it."""
    kind = message.type
    if kind == "text" and not message.text:
        return "a text message needs text"
    if kind in MEDIA_TYPES and (message.media is None or message.media.path is None):
        return f"a message of type {kind} needs a file"
    if kind == "location" and (message.latitude is None or message.longitude is None):
        return "a location needs latitude and longitude"
    if kind == "contact" and not (message.name and message.contact_phone):
        return "a contact needs a name and a telephone number"
    if kind == "reaction" and not message.reaction_to:
        return "a reaction needs the message it belongs to"
    return "messages of this type cannot be sent" if kind == "other" else None


class InboundMessage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One received message, unique by (session, chat, id).

    ``at_ms``: the sender's time since the epoch.
    """

    session: str
    chat: str
    id: str
    sender: str
    at_ms: int
    type: MessageType
    text: str | None = None
    push_name: str | None = None
    from_me: bool = False
    is_group: bool = False
    media: Media | None = None
    reply_to: str | None = None
    reaction_to: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    name: str | None = None
    contact_phone: str | None = None


def is_probe(message: InboundMessage) -> bool:
    """Whether this is a receive probe.

    The id alone proves nothing, because the sender chooses it.
    """
    return message.id.startswith(PROBE_ID) and message.text == PROBE_TEXT


class Receipt(msgspec.Struct, frozen=True, rename="camel"):
    """A receipt for sent messages. ``type``: server, delivered, read, played or failed."""

    session: str
    chat: str
    message_ids: list[str]
    type: str
    at_ms: int


class Sent(msgspec.Struct, frozen=True, rename="camel"):
    """The server took the message."""

    id: str
    at_ms: int


class JournalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record of a worker's journal: a message or a receipt; neither in a test of the disk."""

    message: InboundMessage | None = None
    receipt: Receipt | None = None
    meta: dict[str, Any] = {}
