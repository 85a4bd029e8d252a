"""Names the options of poll votes: WhatsApp sends only the SHA-256 of their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import InboundMessage, Poll
from bot_service.messages import rendering
from bot_service.store import messages


async def named(connection: AsyncConnection, arrived: Sequence[InboundMessage]) -> list[InboundMessage]:
    """``arrived``, the votes among them with the options of polls that are stored or among them."""
    polls = {(message.session, message.id): message.poll for message in arrived if message.poll is not None}
    return [await _named(connection, message, polls) for message in arrived]


async def _named(
    connection: AsyncConnection, message: InboundMessage, polls: dict[tuple[str, str], Poll]
) -> InboundMessage:
    vote = message.vote
    if vote is None or not vote.hashes:
        return message
    poll = polls.get((message.session, vote.poll)) or await _stored(connection, message, vote.poll)
    texts = {hashlib.sha256(option.encode()).hexdigest(): option for option in poll.options} if poll else {}
    known = msgspec.structs.replace(
        vote,
        options=tuple(texts[hashed] for hashed in vote.hashes if hashed in texts),
        hashes=tuple(hashed for hashed in vote.hashes if hashed not in texts),
    )
    return msgspec.structs.replace(message, vote=known)


async def _stored(connection: AsyncConnection, vote: InboundMessage, poll_id: str) -> Poll | None:
    row = await messages.get(connection, vote.session, poll_id, chat=vote.chat)
    found = rendering.message_of(row) if row is not None else None
    return found.poll if isinstance(found, InboundMessage) else None
