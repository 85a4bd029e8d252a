"""What a batch of journal records becomes in the store: new messages, marks on ours, and the events to tell of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import InboundMessage, JournalRecord, Receipt, is_probe
from bot_service.events.publisher import Draft
from bot_service.messages.rendering import inbound_data
from bot_service.store import messages
from shared.clock import from_ms, iso, to_ms

_ENCODER = msgspec.json.Encoder()

# The engine's marks in our words.
STATE_OF_RECEIPT = {"server": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed"}


class ReplyTo(msgspec.Struct, frozen=True, rename="camel"):
    """Where an answer to a message goes. ``owner`` is whose the session was: an answer is not sent for anybody else."""

    session: str
    chat: str
    id: str
    sender: str
    owner: str | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction took in. ``messages`` are the new ones only; ``probed`` sessions got a receive probe of ours."""

    messages: list[InboundMessage] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    probed: set[str] = field(default_factory=set)
    duplicates: int = 0
    oldest_ms: int | None = None
    moved: dict[str, int] = field(default_factory=dict)


async def take_in(
    connection: AsyncConnection,
    records: Sequence[JournalRecord],
    now: datetime,
    owner_of: Callable[[str], str | None],
) -> Batch:
    """Write the batch inside the caller's transaction. Records of one chat keep their order."""
    batch = Batch()
    told = (record.message for record in records if record.message is not None)
    arrived = []
    for message in told:
        if is_probe(message):
            batch.probed.add(message.session)
        else:
            arrived.append(message)
    await _take_messages(connection, arrived, now, owner_of, batch)
    batch.receipts = [record.receipt for record in records if record.receipt is not None]
    for receipt in batch.receipts:
        await _take_receipt(connection, receipt, now, owner_of, batch)
    return batch


async def _take_messages(
    connection: AsyncConnection,
    arrived: Sequence[InboundMessage],
    now: datetime,
    owner_of: Callable[[str], str | None],
    batch: Batch,
) -> None:
    keys = [(message.session, message.chat, message.id) for message in arrived]
    known = await messages.known_keys(connection, keys)
    again: list[messages.Key] = []
    rows: list[dict[str, Any]] = []
    now_ms = to_ms(now)
    for message, key in zip(arrived, keys, strict=True):
        if key in known:
            again.append(key)
            continue
        known.add(key)
        body = _ENCODER.encode(message)
        rows.append(_row(message, body, now_ms))
        batch.messages.append(message)
        batch.drafts.append(_draft(message, body, now, owner_of(message.session)))
    await messages.insert(connection, rows)
    await messages.count_duplicates(connection, again)
    batch.duplicates = len(again)
    batch.oldest_ms = min((message.at_ms for message in batch.messages), default=None)


def _row(message: InboundMessage, body: bytes, now_ms: int) -> dict[str, Any]:
    return {
        "session": message.session,
        "chat": message.chat,
        "message_id": message.id,
        "direction": "in",
        "type": message.type,
        "at_ms": message.at_ms,
        "stored_ms": now_ms,
        "state": "received",
        "state_ms": now_ms,
        "duplicates": 0,
        "body": body,
    }


def _draft(message: InboundMessage, body: bytes, now: datetime, owner: str | None) -> Draft:
    answerable = not message.from_me and owner is not None
    reply_to = ReplyTo(message.session, message.chat, message.id, message.sender, owner) if answerable else None
    return Draft(
        type="message",
        session=message.session,
        owner=owner,
        at=now,
        data=inbound_data(message, body),
        reply_to=None if reply_to is None else _ENCODER.encode(reply_to),
    )


async def _take_receipt(
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
    """The event of a message of ours that moved to ``state``."""
    data: dict[str, Any] = {"id": message_id, "session": session, "chat": chat, "state": state, "at": iso(at)}
    if error is not None:
        data["error"] = error
    return Draft("message.status", session, owner, at, data)
