"""Queries on the bounded table of events, inside the caller's transaction."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import SESSION_ID, metadata

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.String(18), primary_key=True),
    sa.Column("owner", sa.String(64)),
    sa.Column("session", SESSION_ID),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("events_by_owner", "owner", "id"),
)


# Of PostgreSQL's advisory lock.
_ORDER = 7_305_421_931


async def keep_order(connection: AsyncConnection) -> None:
    """Until the transaction ends no other one makes events, so that they become visible in the order of their ids.

    Readers continue after an id: one that became visible later would be missed. SQLite has one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER)))


CHANNEL = "veilleur_events"


class StoredEvent(msgspec.Struct, frozen=True):
    """``id`` sorts by time; ``body`` is the whole event as JSON."""

    id: str
    owner: str | None
    session: str | None
    type: str
    body: bytes


async def insert(connection: AsyncConnection, rows: list[StoredEvent]) -> None:
    if rows:
        await connection.execute(events.insert(), [msgspec.structs.asdict(row) for row in rows])


async def after(
    connection: AsyncConnection, event_id: str, limit: int, *, owner: str | None = None
) -> list[StoredEvent]:
    """The oldest events after ``event_id``; with ``owner`` only theirs."""
    query = sa.select(events).where(events.c.id > event_id).order_by("id").limit(limit)
    if owner is not None:
        query = query.where(events.c.owner == owner)
    return [StoredEvent(*row) for row in await connection.execute(query)]


async def newest(connection: AsyncConnection, limit: int, *, owner: str | None = None) -> list[StoredEvent]:
    """The newest events, the oldest of them first; with ``owner`` only theirs."""
    query = sa.select(events).order_by(events.c.id.desc()).limit(limit)
    if owner is not None:
        query = query.where(events.c.owner == owner)
    return [StoredEvent(*row) for row in await connection.execute(query)][::-1]


async def newest_id(connection: AsyncConnection) -> str | None:
    newest: str | None = (await connection.execute(sa.select(sa.func.max(events.c.id)))).scalar_one()
    return newest


async def oldest_id(connection: AsyncConnection) -> str | None:
    oldest: str | None = (await connection.execute(sa.select(sa.func.min(events.c.id)))).scalar_one()
    return oldest


async def before_newest(connection: AsyncConnection, count: int) -> str:
    """The id before the newest ``count`` events; empty when there are no more than that."""
    found = await connection.execute(sa.select(events.c.id).order_by(events.c.id.desc()).offset(count).limit(1))
    return found.scalar_one_or_none() or ""


async def prune(connection: AsyncConnection, keep: int, limit: int) -> int:
    """Delete events older than the newest ``keep``, at most ``limit`` at once. Returns how many."""
    edge = sa.select(events.c.id).order_by(events.c.id.desc()).offset(keep).limit(1).scalar_subquery()
    old = sa.select(events.c.id).where(events.c.id <= edge).order_by(events.c.id).limit(limit)
    return int((await connection.execute(events.delete().where(events.c.id.in_(old)))).rowcount)


async def forget_session(connection: AsyncConnection, session: str) -> None:
    await connection.execute(events.delete().where(events.c.session == session))
