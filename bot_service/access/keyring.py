"""Finds the holder of an API key. Each request asks, so found keys are cached for a few seconds."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bot_service.access.principals import Principal, Scope
from bot_service.store import api_keys
from bot_service.store.api_keys import StoredKey
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms

log = logs.get(__name__)

_CACHED_S = 10.0
_CACHE_SIZE = 10_000
_STORE_USES_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class MadeKey:
    """``token`` is shown once and never again."""

    key: StoredKey
    token: str

    def __repr__(self) -> str:
        return f"MadeKey({self.key.id!r})"


class KeyRing:
    """A ``KeyLookup``. A revoked key is refused at once; an unknown token costs one query."""

    def __init__(self, clock: Clock, database: Callable[[], Database]) -> None:
        self._clock, self._database = clock, database
        self._cache: dict[str, tuple[float, StoredKey]] = {}
        self._uses: dict[str, int] = {}

    async def principal(self, token: str) -> Principal | None:
        """The holder of ``token``; stores the use of the key later."""
        key = await self.key(token)
        if key is None:
            return None
        self._uses[key.id] = self._now_ms()
        return _principal(key)

    async def principal_of(self, key_id: str) -> Principal | None:
        """The holder of a key that is not revoked or expired, without a cache."""
        async with self._database().read() as connection:
            key = await api_keys.usable(connection, key_id, self._now_ms())
        return None if key is None else _principal(key)

    async def key(self, token: str) -> StoredKey | None:
        """The key with this token, unless it is revoked or expired."""
        if not token.startswith(api_keys.PREFIX):
            return None
        key = await self._look_up(token)
        expired = key is not None and key.expires_ms is not None and key.expires_ms <= self._now_ms()
        return None if expired else key

    async def _look_up(self, token: str) -> StoredKey | None:
        name, now = api_keys.hashed(token), self._clock.monotonic()
        cached = self._cache.get(name)
        if cached is not None and now - cached[0] < _CACHED_S:
            return cached[1]
        async with self._database().read() as connection:
            key = await api_keys.by_token(connection, token, self._now_ms())
        if len(self._cache) >= _CACHE_SIZE:
            self._cache.clear()
        if key is None:
            self._cache.pop(name, None)
        else:
            self._cache[name] = (now, key)
        return key

    async def make(self, *, name: str, owner: str, scopes: tuple[str, ...], expires_ms: int | None) -> MadeKey:
        token = api_keys.new_token()
        key = StoredKey(f"key-{secrets.token_hex(8)}", name, owner, scopes, self._now_ms(), expires_ms)
        async with self._database().write() as connection:
            await api_keys.insert(connection, key, token)
        log.info("An API key was made", event_name="key.made", key=key.id, owner=owner, scopes=list(scopes))
        return MadeKey(key, token)

    async def listed(self) -> list[StoredKey]:
        await self._store_uses()
        async with self._database().read() as connection:
            return await api_keys.listed(connection)

    async def revoke(self, key_id: str) -> bool:
        """False when there is no such key. Revoking twice is fine."""
        async with self._database().write() as connection:
            found = await api_keys.get(connection, key_id)
            if found is not None:
                await api_keys.revoke(connection, key_id, self._now_ms())
        self._cache.clear()
        if found is not None:
            log.info("An API key was revoked", event_name="key.revoked", key=key_id)
        return found is not None

    async def run(self) -> None:
        """The loop that stores when keys were last used."""
        while True:
            await self._clock.sleep(_STORE_USES_EVERY_S)
            try:
                await self._store_uses()
            except STORE_ERRORS as error:
                log.warning("Uses of keys could not be noted", event_name="key.store", error=type(error).__name__)

    async def _store_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if uses:
            async with self._database().write() as connection:
                await api_keys.used(connection, uses)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def _principal(key: StoredKey) -> Principal:
    scopes = frozenset(Scope(scope) for scope in key.scopes)
    return Principal(key.name, None if Scope.ADMIN in scopes else key.owner, scopes)
