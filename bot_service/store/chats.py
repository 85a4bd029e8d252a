"""Queries on chats: the last message of each, and how far it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.messages import STORED, StoredMessage, messages
from bot_service.store.metadata import SESSION_ID, metadata
from bot_service.store.upsert import upsert

chat_reads = sa.Table(
    "chat_reads",
    metadata,
    sa.Column("session", SESSION_ID, primary_key=True),
    sa.Column("chat", sa.String(128), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredChat:
    """``unread``: messages of others since the last own message and the last one marked as read."""

    last: StoredMessage
    unread: int


async def page(
    connection: AsyncConnection,
    session: str,
    *,
    limit: int,
    from_ms: int = 0,
    before: int | None = None,
    chat: str | None = None,
) -> list[StoredChat]:
    """The chat with the newest message first, or ``chat`` alone; ``before`` is the ``seq`` of a last message."""
    newest = sa.func.max(messages.c.seq)
    query = sa.select(newest).where(messages.c.session == session).group_by(messages.c.chat)
    if from_ms:
        query = query.where(messages.c.stored_ms >= from_ms)
    if chat is not None:
        query = query.where(messages.c.chat == chat)
    if before is not None:
        query = query.having(newest < before)
    last_ones = query.order_by(newest.desc()).limit(limit)
    rows = await connection.execute(STORED.where(messages.c.seq.in_(last_ones)).order_by(messages.c.seq.desc()))
    found = [StoredMessage(*row) for row in rows]
    unread = await _unread(connection, session, [row.chat for row in found], from_ms)
    return [StoredChat(row, unread.get(row.chat, 0)) for row in found]


async def _unread(connection: AsyncConnection, session: str, chats: Sequence[str], from_ms: int) -> dict[str, int]:
    own = messages.alias()
    last_own = (
        sa.select(sa.func.max(own.c.seq))
        .where(own.c.session == session, own.c.chat == messages.c.chat, own.c.from_me)
        .scalar_subquery()
    )
    last_read = (
        sa.select(chat_reads.c.seq)
        .where(chat_reads.c.session == session, chat_reads.c.chat == messages.c.chat)
        .scalar_subquery()
    )
    query = (
        sa.select(messages.c.chat, sa.func.count())
        .where(
            messages.c.session == session,
            messages.c.chat.in_(chats),
            messages.c.stored_ms >= from_ms,
            ~messages.c.from_me,
            messages.c.seq > sa.func.coalesce(last_own, 0),
            messages.c.seq > sa.func.coalesce(last_read, 0),
        )
        .group_by(messages.c.chat)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def mark_read(connection: AsyncConnection, session: str, chat: str, message_ids: Sequence[str]) -> None:
    """The chat is read up to the newest of these messages; never back to an earlier one."""
    newest = await connection.scalar(
        sa.select(sa.func.max(messages.c.seq)).where(
            messages.c.session == session, messages.c.chat == chat, messages.c.message_id.in_(message_ids)
        )
    )
    if newest is not None:
        row = {"session": session, "chat": chat, "seq": newest}
        await upsert(connection, chat_reads, [row], key=("session", "chat"), only="seq", growing=True)


async def forget_session(connection: AsyncConnection, session: str) -> None:
    await connection.execute(chat_reads.delete().where(chat_reads.c.session == session))
