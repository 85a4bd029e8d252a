"""API keys: only a hash is stored, the key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.message_tables import api_keys

PREFIX = "vk_"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """Times in ms since the epoch. ``scopes`` are values of :class:`bot_service.access.principals.Scope`."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_ms: int
    expires_ms: int | None
    last_used_ms: int | None
    revoked_ms: int | None


_COLUMNS = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.owner,
    api_keys.c.scopes,
    api_keys.c.created_ms,
    api_keys.c.expires_ms,
    api_keys.c.last_used_ms,
    api_keys.c.revoked_ms,
)


def _stored(row: Any) -> StoredKey:
    return StoredKey(row[0], row[1], row[2], tuple(row[3].split()), row[4], row[5], row[6], row[7])


def new_token() -> str:
    """A key of 256 random bits. As it cannot be guessed, a plain SHA-256 of it is safe to store."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


async def insert(connection: AsyncConnection, key: StoredKey, token: str) -> None:
    await connection.execute(
        api_keys.insert().values(
            id=key.id,
            name=key.name,
            owner=key.owner,
            scopes=" ".join(key.scopes),
            hash=hashed(token),
            created_ms=key.created_ms,
            expires_ms=key.expires_ms,
        )
    )


async def by_token(connection: AsyncConnection, token: str, now_ms: int) -> StoredKey | None:
    """The key that ``token`` is, unless it was revoked or has expired."""
    row = (
        await connection.execute(
            sa.select(*_COLUMNS).where(
                api_keys.c.hash == hashed(token),
                api_keys.c.revoked_ms.is_(None),
                sa.or_(api_keys.c.expires_ms.is_(None), api_keys.c.expires_ms > now_ms),
            )
        )
    ).first()
    return _stored(row) if row else None


async def listed(connection: AsyncConnection) -> list[StoredKey]:
    return [_stored(row) for row in await connection.execute(sa.select(*_COLUMNS).order_by(api_keys.c.created_ms))]


async def get(connection: AsyncConnection, key_id: str) -> StoredKey | None:
    row = (await connection.execute(sa.select(*_COLUMNS).where(api_keys.c.id == key_id))).first()
    return _stored(row) if row else None


async def revoke(connection: AsyncConnection, key_id: str, now_ms: int) -> None:
    await connection.execute(
        api_keys.update().where(api_keys.c.id == key_id, api_keys.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    )


async def used(connection: AsyncConnection, uses: dict[str, int]) -> None:
    """Note when each key was last used."""
    if uses:
        await connection.execute(
            api_keys.update().where(api_keys.c.id == sa.bindparam("k")).values(last_used_ms=sa.bindparam("at")),
            [{"k": key_id, "at": at_ms} for key_id, at_ms in uses.items()],
        )
