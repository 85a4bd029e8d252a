"""The newest report of each run of the watchdog."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import columns, metadata
from bot_service.store.upsert import upsert

_BOOTS_KEPT = 10

keepalive_pushes = sa.Table(
    "keepalive_pushes",
    metadata,
    sa.Column("boot_id", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("received_ms", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


class StoredReport(msgspec.Struct, frozen=True):
    """``body`` is a ``shared.contract.keepalive.Push`` as JSON; times in ms since the epoch."""

    boot_id: str
    sequence: int
    started_ms: int
    received_ms: int
    body: bytes


async def save(connection: AsyncConnection, report: StoredReport) -> None:
    """Store the newest report of its run of the watchdog, and delete those of old runs."""
    table = keepalive_pushes
    await upsert(connection, table, [msgspec.structs.asdict(report)], key="boot_id")
    kept = sa.select(table.c.boot_id).order_by(table.c.received_ms.desc()).limit(_BOOTS_KEPT)
    await connection.execute(table.delete().where(table.c.boot_id.not_in(kept)))


async def all_boots(connection: AsyncConnection) -> list[StoredReport]:
    found = await connection.execute(sa.select(*columns(keepalive_pushes, StoredReport)))
    return [StoredReport(*row) for row in found]
