"""What ``veilleur doctor`` asks a PostgreSQL server; it may have no table of this program yet."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_STATE = sa.text(
    "SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(), to_regclass('replicas') IS NOT NULL"
)
_NOW_S = sa.text("SELECT extract(epoch FROM clock_timestamp())::float8")


class ServerState(msgspec.Struct, frozen=True):
    """``follows``: it is a standby, which cannot be written. ``made``: a replica has started on it."""

    version: int
    follows: bool
    made: bool


async def state(connection: AsyncConnection) -> ServerState:
    return ServerState(*(await connection.execute(_STATE)).one())


async def now_s(connection: AsyncConnection) -> float:
    """Its time in seconds since the epoch."""
    return float((await connection.execute(_NOW_S)).scalar_one())
