"""Logins of the dashboard that a person ended before their time."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import metadata
from bot_service.store.upsert import upsert

# Notifies of sign-outs and of revoked keys.
CHANNEL = "veilleur_access"

ended_logins = sa.Table(
    "ended_logins",
    metadata,
    sa.Column("login", sa.String(32), primary_key=True),
    sa.Column("until_s", sa.BigInteger, nullable=False),
)


async def load(connection: AsyncConnection) -> dict[str, int]:
    """When each login would have ended by itself, in s since the epoch."""
    return {row.login: row.until_s for row in await connection.execute(sa.select(ended_logins))}


async def replace(connection: AsyncConnection, rows: dict[str, int], *, forget: list[str]) -> None:
    """Store ``rows`` and delete ``forget``."""
    await connection.execute(ended_logins.delete().where(ended_logins.c.login.in_(forget)))
    await upsert(connection, ended_logins, [{"login": login, "until_s": s} for login, s in rows.items()], key="login")
