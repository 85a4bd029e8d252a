"""Queries on messages and on the queue of what is to be sent; every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.message_tables import journal_positions, messages, send_outbox

Key = tuple[str, str, str]

# What a mark of the server may change: a state never goes back.
_BEFORE = {
    "sent": ("queued",),
    "delivered": ("queued", "sent"),
    "read": ("queued", "sent", "delivered"),
    "failed": ("queued", "sent"),
}


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One row. ``body`` is JSON: an InboundMessage or an OutgoingMessage by ``direction``."""

    seq: int
    session: str
    chat: str
    message_id: str
    direction: str
    type: str
    at_ms: int
    stored_ms: int
    state: str
    state_ms: int
    error: str | None
    duplicates: int
    idempotency_key: str | None
    fingerprint: str | None
    body: bytes


def _stored(row: Any) -> StoredMessage:
    return StoredMessage(*row)


async def known_keys(connection: AsyncConnection, keys: Sequence[Key]) -> set[Key]:
    """Those of ``keys`` (session, chat, message id) that are stored already."""
    if not keys:
        return set()
    found = await connection.execute(
        sa.select(messages.c.session, messages.c.chat, messages.c.message_id).where(
            messages.c.session.in_({key[0] for key in keys}), messages.c.message_id.in_({key[2] for key in keys})
        )
    )
    return {(row[0], row[1], row[2]) for row in found} & set(keys)


async def insert(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(messages.insert(), rows)


async def count_duplicates(connection: AsyncConnection, keys: Sequence[Key]) -> None:
    """Mark that each of ``keys`` came once more."""
    if keys:
        await connection.execute(
            messages.update()
            .where(
                messages.c.session == sa.bindparam("k_session"),
                messages.c.chat == sa.bindparam("k_chat"),
                messages.c.message_id == sa.bindparam("k_id"),
            )
            .values(duplicates=messages.c.duplicates + 1),
            [{"k_session": session, "k_chat": chat, "k_id": message} for session, chat, message in keys],
        )


async def set_sent_state(
    connection: AsyncConnection, session: str, message_ids: Sequence[str], state: str, now_ms: int, error: str | None
) -> list[tuple[str, str]]:
    """Move messages of ours forward to ``state``; the (chat, message id) of those that moved."""
    moved = await connection.execute(
        messages.update()
        .where(
            messages.c.session == session,
            messages.c.message_id.in_(message_ids),
            messages.c.direction == "out",
            messages.c.state.in_(_BEFORE[state]),
        )
        .values(state=state, state_ms=now_ms, error=error)
        .returning(messages.c.chat, messages.c.message_id)
    )
    return [(row[0], row[1]) for row in moved]


async def get(connection: AsyncConnection, session: str, message_id: str) -> StoredMessage | None:
    row = (
        await connection.execute(
            sa.select(messages)
            .where(messages.c.session == session, messages.c.message_id == message_id)
            .order_by(messages.c.seq)
            .limit(1)
        )
    ).first()
    return _stored(row) if row else None


async def by_idempotency_key(connection: AsyncConnection, session: str, key: str) -> StoredMessage | None:
    row = (
        await connection.execute(
            sa.select(messages).where(messages.c.session == session, messages.c.idempotency_key == key)
        )
    ).first()
    return _stored(row) if row else None


async def page(
    connection: AsyncConnection,
    session: str,
    *,
    limit: int,
    before: int | None = None,
    chat: str | None = None,
    direction: str | None = None,
    state: str | None = None,
) -> list[StoredMessage]:
    """Newest first; ``before`` is the ``seq`` to go on from."""
    query = sa.select(messages).where(messages.c.session == session)
    if before is not None:
        query = query.where(messages.c.seq < before)
    for column, value in ((messages.c.chat, chat), (messages.c.direction, direction), (messages.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    return [_stored(row) for row in await connection.execute(query.order_by(messages.c.seq.desc()).limit(limit))]


async def chat_history(connection: AsyncConnection, session: str, chat: str) -> tuple[bool, bool]:
    """(whether any message was ever exchanged with this chat, whether the other side ever wrote)."""
    rows = await connection.execute(
        sa.select(messages.c.direction)
        .where(messages.c.session == session, messages.c.chat == chat)
        .group_by(messages.c.direction)
    )
    directions = {row[0] for row in rows}
    return bool(directions), "in" in directions


async def positions(connection: AsyncConnection) -> dict[str, int]:
    """Bytes ingested of every journal file."""
    found = await connection.execute(sa.select(journal_positions.c.file, journal_positions.c.position))
    return {row[0]: row[1] for row in found}


async def set_position(connection: AsyncConnection, file: str, position: int, now_ms: int) -> None:
    changed = await connection.execute(
        journal_positions.update().where(journal_positions.c.file == file).values(position=position, updated_ms=now_ms)
    )
    if changed.rowcount == 0:
        await connection.execute(journal_positions.insert().values(file=file, position=position, updated_ms=now_ms))


async def forget_position(connection: AsyncConnection, file: str) -> None:
    await connection.execute(journal_positions.delete().where(journal_positions.c.file == file))


async def prune(connection: AsyncConnection, before_ms: int, limit: int) -> list[bytes]:
    """Delete at most ``limit`` of the messages stored before ``before_ms`` that nothing waits for; their bodies."""
    old = (
        sa.select(messages.c.seq)
        .where(messages.c.stored_ms < before_ms, messages.c.state != "queued")
        .order_by(messages.c.seq)
        .limit(limit)
    )
    seqs = [row[0] for row in await connection.execute(old)]
    if not seqs:
        return []
    gone = await connection.execute(messages.delete().where(messages.c.seq.in_(seqs)).returning(messages.c.body))
    return [row[0] for row in gone]


async def forget_session(connection: AsyncConnection, session: str) -> None:
    """Delete every message of a deleted session and what it still had to send."""
    await connection.execute(messages.delete().where(messages.c.session == session))
    await connection.execute(send_outbox.delete().where(send_outbox.c.session == session))
