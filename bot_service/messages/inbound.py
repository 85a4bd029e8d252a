"""Stores a batch of journal records: new messages, receipts of sent ones, and their events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.addresses import can_be_answered
from bot_service.domain.calls import Call
from bot_service.domain.message import InboundMessage, JournalRecord, Receipt, by_key, is_probe
from bot_service.domain.session_record import SessionRecord
from bot_service.events.publisher import Draft
from bot_service.messages import one_chat, poll_votes, storable
from bot_service.messages.authors import referring
from bot_service.messages.group_events import group_draft
from bot_service.messages.one_chat import Pair, StoredLids
from bot_service.messages.rendering import inbound_data, outgoing_data
from bot_service.store import messages
from bot_service.store.messages import NewMessage
from shared.clock import from_ms, iso, to_ms

_ENCODER = msgspec.json.Encoder()

# The engine's receipts as states of a message.
STATE_OF_RECEIPT = {"server": "sent", "delivered": "delivered", "read": "read", "played": "read", "failed": "failed"}
_STATES = ("sent", "delivered", "read", "failed")


class ReplyTo(msgspec.Struct, frozen=True, rename="camel"):
    """Where a reply to a message goes.

    It is not sent if the session has another ``owner`` or ``creation`` by then.
    """

    session: str
    chat: str
    id: str
    sender: str
    owner: str | None = None
    creation: str = ""


@dataclass(slots=True)
class Batch:
    """What one transaction stored. ``messages`` are new; ``probed`` sessions got a receive probe.

    ``moved`` counts sent messages by their new state, ``oldest_ms`` is the oldest new message.
    ``dropped`` counts, by session, the records of sessions that were deleted.
    """

    messages: list[InboundMessage] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    lids: list[Pair] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    probed: set[str] = field(default_factory=set)
    duplicates: int = 0
    oldest_ms: int | None = None
    moved: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


class _Arrived(NamedTuple):
    message: InboundMessage
    owner: str | None
    creation: str
    stored_ms: int
    owned_from_ms: int


async def ingest(
    connection: AsyncConnection,
    records: Sequence[JournalRecord],
    now: datetime,
    session_of: Callable[[str], SessionRecord | None],
    stored_lids: StoredLids | None = None,
) -> Batch:
    """Store the records inside the caller's transaction. Records of one chat keep their order.

    Records of a deleted session belong to no one, also when its id was used again. After the commit
    the caller gives the batch's ``lids`` to ``stored_lids``.
    """
    batch, now_ms = Batch(), to_ms(now)
    arrived: list[_Arrived] = []
    receipts: list[tuple[Receipt, str | None]] = []
    for record in records:
        item = record.item
        if item is None:
            continue
        session = session_of(item.session)
        if session is None or session.creation != record.creation:
            batch.dropped[item.session] = batch.dropped.get(item.session, 0) + 1
            continue
        at_ms = int(record.meta.get("atMs", now_ms))
        owner = session.owner_at(at_ms)
        if record.call is not None:
            batch.calls.append(record.call)
            batch.drafts.append(_call_draft(record.call, owner))
        if record.group is not None:
            batch.drafts.append(group_draft(storable.group_change(record.group), owner))
        if record.receipt is not None:
            receipt = storable.receipt(record.receipt)
            batch.receipts.append(receipt)
            receipts.append((receipt, owner))
        if record.message is None:
            continue
        if is_probe(record.message):
            batch.probed.add(record.message.session)
        else:
            # What arrived for an earlier owner is stored as such: the present one does not see it.
            stored_ms = at_ms if at_ms < session.owned_from_ms else now_ms
            message = storable.message(record.message)
            if message.media is not None:
                message = msgspec.structs.replace(message, media=by_key(message.media))
            arrived.append(
                _Arrived(
                    message,
                    owner,
                    record.creation,
                    stored_ms,
                    session.owned_from_ms if owner == session.owner else 0,
                )
            )
    batch.lids = (stored_lids or StoredLids()).new((each.message, each.creation) for each in arrived)
    await one_chat.store(connection, batch.lids)
    arrived = [each._replace(message=await one_chat.by_number(connection, each.message)) for each in arrived]
    await _store_messages(connection, arrived, now, batch)
    await _apply_receipts(connection, receipts, now, batch)
    return batch


async def _store_messages(
    connection: AsyncConnection,
    arrived: Sequence[_Arrived],
    now: datetime,
    batch: Batch,
) -> None:
    keys = [(each.message.session, each.message.chat, each.message.id) for each in arrived]
    known = await messages.known_keys(connection, keys)
    repeated: list[messages.Key] = []
    fresh: list[tuple[messages.Key, InboundMessage, NewMessage, Draft]] = []
    now_ms = to_ms(now)
    named = [
        await referring(connection, message)
        for message in await poll_votes.named(
            connection, [each.message for each in arrived], [each.owned_from_ms for each in arrived]
        )
    ]
    for (_, owner, creation, stored_ms, _), message, key in zip(arrived, named, keys, strict=True):
        if key in known:
            repeated.append(key)
            continue
        known.add(key)
        body = _ENCODER.encode(message)
        row = NewMessage(*key, "in", message.type, message.at_ms, stored_ms, "received", now_ms, body)
        row = msgspec.structs.replace(row, from_me=True) if message.from_me else row
        fresh.append((key, message, row, _draft(message, body, now, owner, creation)))
    stored = await messages.insert_unknown(connection, [row for _, _, row, _ in fresh])
    for key, message, _, draft in fresh:
        if key in stored:
            batch.messages.append(message)
            batch.drafts.append(draft)
        else:
            repeated.append(key)
    await messages.count_duplicates(connection, repeated)
    batch.duplicates = len(repeated)
    batch.oldest_ms = min((message.at_ms for message in batch.messages), default=None)


def _draft(message: InboundMessage, body: bytes, now: datetime, owner: str | None, creation: str) -> Draft:
    reply_to = None
    if not message.from_me and owner is not None and can_be_answered(message.chat):
        answer = ReplyTo(message.session, message.chat, message.id, message.sender, owner, creation)
        reply_to = _ENCODER.encode(answer)
    return Draft("message", message.session, owner, now, inbound_data(message, body), reply_to)


def _call_draft(call: Call, owner: str | None) -> Draft:
    at = from_ms(call.at_ms)
    data = {
        "id": call.id,
        "session": call.session,
        "from": call.caller,
        "video": call.video,
        "group": call.group,
        "at": iso(at),
    }
    return Draft("call.received", call.session, owner, at, data)


async def _apply_receipts(
    connection: AsyncConnection, receipts: Sequence[tuple[Receipt, str | None]], now: datetime, batch: Batch
) -> None:
    """One statement for each state; the events keep the order of the receipts."""
    named: dict[str, set[tuple[str, str]]] = {}
    for receipt, _ in receipts:
        if (state := STATE_OF_RECEIPT.get(receipt.type)) is not None:
            named.setdefault(state, set()).update((receipt.session, each) for each in receipt.message_ids)
    moved: dict[tuple[str, str, str], list[str]] = {}
    # From the first to the last state, so that a message with several receipts here passes all of them.
    for state in sorted(named, key=_STATES.index):
        error = "rejected" if state == "failed" else None
        found = await messages.set_sent_states(connection, named[state], state, to_ms(now), error)
        batch.moved[state] = batch.moved.get(state, 0) + len(found)
        for session, chat, message_id in found:
            moved.setdefault((state, session, message_id), []).append(chat)
    for receipt, owner in receipts:
        state = STATE_OF_RECEIPT.get(receipt.type, "")
        for message_id in receipt.message_ids:
            for chat in moved.pop((state, receipt.session, message_id), ()):
                error, at = "rejected" if state == "failed" else None, from_ms(receipt.at_ms)
                batch.drafts.append(status_draft(receipt.session, owner, chat, message_id, state, at, error))


def status_draft(
    session: str,
    owner: str | None,
    chat: str,
    message_id: str,
    state: str,
    at: datetime,
    error: str | None,
    message: bytes | None = None,
) -> Draft:
    """The event of a sent message that moved to ``state``; ``message`` is what was sent, as JSON."""
    data: dict[str, Any] = {"id": message_id, "session": session, "chat": chat, "state": state, "at": iso(at)}
    if message is not None:
        data["message"] = outgoing_data(session, message)
    if error is not None:
        data["error"] = error
    return Draft("message.status", session, owner, at, data)
