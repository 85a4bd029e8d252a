"""When the receiver of each webhook last took an event, and when and why it last did not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import columns, metadata
from bot_service.store.upsert import upsert

webhook_health = sa.Table(
    "webhook_health",
    metadata,
    sa.Column("webhook", sa.String(32), primary_key=True),
    sa.Column("succeeded_ms", sa.BigInteger),
    sa.Column("failed_ms", sa.BigInteger),
    sa.Column("failed_status", sa.Integer),
    sa.Column("failed_error", sa.String(300)),
)


class StoredHealth(msgspec.Struct, frozen=True):
    """Times in ms since the epoch, None for never. ``failed_error`` is the code of the last failure."""

    webhook: str
    succeeded_ms: int | None = None
    failed_ms: int | None = None
    failed_status: int | None = None
    failed_error: str | None = None


_HEALTH = sa.select(*columns(webhook_health, StoredHealth))
_FAILURE = ("failed_ms", "failed_status", "failed_error")


async def record(
    connection: AsyncConnection, succeeded: Sequence[StoredHealth], failed: Sequence[StoredHealth]
) -> None:
    """Store the newest success of some webhooks and the newest failure of others."""
    for rows, only in ((succeeded, ("succeeded_ms",)), (failed, _FAILURE)):
        await upsert(
            connection, webhook_health, [msgspec.structs.asdict(row) for row in rows], key="webhook", only=only
        )


async def of(connection: AsyncConnection, webhooks: Sequence[str]) -> dict[str, StoredHealth]:
    """By webhook; those that were never called are missing."""
    found = await connection.execute(_HEALTH.where(webhook_health.c.webhook.in_(webhooks)))
    return {row.webhook: StoredHealth(*row) for row in found}


async def forget(connection: AsyncConnection, webhooks: Sequence[str] | sa.Select[tuple[str]]) -> None:
    """Delete what is known of ``webhooks``."""
    await connection.execute(webhook_health.delete().where(webhook_health.c.webhook.in_(webhooks)))
