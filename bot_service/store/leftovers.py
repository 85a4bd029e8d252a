"""Rows under the id of a session that was deleted; a new session with that id must not find them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import metadata

# Their rows name their owner. All other tables with a column ``session`` are searched.
_OF_AN_OWNER = frozenset({"events", "webhooks"})


def _tables() -> list[sa.Table]:
    return [table for name, table in metadata.tables.items() if "session" in table.c and name not in _OF_AN_OWNER]


async def find(connection: AsyncConnection) -> set[str]:
    """Ids without a session under which rows are stored. One look into an index for each id, not row."""
    found: set[str] = set()
    for table in _tables():
        column = table.c.session
        ids = sa.select(sa.func.min(column).label("id")).cte(f"ids_of_{table.name}", recursive=True)
        following = sa.select(sa.func.min(column)).where(column > ids.c.id).scalar_subquery()
        ids = ids.union_all(sa.select(following).where(ids.c.id.is_not(None)))
        known = sa.select(metadata.tables["sessions"].c.id)
        query = sa.select(ids.c.id).where(ids.c.id.is_not(None), ids.c.id.not_in(known))
        found.update((await connection.execute(query)).scalars())
    return found


async def remove(connection: AsyncConnection, sessions: Sequence[str]) -> None:
    """Delete what is stored under the ids ``sessions``."""
    for table in _tables():
        await connection.execute(table.delete().where(table.c.session.in_(sessions)))
