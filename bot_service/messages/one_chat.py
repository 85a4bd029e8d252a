"""Gives one person one chat, whether a message names the person by number or by hidden address (LID)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.addresses import has_authors
from bot_service.domain.message import InboundMessage
from bot_service.store import lids

HIDDEN = "@lid"
_MOST_REMEMBERED = 50_000

# (session, creation of the session, hidden address, address with the number)
Pair = tuple[str, str, str, str]


class StoredLids:
    """Which hidden addresses the store has, so that most messages need no query."""

    def __init__(self) -> None:
        self._pairs: set[Pair] = set()

    def new(self, arrived: Iterable[tuple[InboundMessage, str]]) -> list[Pair]:
        """Those of (message, creation) that have both addresses and may not be stored."""
        found = (
            (message.session, creation, message.lid, message.sender if has_authors(message.chat) else message.chat)
            for message, creation in arrived
            if message.lid is not None
        )
        return list(dict.fromkeys(pair for pair in found if pair not in self._pairs and not pair[3].endswith(HIDDEN)))

    def stored(self, pairs: Sequence[Pair]) -> None:
        """They are committed."""
        if len(self._pairs) + len(pairs) > _MOST_REMEMBERED:
            self._pairs.clear()
        self._pairs.update(pairs)


async def store(connection: AsyncConnection, pairs: Iterable[Pair]) -> None:
    """In the transaction of the messages."""
    for session, _, lid, jid in pairs:
        await lids.put(connection, session, lid, jid)


async def by_number(connection: AsyncConnection, message: InboundMessage) -> InboundMessage:
    """The message in the chat of the number, when the number behind its chat is known."""
    if not message.chat.endswith(HIDDEN):
        return message
    jid = await lids.jid_of(connection, message.session, message.chat)
    if jid is None:
        return message
    sender = jid if message.sender == message.chat else message.sender
    return msgspec.structs.replace(message, chat=jid, sender=sender, lid=message.chat)


async def chat_by_number(connection: AsyncConnection, session: str, chat: str) -> str:
    """The chat of the number, when the number behind ``chat`` is known."""
    return (await lids.jid_of(connection, session, chat) or chat) if chat.endswith(HIDDEN) else chat
