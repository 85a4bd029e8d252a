"""Queries on messages and journal positions, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store import upsert
from bot_service.store.metadata import SESSION_ID, columns, metadata

Key = tuple[str, str, str]

# The states from which a message may move to each state: it never goes back.
_BEFORE = {
    "sent": ("queued",),
    "delivered": ("queued", "sent"),
    "read": ("queued", "sent", "delivered"),
    "failed": ("queued", "sent"),
}

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("session", SESSION_ID, nullable=False),
    sa.Column("chat", sa.String(128), nullable=False),
    sa.Column("message_id", sa.String(128), nullable=False),
    sa.Column("direction", sa.String(3), nullable=False),  # in, out
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("stored_ms", sa.BigInteger, nullable=False),
    # in: received (before version 0.3 also handled, unhandled)
    # out: queued, sent, delivered, read, failed
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("state_ms", sa.BigInteger, nullable=False),
    sa.Column("error", sa.String(300)),
    # How often the same message came again and was dropped.
    sa.Column("duplicates", sa.Integer, nullable=False, default=0),
    sa.Column("idempotency_key", sa.String(200)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("from_me", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("messages_once", "session", "message_id", "chat", unique=True),
    sa.Index("messages_by_session", "session", "seq"),
    sa.Index("messages_by_chat", "session", "chat", "seq"),
    sa.Index("messages_by_idempotency_key", "session", "idempotency_key", unique=True),
)

journal_positions = sa.Table(
    "journal_positions",
    metadata,
    sa.Column("file", sa.String(128), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
)


class NewMessage(msgspec.Struct, frozen=True):
    """A message to store. ``body`` is JSON: InboundMessage or OutgoingMessage by ``direction``."""

    session: str
    chat: str
    message_id: str
    direction: str
    type: str
    at_ms: int
    stored_ms: int
    state: str
    state_ms: int
    body: bytes
    error: str | None = None
    duplicates: int = 0
    idempotency_key: str | None = None
    fingerprint: str | None = None
    from_me: bool = False


class StoredMessage(NewMessage, frozen=True):
    """``seq`` grows with the order of storing."""

    seq: int = 0


STORED = sa.select(*columns(messages, StoredMessage))


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


async def insert(connection: AsyncConnection, rows: Sequence[NewMessage]) -> None:
    if rows:
        await connection.execute(messages.insert(), [_values(row) for row in rows])


def _values(row: NewMessage) -> dict[str, Any]:
    return {name: getattr(row, name) for name in NewMessage.__struct_fields__}


async def insert_unknown(connection: AsyncConnection, rows: Sequence[NewMessage]) -> set[Key]:
    """Store ``rows``, which :func:`known_keys` did not find. Returns the keys of those that are new all the same.

    With SQLite that is all of them: no one else writes between the two.
    """
    if connection.dialect.name == "sqlite":
        await insert(connection, rows)
        return {(row.session, row.chat, row.message_id) for row in rows}
    values = [msgspec.structs.asdict(row) for row in rows]
    stored = await upsert.insert_new(connection, messages, values, key=("session", "message_id", "chat"))
    return {(session, chat, message_id) for session, message_id, chat in stored}


async def count_duplicates(connection: AsyncConnection, keys: Sequence[Key]) -> None:
    """Count that each of ``keys`` came once more."""
    if keys:
        names = ("at_session", "at_chat", "at_message_id")
        await connection.execute(
            messages.update()
            .where(
                messages.c.session == sa.bindparam("at_session"),
                messages.c.chat == sa.bindparam("at_chat"),
                messages.c.message_id == sa.bindparam("at_message_id"),
            )
            .values(duplicates=messages.c.duplicates + 1),
            [dict(zip(names, key, strict=True)) for key in keys],
        )


async def set_sent_states(
    connection: AsyncConnection, keys: Collection[tuple[str, str]], state: str, now_ms: int, error: str | None
) -> list[tuple[str, str, str]]:
    """Move sent messages, named by (session, message id), forward to ``state``.

    Returns (session, chat, message id) of those that moved.
    """
    if not keys:
        return []
    moved = await connection.execute(
        messages.update()
        .where(
            # The first two let SQLite use the index, the third one lets no pair be mixed.
            messages.c.session.in_({session for session, _ in keys}),
            messages.c.message_id.in_([message_id for _, message_id in keys]),
            sa.tuple_(messages.c.session, messages.c.message_id).in_(list(keys)),
            messages.c.direction == "out",
            messages.c.state.in_(_BEFORE[state]),
        )
        .values(state=state, state_ms=now_ms, error=error)
        .returning(messages.c.session, messages.c.chat, messages.c.message_id)
    )
    return [(row[0], row[1], row[2]) for row in moved]


async def get(
    connection: AsyncConnection, session: str, message_id: str, *, chat: str | None = None, from_ms: int = 0
) -> StoredMessage | None:
    """The oldest message with this id stored since ``from_ms``, of ``chat`` if given: two chats may use the same."""
    query = STORED.where(
        messages.c.session == session, messages.c.message_id == message_id, messages.c.stored_ms >= from_ms
    )
    if chat is not None:
        query = query.where(messages.c.chat == chat)
    row = (await connection.execute(query.order_by(messages.c.seq).limit(1))).first()
    return StoredMessage(*row) if row else None


async def by_idempotency_key(connection: AsyncConnection, session: str, key: str) -> StoredMessage | None:
    query = STORED.where(messages.c.session == session, messages.c.idempotency_key == key)
    row = (await connection.execute(query)).first()
    return StoredMessage(*row) if row else None


async def release_key(connection: AsyncConnection, session: str, key: str, before_ms: int) -> None:
    """Let ``key`` be used once more where it was used before then, and never what another call stores just now."""
    used = (messages.c.session == session) & (messages.c.idempotency_key == key) & (messages.c.stored_ms < before_ms)
    await connection.execute(messages.update().where(used).values(idempotency_key=None))


class Narrowed(msgspec.Struct, frozen=True):
    """What a list of messages holds: those stored since ``from_ms``, before ``before``, and of one
    chat, direction and state where they are given."""

    from_ms: int = 0
    before: int | None = None
    chat: str | None = None
    direction: str | None = None
    state: str | None = None

    def of(self, session: str) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = [messages.c.session == session]
        if self.from_ms:
            found.append(messages.c.stored_ms >= self.from_ms)
        if self.before is not None:
            found.append(messages.c.seq < self.before)
        for column, value in (
            (messages.c.chat, self.chat),
            (messages.c.direction, self.direction),
            (messages.c.state, self.state),
        ):
            if value is not None:
                found.append(column == value)
        return found


async def page(
    connection: AsyncConnection, session: str, *, limit: int, narrowed: Narrowed | None = None
) -> list[StoredMessage]:
    """Newest first."""
    query = STORED.where(*(narrowed or Narrowed()).of(session))
    found = await connection.execute(query.order_by(messages.c.seq.desc()).limit(limit))
    return [StoredMessage(*row) for row in found]


async def search(
    connection: AsyncConnection, session: str, narrowed: Narrowed, *, text: str, rows: int
) -> tuple[list[StoredMessage], int | None]:
    """Those of the newest ``rows`` messages that may hold ``text``, newest first, and the ``seq`` to
    go on from; None when no older ones are left.

    The caller looks at each: letters beyond ASCII match any letter here, in whatever part.
    """
    newest = sa.select(messages.c.seq).where(*narrowed.of(session)).order_by(messages.c.seq.desc()).limit(rows)
    looked_at = newest.subquery()
    oldest, count = (await connection.execute(sa.select(sa.func.min(looked_at.c.seq), sa.func.count()))).one()
    if oldest is None:
        return [], None
    query = STORED.where(*narrowed.of(session), messages.c.seq >= oldest, _as_text(connection).ilike(_pattern(text)))
    found = await connection.execute(query.order_by(messages.c.seq.desc()))
    return [StoredMessage(*row) for row in found], oldest if count == rows else None


def _as_text(connection: AsyncConnection) -> sa.ColumnElement[str]:
    if connection.dialect.name == "postgresql":
        return sa.func.convert_from(messages.c.body, "UTF8")
    return sa.cast(messages.c.body, sa.Text)


def _pattern(text: str) -> str:
    """``text`` inside JSON: escaped characters match anything, letters beyond ASCII any one letter."""
    plain = "".join("%" if letter in '\\"%' or letter < " " else ("_" if letter > "~" else letter) for letter in text)
    return f"%{plain}%"


async def positions(connection: AsyncConnection) -> dict[str, int]:
    """How many bytes of each journal file are stored."""
    found = await connection.execute(sa.select(journal_positions.c.file, journal_positions.c.position))
    return {row[0]: row[1] for row in found}


async def set_position(connection: AsyncConnection, file: str, position: int, now_ms: int) -> None:
    row = {"file": file, "position": position, "updated_ms": now_ms}
    await upsert.upsert(connection, journal_positions, [row], key="file")


async def forget_position(connection: AsyncConnection, file: str) -> None:
    await connection.execute(journal_positions.delete().where(journal_positions.c.file == file))


async def prune(connection: AsyncConnection, before_ms: int, limit: int) -> list[bytes]:
    """Delete ``limit`` messages stored before ``before_ms``, none queued. Returns their bodies."""
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
    await connection.execute(messages.delete().where(messages.c.session == session))
