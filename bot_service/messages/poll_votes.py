"""Names the options of poll votes: WhatsApp sends only the SHA-256 of their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.message import InboundMessage, Poll
from bot_service.messages import rendering
from bot_service.store import messages


async def named(
    connection: AsyncConnection, arrived: Sequence[InboundMessage], owned_from_ms: Sequence[int]
) -> list[InboundMessage]:
    """``arrived``, the votes among them with the options of polls that are stored or among them.

    ``owned_from_ms``, of each message's session: polls of an earlier owner are not looked up.
    """
    polls = {(message.session, message.id): message.poll for message in arrived if message.poll is not None}
    pairs = zip(arrived, owned_from_ms, strict=True)
    return [await _named(connection, message, polls, from_ms) for message, from_ms in pairs]


async def _named(
    connection: AsyncConnection, message: InboundMessage, polls: dict[tuple[str, str], Poll], from_ms: int
) -> InboundMessage:
    vote = message.vote
    if vote is None or not vote.hashes:
        return message
    poll = polls.get((message.session, vote.poll)) or await _stored(connection, message, vote.poll, from_ms)
    texts = {hashlib.sha256(option.encode()).hexdigest(): option for option in poll.options} if poll else {}
    known = msgspec.structs.replace(
        vote,
        options=tuple(texts[hashed] for hashed in vote.hashes if hashed in texts),
        hashes=tuple(hashed for hashed in vote.hashes if hashed not in texts),
    )
    return msgspec.structs.replace(message, vote=known)


async def _stored(connection: AsyncConnection, vote: InboundMessage, poll_id: str, from_ms: int) -> Poll | None:
    row = await messages.get(connection, vote.session, poll_id, chat=vote.chat, from_ms=from_ms)
    found = rendering.message_of(row) if row is not None else None
    return found.poll if found is not None else None
