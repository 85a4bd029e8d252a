"""Where the service clock stood, and the stored moments that move when it follows the wall clock."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.deliveries import webhook_outbox
from bot_service.store.metadata import metadata
from bot_service.store.send_queue import send_outbox
from bot_service.store.upsert import upsert
from shared.service_clock import LONGEST_WAIT_MS, Move, SavedClock

# One row: the clock of the program that works in this store.
service_clock = sa.Table(
    "service_clock",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("saved", sa.LargeBinary, nullable=False),  # a SavedClock as JSON
)


async def load(connection: AsyncConnection) -> SavedClock | None:
    """None before the first start, and when another version wrote what this one cannot read."""
    raw = (await connection.execute(sa.select(service_clock.c.saved).where(service_clock.c.id == 1))).scalar()
    try:
        return None if raw is None else msgspec.json.decode(raw, type=SavedClock)
    except msgspec.DecodeError:
        return None


async def save(connection: AsyncConnection, saved: SavedClock) -> None:
    await upsert(connection, service_clock, [{"id": 1, "saved": msgspec.json.encode(saved)}], key="id")


async def cut_waits(connection: AsyncConnection, now_ms: int) -> None:
    """Make due what would wait longer than anything may: its time is of another clock."""
    c = webhook_outbox.c
    waiting = c.state.in_(("pending", "aside")) & (c.next_ms > now_ms + LONGEST_WAIT_MS)
    await connection.execute(webhook_outbox.update().where(waiting).values(next_ms=now_ms))


async def move(connection: AsyncConnection, change: Move) -> None:
    """Move what waits: deliveries to webhooks and messages to send.

    Finished rows and messages stay: their age is counted with ``ServiceClock.ago_ms``.
    """
    for table, past, waiting in (
        (webhook_outbox, webhook_outbox.c.created_ms, webhook_outbox.c.state.in_(("pending", "aside"))),
        (send_outbox, send_outbox.c.queued_ms, sa.true()),
    ):
        due = table.c.next_ms
        if change.shifts:
            values = {past.name: past + change.by_ms, due.name: due + change.by_ms}
        else:
            values = {
                past.name: _at_most(past, change.now_ms),
                due.name: _at_most(due, change.now_ms + LONGEST_WAIT_MS),
            }
        await connection.execute(table.update().where(waiting).values(values))


def _at_most(column: sa.Column[int], limit: int) -> sa.Case[int]:
    return sa.case((column > limit, limit), else_=column)
