"""API keys. Only a hash is stored; the key itself is shown once, when it is made."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.store.metadata import columns, metadata

PREFIX = "vk_"

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("scopes", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger),
    sa.Column("last_used_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
)


class StoredKey(msgspec.Struct, frozen=True):
    """``scopes`` are values of :class:`bot_service.access.principals.Scope`. Times in ms."""

    id: str
    name: str
    owner: str
    scopes: tuple[str, ...]
    created_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None
    revoked_ms: int | None = None


def new_token() -> str:
    """A key of 256 random bits. It cannot be guessed, so a plain SHA-256 of it is safe to store."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


async def insert(connection: AsyncConnection, key: StoredKey, token: str) -> None:
    values = msgspec.structs.asdict(key) | {"scopes": " ".join(key.scopes), "hash": hashed(token)}
    await connection.execute(api_keys.insert(), [values])


async def by_token(connection: AsyncConnection, token: str, now_ms: int) -> StoredKey | None:
    """The key with this ``token``, unless it is revoked or expired."""
    unexpired = sa.or_(api_keys.c.expires_ms.is_(None), api_keys.c.expires_ms > now_ms)
    return await _first(connection, api_keys.c.hash == hashed(token), api_keys.c.revoked_ms.is_(None), unexpired)


async def get(connection: AsyncConnection, key_id: str) -> StoredKey | None:
    return await _first(connection, api_keys.c.id == key_id)


async def listed(connection: AsyncConnection) -> list[StoredKey]:
    found = await connection.execute(sa.select(*columns(api_keys, StoredKey)).order_by(api_keys.c.created_ms))
    return [_stored(row) for row in found]


async def revoke(connection: AsyncConnection, key_id: str, now_ms: int) -> None:
    await connection.execute(
        api_keys.update().where(api_keys.c.id == key_id, api_keys.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    )


async def used(connection: AsyncConnection, uses: dict[str, int]) -> None:
    """Store when each key was last used, in ms."""
    if uses:
        await connection.execute(
            api_keys.update().where(api_keys.c.id == sa.bindparam("key_id")),
            [{"key_id": key_id, "last_used_ms": at_ms} for key_id, at_ms in uses.items()],
        )


async def _first(connection: AsyncConnection, *where: sa.ColumnElement[bool]) -> StoredKey | None:
    row = (await connection.execute(sa.select(*columns(api_keys, StoredKey)).where(*where))).first()
    return _stored(row) if row else None


def _stored(row: sa.Row[Any]) -> StoredKey:
    return StoredKey(**{**row._mapping, "scopes": tuple(row.scopes.split())})


async def revoked(connection: AsyncConnection) -> set[str]:
    """The ids of all keys that were revoked."""
    return set((await connection.execute(sa.select(api_keys.c.id).where(api_keys.c.revoked_ms.is_not(None)))).scalars())
