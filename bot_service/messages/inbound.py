"""Stores a batch of journal records: new messages, receipts of sent ones, and their events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.addresses import can_be_answered
from bot_service.domain.message import InboundMessage, JournalRecord, Receipt, is_probe
from bot_service.events.publisher import Draft
from bot_service.messages import poll_votes
from bot_service.messages.rendering import inbound_data
from bot_service.store import messages
from bot_service.store.messages import NewMessage
from shared.clock import from_ms, iso, to_ms

_ENCODER = msgspec.json.Encoder()

# The engine's receipts as states of a message.
STATE_OF_RECEIPT = {"server": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed"}


class ReplyTo(msgspec.Struct, frozen=True, rename="camel"):
    """Where a reply to a message goes; not sent if the session has another ``owner`` by then."""

    session: str
    chat: str
    id: str
    sender: str
    owner: str | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction stored. ``messages`` are new; ``probed`` sessions got a receive probe.

    ``moved`` counts sent messages by their new state, ``oldest_ms`` is the oldest new message.
    """

    messages: list[InboundMessage] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    probed: set[str] = field(default_factory=set)
    duplicates: int = 0
    oldest_ms: int | None = None
    moved: dict[str, int] = field(default_factory=dict)


async def ingest(
    connection: AsyncConnection,
    records: Sequence[JournalRecord],
    now: datetime,
    owner_of: Callable[[str], str | None],
) -> Batch:
    """Store the records inside the caller's transaction. Records of one chat keep their order."""
    batch = Batch()
    arrived = []
    for record in records:
        if record.receipt is not None:
            batch.receipts.append(record.receipt)
        if record.message is None:
            continue
        if is_probe(record.message):
            batch.probed.add(record.message.session)
        else:
            arrived.append(record.message)
    await _store_messages(connection, arrived, now, owner_of, batch)
    for receipt in batch.receipts:
        await _apply_receipt(connection, receipt, now, owner_of, batch)
    return batch


async def _store_messages(
    connection: AsyncConnection,
    arrived: Sequence[InboundMessage],
    now: datetime,
    owner_of: Callable[[str], str | None],
    batch: Batch,
) -> None:
    keys = [(message.session, message.chat, message.id) for message in arrived]
    known = await messages.known_keys(connection, keys)
    repeated: list[messages.Key] = []
    rows: list[NewMessage] = []
    now_ms = to_ms(now)
    for message, key in zip(await poll_votes.named(connection, arrived), keys, strict=True):
        if key in known:
            repeated.append(key)
            continue
        known.add(key)
        body = _ENCODER.encode(message)
        rows.append(NewMessage(*key, "in", message.type, message.at_ms, now_ms, "received", now_ms, body))
        batch.messages.append(message)
        batch.drafts.append(_draft(message, body, now, owner_of(message.session)))
    await messages.insert(connection, rows)
    await messages.count_duplicates(connection, repeated)
    batch.duplicates = len(repeated)
    batch.oldest_ms = min((message.at_ms for message in batch.messages), default=None)


def _draft(message: InboundMessage, body: bytes, now: datetime, owner: str | None) -> Draft:
    reply_to = None
    if not message.from_me and owner is not None and can_be_answered(message.chat):
        reply_to = _ENCODER.encode(ReplyTo(message.session, message.chat, message.id, message.sender, owner))
    return Draft("message", message.session, owner, now, inbound_data(message, body), reply_to)


async def _apply_receipt(
    connection: AsyncConnection,
    receipt: Receipt,
    now: datetime,
    owner_of: Callable[[str], str | None],
    batch: Batch,
) -> None:
    state = STATE_OF_RECEIPT.get(receipt.type)
    if state is None or not receipt.message_ids:
        return
    error = "rejected" if state == "failed" else None
    moved = await messages.set_sent_state(connection, receipt.session, receipt.message_ids, state, to_ms(now), error)
    batch.moved[state] = batch.moved.get(state, 0) + len(moved)
    owner = owner_of(receipt.session)
    batch.drafts.extend(
        status_draft(receipt.session, owner, chat, message_id, state, from_ms(receipt.at_ms), error)
        for chat, message_id in moved
    )


def status_draft(
    session: str, owner: str | None, chat: str, message_id: str, state: str, at: datetime, error: str | None
) -> Draft:
    """The event of a sent message that moved to ``state``."""
    data: dict[str, Any] = {"id": message_id, "session": session, "chat": chat, "state": state, "at": iso(at)}
    if error is not None:
        data["error"] = error
    return Draft("message.status", session, owner, at, data)
