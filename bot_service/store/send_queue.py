"""Queries on the queue of messages that are to be sent; every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.message_tables import messages, send_outbox


@dataclass(frozen=True, slots=True)
class Queued:
    """One message that waits; ``body`` is the OutgoingMessage as JSON."""

    position: str
    session: str
    chat: str
    message_id: str
    queued_ms: int
    attempts: int
    next_ms: int
    new_chat: bool
    known_chat: bool
    body: bytes


_COLUMNS = (
    send_outbox.c.position,
    send_outbox.c.session,
    send_outbox.c.chat,
    send_outbox.c.message_id,
    send_outbox.c.queued_ms,
    send_outbox.c.attempts,
    send_outbox.c.next_ms,
    send_outbox.c.new_chat,
    send_outbox.c.known_chat,
    messages.c.body,
)


async def insert(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await connection.execute(send_outbox.insert(), rows)


async def waiting(
    connection: AsyncConnection, session: str, *, limit: int, after: str = "", without_chats: Collection[str] = ()
) -> list[Queued]:
    """The oldest messages of ``session`` behind ``after``, in the order of their acceptance, due or not."""
    query = (
        sa.select(*_COLUMNS)
        .join(
            messages,
            sa.and_(
                messages.c.session == send_outbox.c.session,
                messages.c.message_id == send_outbox.c.message_id,
                messages.c.chat == send_outbox.c.chat,
            ),
        )
        .where(send_outbox.c.session == session, send_outbox.c.position > after)
        .order_by(send_outbox.c.position)
        .limit(limit)
    )
    if without_chats:
        query = query.where(send_outbox.c.chat.not_in(without_chats))
    found: Any = await connection.execute(query)
    return [Queued(*row) for row in found]


async def sessions_waiting(connection: AsyncConnection) -> list[str]:
    return [row[0] for row in await connection.execute(sa.select(send_outbox.c.session).distinct())]


async def standing(connection: AsyncConnection, session: str, message_id: str) -> tuple[bool, str | None] | None:
    """(whether its chat wrote to us, why the last attempt failed) of a message that waits; None when it does not."""
    query = sa.select(send_outbox.c.known_chat, send_outbox.c.last_error).where(
        send_outbox.c.session == session, send_outbox.c.message_id == message_id
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (bool(row[0]), row[1])


async def depth(connection: AsyncConnection, session: str) -> int:
    found = await connection.execute(
        sa.select(sa.func.count()).select_from(send_outbox).where(send_outbox.c.session == session)
    )
    return int(found.scalar_one())


async def oldest(connection: AsyncConnection) -> str | None:
    """The position of the message that waits longest."""
    found: str | None = (await connection.execute(sa.select(sa.func.min(send_outbox.c.position)))).scalar_one()
    return found


async def newest(connection: AsyncConnection) -> str | None:
    """The position of the message that was accepted last."""
    found: str | None = (await connection.execute(sa.select(sa.func.max(send_outbox.c.position)))).scalar_one()
    return found


async def postpone(connection: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    """Each of ``rows``: ``p`` position, ``n`` next time in ms, ``a`` attempts, ``e`` error."""
    if rows:
        await connection.execute(
            send_outbox.update()
            .where(send_outbox.c.position == sa.bindparam("p"))
            .values(next_ms=sa.bindparam("n"), attempts=sa.bindparam("a"), last_error=sa.bindparam("e")),
            rows,
        )


async def remove(connection: AsyncConnection, positions: list[str]) -> None:
    if positions:
        await connection.execute(send_outbox.delete().where(send_outbox.c.position.in_(positions)))
