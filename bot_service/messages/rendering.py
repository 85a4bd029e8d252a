"""Messages as receivers and the event stream show them: no path of ours, no bytes of a file."""

from __future__ import annotations

from typing import Any

import msgspec

from bot_service.domain.message import InboundMessage, Media, OutgoingMessage
from bot_service.store.messages import StoredMessage

_INBOUND = msgspec.json.Decoder(InboundMessage)
_OUTGOING = msgspec.json.Decoder(OutgoingMessage)
_ENCODER = msgspec.json.Encoder()


def media_url(session: str, message_id: str) -> str:
    """Where the API serves the file of a message."""
    return f"/api/sessions/{session}/messages/{message_id}/media"


def inbound_data(message: InboundMessage, encoded: bytes) -> msgspec.Raw:
    """What an event of type ``message`` carries. ``encoded`` is ``message`` as JSON, used as it is when it may be."""
    if message.media is None:
        return msgspec.Raw(encoded)
    return msgspec.Raw(
        _ENCODER.encode(_with_url(msgspec.to_builtins(message), message.media, message.session, message.id))
    )


def _with_url(data: dict[str, Any], media: Media, session: str, message_id: str) -> dict[str, Any]:
    shown = {key: value for key, value in data["media"].items() if key not in ("path", "dataBase64")}
    if media.path is not None:
        shown["url"] = media_url(session, message_id)
    return {**data, "media": shown}


def message_of(row: StoredMessage) -> InboundMessage | OutgoingMessage:
    """A stored message as it came in or went out."""
    return _INBOUND.decode(row.body) if row.direction == "in" else _OUTGOING.decode(row.body)


def media_of(row: StoredMessage) -> Media | None:
    return message_of(row).media


def sender_of(row: StoredMessage) -> str | None:
    """Who wrote a stored message; None for one of ours."""
    return _INBOUND.decode(row.body).sender if row.direction == "in" else None
