"""Secrets that any replica shows or accepts, once. Only who has the token can read them in PostgreSQL."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from bot_service.store import shown_once
from bot_service.store.database import Database


class SharedOnce:
    """``reader`` is whom it is for, of several who may learn a token."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    async def put(self, token: str, data: bytes, *, lasts_s: float, reader: str = "") -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # replicas only

        sealed = AESGCM(_key(token)).encrypt(_NONCE, data, None)
        async with self._database().write() as connection:
            await shown_once.put(connection, _name(token, reader), sealed, int(lasts_s * 1000))

    async def take(self, token: str, *, reader: str = "") -> bytes | None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        async with self._database().write() as connection:
            sealed = await shown_once.take(connection, _name(token, reader))
        return None if sealed is None else AESGCM(_key(token)).decrypt(_NONCE, sealed, None)


# Each token has a key of its own.
_NONCE = bytes(12)


def _key(token: str) -> bytes:
    return _derived(token, b"key")


def _name(token: str, reader: str) -> str:
    return _derived(token, b"name\x00" + reader.encode("utf-8", "surrogateescape")).hex()


def _derived(token: str, purpose: bytes) -> bytes:
    return hmac.digest(token.encode("utf-8", "surrogateescape"), purpose, hashlib.sha256)
