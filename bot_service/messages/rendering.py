"""Renders messages for webhooks and the event stream, without local paths and file contents."""

from __future__ import annotations

from typing import Any

import msgspec

from bot_service.domain.message import InboundMessage, Media, OutgoingMessage
from bot_service.store.messages import StoredMessage
from shared.clock import from_ms, iso

_INBOUND = msgspec.json.Decoder(InboundMessage)
_OUTGOING = msgspec.json.Decoder(OutgoingMessage)
_ENCODER = msgspec.json.Encoder()
# Where the content of a file is: for this service only.
PLACES = frozenset({"path", "key", "dataBase64"})


def media_url(session: str, message_id: str) -> str:
    """The path of a message's file in the API."""
    return f"/api/sessions/{session}/messages/{message_id}/media"


def inbound_data(message: InboundMessage, encoded: bytes) -> msgspec.Raw:
    """The data of a ``message`` event; reuses ``encoded``, the message as JSON, without a file."""
    at = iso(from_ms(message.at_ms))
    if message.media is None:
        return msgspec.Raw(encoded[:-1] + b',"at":"' + at.encode() + b'"}')
    return msgspec.Raw(_ENCODER.encode({**_with_url(message, message.session), "at": at}))


def outgoing_data(session: str, encoded: bytes) -> msgspec.Raw:
    """A sent message, ``encoded`` as JSON, as ``message.status`` events show it."""
    message = _OUTGOING.decode(encoded)
    return msgspec.Raw(encoded if message.media is None else _ENCODER.encode(_with_url(message, session)))


def _with_url(message: InboundMessage | OutgoingMessage, session: str) -> dict[str, Any]:
    """Its file with the address in the API instead of the local path."""
    data = msgspec.to_builtins(message)
    media = {key: value for key, value in data["media"].items() if key not in PLACES}
    if message.media is not None and message.media.file_key is not None:
        media["url"] = media_url(session, message.id)
    return {**data, "media": media}


def message_of(row: StoredMessage) -> InboundMessage | OutgoingMessage:
    """A stored message as it arrived or as it was sent."""
    return _INBOUND.decode(row.body) if row.direction == "in" else _OUTGOING.decode(row.body)


def media_of(row: StoredMessage) -> Media | None:
    return message_of(row).media


def author_of(row: StoredMessage) -> tuple[str | None, bool]:
    """Who wrote a stored message, and whether that is the session's own account."""
    if row.direction == "out":
        return None, True
    message = _INBOUND.decode(row.body)
    return message.sender, message.from_me


def holds(row: StoredMessage, text: str) -> bool:
    """Whether a person who looks for ``text``, in any case of letters, means this message."""
    message = message_of(row)
    parts = (
        message.text,
        message.name,
        message.media.file_name if message.media is not None else None,
        message.poll.question if message.poll is not None else None,
    )
    wanted = text.casefold()
    return any(wanted in part.casefold() for part in parts if part)
