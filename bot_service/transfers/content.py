"""What a pairing takes along to another service. Times are milliseconds since the epoch."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bot_service.domain.inputs import Metadata, Name, Owner, SessionId
from bot_service.domain.message import OutgoingMessage
from bot_service.domain.refused import invalid

Text = Annotated[str, Meta(max_length=500)]


class CarriedWebhook(msgspec.Struct, frozen=True):
    """A webhook of the session alone, with the secret that its receiver knows."""

    url: Annotated[str, Meta(max_length=2000)]
    secret: Annotated[str, Meta(max_length=200)]
    events: tuple[Annotated[str, Meta(max_length=40)], ...]
    active: bool
    dialect: Annotated[str, Meta(max_length=20)] | None = None
    options: bytes | None = None


class CarriedMessage(msgspec.Struct, frozen=True):
    """A message that was accepted and not sent yet, in the order of the queue.

    ``file``: the bytes of ``message.media``.
    """

    message: OutgoingMessage
    chat: Annotated[str, Meta(max_length=128)]
    at_ms: int
    known_chat: bool
    idempotency_key: str | None = None
    fingerprint: str | None = None
    file: bytes | None = None


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """One session as it left. ``files`` are those of the engine (``engines/session_files.py``)."""

    veilleur: Text
    engine: Text
    exported_ms: int
    session: SessionId
    name: Name
    owner: Owner
    metadata: Metadata
    proxy: Text | None
    jid: Text
    lid: Text | None
    push_name: str | None
    banned_until_ms: int | None
    ban_tries: int
    timelocked_until_ms: int | None
    files: dict[str, bytes]
    lids: list[tuple[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=128)]]]
    webhooks: list[CarriedWebhook]
    waiting: list[CarriedMessage]


DEVICES_ARE_SHARED = "replicas keep devices in PostgreSQL, and a device cannot be taken out of it or put into it yet"
_DECODER = msgspec.msgpack.Decoder(Pairing)


def encode(pairing: Pairing) -> bytes:
    return msgspec.msgpack.encode(pairing)


def decode(content: bytes) -> Pairing:
    """Refused: ``invalid`` for a content that this version does not read."""
    try:
        return _DECODER.decode(content)
    except msgspec.MsgspecError as error:
        raise invalid("file", f"was written by another version of Veilleur: {error}") from None
