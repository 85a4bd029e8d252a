"""The watchdog's pushes: the newest of each of its boots, so that a late repeat never overwrites a newer one."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.message_tables import keepalive_pushes

_KEPT_BOOTS = 10


@dataclass(frozen=True, slots=True)
class StoredReport:
    """``body`` is a ``shared.contract.keepalive.Push`` as JSON; times in ms since the epoch."""

    boot_id: str
    sequence: int
    started_ms: int
    received_ms: int
    body: bytes


async def save(connection: AsyncConnection, push: StoredReport) -> None:
    """Store the newest push of its boot, and forget boots long gone."""
    values = {
        "sequence": push.sequence,
        "started_ms": push.started_ms,
        "received_ms": push.received_ms,
        "body": push.body,
    }
    table = keepalive_pushes
    changed = await connection.execute(table.update().where(table.c.boot_id == push.boot_id).values(**values))
    if changed.rowcount == 0:
        await connection.execute(table.insert().values(boot_id=push.boot_id, **values))
        kept = sa.select(table.c.boot_id).order_by(table.c.received_ms.desc()).limit(_KEPT_BOOTS)
        await connection.execute(table.delete().where(table.c.boot_id.not_in(kept)))


async def all_boots(connection: AsyncConnection) -> list[StoredReport]:
    table = keepalive_pushes
    found = await connection.execute(
        sa.select(table.c.boot_id, table.c.sequence, table.c.started_ms, table.c.received_ms, table.c.body)
    )
    return [StoredReport(*row) for row in found]
