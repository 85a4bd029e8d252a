"""What replicas keep for each other until it is shown or used, once: sealed by a token that is not stored here."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import metadata

shown_once = sa.Table(
    "shown_once",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    # By the clock of PostgreSQL: those of replicas may differ.
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_PUT = sa.text(f"INSERT INTO shown_once (id, until_ms, data) VALUES (:id, {_NOW_MS} + :lasts_ms, :data)")  # noqa: S608
_TAKE = sa.text(f"DELETE FROM shown_once WHERE id = :id AND until_ms > {_NOW_MS} RETURNING data")  # noqa: S608
_FORGET = sa.text(f"DELETE FROM shown_once WHERE until_ms <= {_NOW_MS}")  # noqa: S608


async def put(connection: AsyncConnection, name: str, data: bytes, lasts_ms: int) -> None:
    """Keep ``data`` for so long, and delete what was kept too long."""
    await connection.execute(_FORGET)
    await connection.execute(_PUT, {"id": name, "lasts_ms": lasts_ms, "data": data})


async def take(connection: AsyncConnection, name: str) -> bytes | None:
    """The second call, at whichever replica, gets None."""
    found = (await connection.execute(_TAKE, {"id": name})).scalar_one_or_none()
    return None if found is None else bytes(found)
