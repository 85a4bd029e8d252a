"""Finds the holders of API keys; makes, lists and revokes keys."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from bot_service.access.names import check_name
from bot_service.access.principals import ADMINISTRATOR, Principal, Scope
from bot_service.domain.inputs import Name, Owner
from bot_service.domain.refused import not_found
from bot_service.store import api_keys
from bot_service.store.api_keys import StoredKey as StoredKey
from bot_service.store.batch_writer import STORE_ERRORS, every
from bot_service.store.database import Database
from shared import logs
from shared.clock import Clock, to_ms
from shared.hooks import Hook
from shared.settings import Secret
from shared.web import auth

log = logs.get(__name__)

_CACHED_S = 10.0
_CACHE_SIZE = 10_000
_STORE_USES_EVERY_S = 30.0

KeyScope = Literal["admin", "session", "read", "send"]


class CreateKey(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``expiresIn`` in milliseconds. A key with the scope ``admin`` sees every owner's sessions."""

    name: Name
    owner: Owner
    scopes: Annotated[list[KeyScope], Meta(min_length=1, max_length=4)]
    expires_in: Annotated[int, Meta(ge=1000, le=315_360_000_000)] | None = None


@dataclass(frozen=True, slots=True)
class MadeKey:
    """``token`` is shown once and never again."""

    key: StoredKey
    token: str

    def __repr__(self) -> str:
        return f"MadeKey({self.key.id!r})"


class KeyRing:
    """Caches keys for a few seconds, because every request asks. Revoking a key ends it at once."""

    def __init__(self, clock: Clock, database: Callable[[], Database], administrator: Secret) -> None:
        self._clock, self._database, self._administrator = clock, database, administrator
        self._cache: dict[str, tuple[float, StoredKey]] = {}
        self._uses: dict[str, int] = {}
        self._revocations = 0
        # Of all replicas, when it was looked at last.
        self._known_revoked: set[str] = set()
        # Notified with the id of each revoked key, at the commit.
        self.revoked: Hook[[str]] = Hook()

    async def by_token(self, token: str) -> Principal | None:
        """The holder of ``token``, the administrator's included; None when it is not good."""
        if auth.same(token, self._administrator):
            return ADMINISTRATOR
        if not token.startswith(api_keys.PREFIX):
            return None
        now_ms = self._now_ms()
        holder = await self._holder(api_keys.hashed(token), lambda store: api_keys.by_token(store, token, now_ms))
        if holder is not None and holder.key_id is not None:
            self._uses[holder.key_id] = now_ms
        return holder

    async def by_id(self, key_id: str) -> Principal | None:
        """The holder of a key that is still good."""
        return await self._holder(key_id, lambda store: api_keys.get(store, key_id))

    async def _holder(
        self, name: str, look_up: Callable[[AsyncConnection], Awaitable[StoredKey | None]]
    ) -> Principal | None:
        now = self._clock.monotonic()
        looked_up_at, key = self._cache.get(name, (0.0, None))
        if key is None or now - looked_up_at >= _CACHED_S:
            key = await self._looked_up(look_up)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            if key is None:
                self._cache.pop(name, None)
                return None
            self._cache[name] = (now, key)
        if key.revoked_ms is not None or (key.expires_ms is not None and key.expires_ms <= self._now_ms()):
            return None
        scopes = frozenset(Scope(scope) for scope in key.scopes)
        return Principal(key.name, None if Scope.ADMIN in scopes else key.owner, scopes, key.id, key.expires_ms)

    async def _looked_up(self, look_up: Callable[[AsyncConnection], Awaitable[StoredKey | None]]) -> StoredKey | None:
        """What is stored. A read during which a key was revoked may be older than that: it is repeated."""
        while True:
            before = self._revocations
            async with self._database().read() as connection:
                key = await look_up(connection)
            if before == self._revocations:
                return key

    async def make(self, wanted: CreateKey) -> MadeKey:
        """A new key, stored as a hash. Refused: ``invalid``."""
        check_name(wanted.name)
        token, now_ms, scopes = api_keys.new_token(), self._now_ms(), tuple(dict.fromkeys(wanted.scopes))
        expires_ms = None if wanted.expires_in is None else now_ms + wanted.expires_in
        key = StoredKey(f"key-{secrets.token_hex(8)}", wanted.name, wanted.owner, scopes, now_ms, expires_ms)
        async with self._database().write() as connection:
            await api_keys.insert(connection, key, token)
        log.info("An API key was made", event_name="key.made", key=key.id, owner=key.owner, scopes=list(scopes))
        return MadeKey(key, token)

    async def listed(self) -> list[StoredKey]:
        """All keys, revoked ones included, the oldest first."""
        await self._store_uses()
        async with self._database().read() as connection:
            return await api_keys.listed(connection)

    async def revoke(self, key_id: str) -> None:
        """Ends the key and all that it opened. Idempotent; it stays listed. Raises :class:`Refused` ``not_found``."""
        async with self._database().write() as connection:
            if await api_keys.get(connection, key_id) is None:
                raise not_found("this key")
            await api_keys.revoke(connection, key_id, self._now_ms())
            self._database().after_commit(partial(self._end, key_id))
        log.info("An API key was revoked", event_name="key.revoked", key=key_id)

    async def refresh(self) -> None:
        """End what other replicas revoked."""
        async with self._database().read() as connection:
            revoked = await api_keys.revoked(connection)
        known, self._known_revoked = self._known_revoked, revoked
        for key_id in revoked - known:
            self._end(key_id)

    def _end(self, key_id: str) -> None:
        self._revocations += 1
        self._cache.clear()
        self.revoked(key_id)

    async def run(self) -> None:
        """The loop that stores when keys were last used."""
        await every(
            self._clock,
            _STORE_USES_EVERY_S,
            self._store_uses,
            failed="Uses of keys could not be noted",
            event_name="key.store",
        )

    async def _store_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with self._database().write() as connection:
                await api_keys.used(connection, uses)
        except STORE_ERRORS:
            self._uses = uses | self._uses
            raise

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
