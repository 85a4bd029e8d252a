"""Renders messages for webhooks and the event stream, without local paths and file contents."""

from __future__ import annotations

import msgspec

from bot_service.domain.message import InboundMessage, Media, OutgoingMessage
from bot_service.store.messages import StoredMessage

_INBOUND = msgspec.json.Decoder(InboundMessage)
_OUTGOING = msgspec.json.Decoder(OutgoingMessage)
_ENCODER = msgspec.json.Encoder()


def media_url(session: str, message_id: str) -> str:
    """The path of a message's file in the API."""
    return f"/api/sessions/{session}/messages/{message_id}/media"


def inbound_data(message: InboundMessage, encoded: bytes) -> msgspec.Raw:
    """The data of a ``message`` event; reuses ``encoded``, the message as JSON, without a file."""
    if message.media is None:
        return msgspec.Raw(encoded)
    data = msgspec.to_builtins(message)
    media = {key: value for key, value in data["media"].items() if key not in ("path", "dataBase64")}
    if message.media.path is not None:
        media["url"] = media_url(message.session, message.id)
    return msgspec.Raw(_ENCODER.encode({**data, "media": media}))


def message_of(row: StoredMessage) -> InboundMessage | OutgoingMessage:
    """A stored message as it arrived or as it was sent."""
    return _INBOUND.decode(row.body) if row.direction == "in" else _OUTGOING.decode(row.body)


def media_of(row: StoredMessage) -> Media | None:
    return message_of(row).media


def sender_of(row: StoredMessage) -> str | None:
    """The sender of a received message; None for a sent one."""
    return _INBOUND.decode(row.body).sender if row.direction == "in" else None
