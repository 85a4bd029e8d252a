"""Queries on the queue of messages to send, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.messages import messages
from bot_service.store.metadata import SESSION_ID, columns, metadata

send_outbox = sa.Table(
    "send_outbox",
    metadata,
    sa.Column("position", sa.String(18), primary_key=True),  # sorts by the time of acceptance
    sa.Column("session", SESSION_ID, nullable=False),
    sa.Column("chat", sa.String(128), nullable=False),
    sa.Column("message_id", sa.String(128), nullable=False),
    sa.Column("queued_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
    sa.Column("new_chat", sa.Boolean, nullable=False),
    sa.Column("known_chat", sa.Boolean, nullable=False),
    sa.Column("last_error", sa.String(300)),
    sa.Index("send_outbox_by_session", "session", "position"),
    sa.Index("send_outbox_by_message", "session", "message_id"),
)


# Notified of when another replica than its owner accepted a message.
CHANNEL = "veilleur_sends"


class QueueEntry(msgspec.Struct, frozen=True):
    """One message that waits. ``known_chat``: its chat wrote to this session before."""

    position: str
    session: str
    chat: str
    message_id: str
    queued_ms: int
    attempts: int
    next_ms: int
    new_chat: bool
    known_chat: bool


class QueuedMessage(QueueEntry, frozen=True):
    """An entry with its message; ``body`` is the OutgoingMessage as JSON."""

    body: bytes


class Postponement(msgspec.Struct, frozen=True):
    """A failed attempt at a message that stays in the queue; ``next_ms`` is its next attempt."""

    position: str
    attempts: int
    next_ms: int
    last_error: str | None


_WAITING = sa.select(*columns(send_outbox, QueueEntry), messages.c.body).join(
    messages,
    sa.and_(
        messages.c.session == send_outbox.c.session,
        messages.c.message_id == send_outbox.c.message_id,
        messages.c.chat == send_outbox.c.chat,
    ),
)


async def insert(connection: AsyncConnection, entries: Sequence[QueueEntry]) -> None:
    if entries:
        names = QueueEntry.__struct_fields__
        values = [{name: getattr(entry, name) for name in names} for entry in entries]
        await connection.execute(send_outbox.insert(), values)


async def notify(connection: AsyncConnection) -> None:
    """With the commit, let the owner of the session look. Only for PostgreSQL."""
    await connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))


class Standing(msgspec.Struct, frozen=True):
    """What the store knows before a message is queued.

    ``met``: a message was exchanged with the chat; ``wrote``: the other side ever wrote; ``waiting``
    messages of the session; ``earlier``: the ``seq`` of the message with the same Idempotency-Key.
    """

    met: bool
    wrote: bool
    waiting: int
    earlier: int | None


async def standings(connection: AsyncConnection, wanted: Sequence[tuple[str, str, str | None]]) -> list[Standing]:
    """For each (session, chat, Idempotency-Key), in one statement."""
    size = 1 << (len(wanted) - 1).bit_length()  # few sizes, so that few statements are compiled
    padded = list(wanted) + [wanted[-1]] * (size - len(wanted))
    values = {
        f"{name}{number}": value for number, each in enumerate(padded) for name, value in zip("sck", each, strict=True)
    }
    found = {row[0]: row for row in await connection.execute(_standings(size), values)}
    rows = [found[number] for number in range(len(wanted))]
    return [Standing(bool(row[1]), bool(row[2]), int(row[3]), row[4]) for row in rows]


@cache
def _standings(size: int) -> sa.Select[Any]:
    """SQLite uses an index for pairs only in a query that is correlated with them."""
    text = sa.String()
    rows = [
        sa.select(
            sa.bindparam(f"n{number}", number, sa.Integer()).label("n"),
            sa.bindparam(f"s{number}", type_=text).label("session"),
            sa.bindparam(f"c{number}", type_=text).label("chat"),
            sa.bindparam(f"k{number}", type_=text).label("name"),
        )
        for number in range(size)
    ]
    wanted = sa.union_all(*rows).cte("wanted")
    own = messages.c.session == wanted.c.session
    of_chat = own & (messages.c.chat == wanted.c.chat)
    waiting = sa.select(sa.func.count()).select_from(send_outbox).where(send_outbox.c.session == wanted.c.session)
    earlier = sa.select(messages.c.seq).where(own, messages.c.idempotency_key == wanted.c.name)
    return sa.select(
        wanted.c.n,
        sa.exists().where(of_chat),
        sa.exists().where(of_chat, messages.c.direction == "in"),
        waiting.scalar_subquery(),
        earlier.scalar_subquery(),
    )


async def waiting(
    connection: AsyncConnection, session: str, *, limit: int, after: str = "", without_chats: Collection[str] = ()
) -> list[QueuedMessage]:
    """The oldest messages of ``session`` after the position ``after``, in order, due or not."""
    query = _WAITING.where(send_outbox.c.session == session, send_outbox.c.position > after)
    if without_chats:
        query = query.where(send_outbox.c.chat.not_in(without_chats))
    found: Any = await connection.execute(query.order_by(send_outbox.c.position).limit(limit))
    return [QueuedMessage(*row) for row in found]


async def sessions_waiting(connection: AsyncConnection) -> list[str]:
    return [row[0] for row in await connection.execute(sa.select(send_outbox.c.session).distinct())]


async def standing(connection: AsyncConnection, session: str, message_id: str) -> tuple[bool, str | None] | None:
    """(whether the chat wrote before, the last error) of a waiting message; None if none waits."""
    query = sa.select(send_outbox.c.known_chat, send_outbox.c.last_error).where(
        send_outbox.c.session == session, send_outbox.c.message_id == message_id
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (bool(row[0]), row[1])


async def oldest(connection: AsyncConnection) -> str | None:
    """The position of the message that waits longest."""
    found: str | None = (await connection.execute(sa.select(sa.func.min(send_outbox.c.position)))).scalar_one()
    return found


async def newest(connection: AsyncConnection) -> str | None:
    """The position of the message that was accepted last."""
    found: str | None = (await connection.execute(sa.select(sa.func.max(send_outbox.c.position)))).scalar_one()
    return found


async def postpone(connection: AsyncConnection, rows: Sequence[Postponement]) -> None:
    """Store failed attempts."""
    if rows:
        # SQLAlchemy reserves the names of columns for the values to set.
        values = [msgspec.structs.asdict(row) for row in rows]
        for row in values:
            row["at_position"] = row.pop("position")
        await connection.execute(
            send_outbox.update().where(send_outbox.c.position == sa.bindparam("at_position")), values
        )


async def remove(connection: AsyncConnection, positions: list[str]) -> None:
    if positions:
        await connection.execute(send_outbox.delete().where(send_outbox.c.position.in_(positions)))


async def forget_session(connection: AsyncConnection, session: str) -> None:
    """Delete everything that a deleted session still had to send."""
    await connection.execute(send_outbox.delete().where(send_outbox.c.session == session))
