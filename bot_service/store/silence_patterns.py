"""What each session usually receives: one small row a session, overwritten."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.domain.readiness import SLOTS, Pattern
from bot_service.store.metadata import SESSION_ID, metadata
from bot_service.store.upsert import upsert

_RATES = struct.Struct(f"<{SLOTS}f")

patterns = sa.Table(
    "patterns",
    metadata,
    sa.Column("session", SESSION_ID, primary_key=True),
    sa.Column("learned", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    # Messages an hour by hour of the day, UTC: 24 numbers, read whole and never searched.
    sa.Column("rates", sa.LargeBinary, nullable=False),
)


async def save(connection: AsyncConnection, rows: Iterable[tuple[str, Pattern]], now_ms: int) -> None:
    """Overwrite the patterns of these sessions."""
    values = [
        {"session": session, "learned": pattern.learned, "updated_ms": now_ms, "rates": _RATES.pack(*pattern.rates)}
        for session, pattern in rows
    ]
    await upsert(connection, patterns, values, key="session")


async def page(connection: AsyncConnection, after: str, limit: int) -> dict[str, Pattern]:
    """The next ``limit`` patterns by session, after the session ``after``."""
    columns = sa.select(patterns.c.session, patterns.c.learned, patterns.c.rates)
    query = columns.where(patterns.c.session > after).order_by(patterns.c.session).limit(limit)
    rows = (await connection.execute(query)).all()
    return {session: Pattern(array("f", _RATES.unpack(rates)), learned) for session, learned, rates in rows}


async def forget(connection: AsyncConnection, sessions: Iterable[str]) -> None:
    """Delete the patterns of these sessions."""
    for session in sessions:
        await connection.execute(sa.delete(patterns).where(patterns.c.session == session))
