"""Adds to a message, in or out, who wrote the one that it refers to."""

from __future__ import annotations

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.addresses import without_device
from bot_service.domain.message import InboundMessage, OutgoingMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.messages import rendering
from bot_service.store import messages
from bot_service.store.messages import StoredMessage


async def with_author(connection: AsyncConnection, record: SessionRecord, message: OutgoingMessage) -> OutgoingMessage:
    """A reply or a reaction names who wrote its message, where the store knows."""
    target = message.reply_to or message.reaction_to
    if target is None:
        return message
    # The chat of one person may be known by two addresses.
    found = await messages.get(connection, record.id, target, chat=message.to) or await messages.get(
        connection, record.id, target
    )
    return message if found is None else written_by(record, message, found)


async def referring(connection: AsyncConnection, message: InboundMessage) -> InboundMessage:
    """A reaction or a vote knows whether it is about a message of the session's own account."""
    target = message.reaction_to if message.vote is None else message.vote.poll
    found = await messages.get(connection, message.session, target) if target is not None else None
    return message if found is None or not found.from_me else msgspec.structs.replace(message, refers_to_own=True)


def written_by(record: SessionRecord, message: OutgoingMessage, target: StoredMessage) -> OutgoingMessage:
    """``message`` with the author of ``target``, to which it refers."""
    sender, own = rendering.author_of(target)
    if own:
        sender = without_device(record.jid) if record.jid else None
    return msgspec.structs.replace(message, reply_to_sender=sender, refers_to_own=own)
