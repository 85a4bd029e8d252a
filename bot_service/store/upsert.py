"""Inserts rows, or overwrites those with the same key, in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def upsert(
    connection: AsyncConnection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    *,
    key: str,
    only: str | None = None,
) -> None:
    """Write ``rows``. An existing row gets all new values, or the one of the column ``only``."""
    if rows:
        await connection.execute(_statement(connection.dialect.name, table, key, only), rows)


@cache
def _statement(dialect: str, table: sa.Table, key: str, only: str | None) -> sa.Insert:
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    names = [only] if only else [column.name for column in table.columns if column.name != key]
    values = {name: insert.excluded[name] for name in names}
    return insert.on_conflict_do_update(index_elements=[key], set_=values)
