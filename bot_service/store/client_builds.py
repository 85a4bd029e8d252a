"""Builds of WhatsApp's client: the last published one and the refused ones survive restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import metadata
from bot_service.store.upsert import upsert

# A refused build is never announced again, so only the newest ones matter.
KEPT = 50

# When each build was last seen published, and when WhatsApp refused it (NULL when it did not).
client_builds = sa.Table(
    "client_builds",
    metadata,
    sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("published_ms", sa.BigInteger),
    sa.Column("refused_ms", sa.BigInteger),
)


@dataclass(frozen=True, slots=True)
class KnownBuilds:
    """``published`` is the last good value of the version page."""

    published: int | None
    refused: frozenset[int]


async def load(connection: AsyncConnection) -> KnownBuilds:
    table = client_builds
    newest = sa.select(table.c.build).where(table.c.published_ms.is_not(None))
    published = (await connection.execute(newest.order_by(table.c.published_ms.desc()).limit(1))).scalar()
    refused = await connection.execute(sa.select(table.c.build).where(table.c.refused_ms.is_not(None)))
    return KnownBuilds(published, frozenset(refused.scalars()))


async def save_published(connection: AsyncConnection, build: int, now_ms: int) -> None:
    await upsert(
        connection, client_builds, [{"build": build, "published_ms": now_ms}], key="build", only="published_ms"
    )
    kept = sa.select(client_builds.c.build).order_by(client_builds.c.build.desc()).limit(KEPT)
    await connection.execute(sa.delete(client_builds).where(client_builds.c.build.not_in(kept)))


async def save_refused(connection: AsyncConnection, refused: Iterable[int], now_ms: int) -> None:
    """Exactly ``refused`` are refused from now on."""
    builds = list(refused)
    accepted = sa.update(client_builds).where(client_builds.c.build.not_in(builds)).values(refused_ms=None)
    await connection.execute(accepted)
    rows = [{"build": build, "refused_ms": now_ms} for build in builds]
    await upsert(connection, client_builds, rows, key="build", only="refused_ms")
