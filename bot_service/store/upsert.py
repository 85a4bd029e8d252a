"""Inserts rows, or overwrites those with the same key, in SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    key: str | tuple[str, ...],
    only: str | tuple[str, ...] | None = None,
    growing: bool = False,
) -> None:
    """Write ``rows``. An existing row gets all new values, or those of the columns ``only``.

    ``growing``: it gets the value of ``only`` if that is greater than what it has.
    """
    names = (key,) if isinstance(key, str) else key
    if rows:
        # In the order of the key: transactions that write the same rows wait for each other and cannot lock up.
        ordered = sorted(rows, key=lambda row: [row[name] for name in names])
        await connection.execute(_statement(connection.dialect.name, table, names, only, growing), ordered)


async def insert_new(
    connection: AsyncConnection, table: sa.Table, rows: Sequence[dict[str, Any]], *, key: tuple[str, ...]
) -> set[tuple[Any, ...]]:
    """Write those of ``rows`` that are not there yet. Returns their keys."""
    if not rows:
        return set()
    insert = _insert(connection.dialect.name)(table).on_conflict_do_nothing(index_elements=key)
    found = await connection.execute(insert.returning(*(table.c[name] for name in key)), rows)
    return {tuple(row) for row in found}


@cache
def _statement(
    dialect: str, table: sa.Table, key: tuple[str, ...], only: str | tuple[str, ...] | None, growing: bool
) -> postgresql.Insert | sqlite.Insert:
    insert = _insert(dialect)(table)
    chosen = (only,) if isinstance(only, str) else only
    names = chosen or [column.name for column in table.columns if column.name not in key]
    values = {name: insert.excluded[name] for name in names}
    where = table.c[names[0]] < insert.excluded[names[0]] if growing else None
    return insert.on_conflict_do_update(index_elements=key, set_=values, where=where)


def _insert(dialect: str) -> Callable[[sa.Table], postgresql.Insert | sqlite.Insert]:
    return postgresql.insert if dialect == "postgresql" else sqlite.insert
