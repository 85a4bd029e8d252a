"""Finds whose key a token is: asked at every call, so answers are kept for a few seconds."""

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

_KEPT_S = 10.0
_KEPT = 10_000
_NOTE_USES_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class MadeKey:
    """``token`` is shown once and never again."""

    key: StoredKey
    token: str

    def __repr__(self) -> str:
        return f"MadeKey({self.key.id!r})"


class KeyRing:
    """Satisfies ``bot_service.access.principals.KeyLookup``. A revoked key is refused at once; unknown tokens cost one query."""

    def __init__(self, clock: Clock, database: Callable[[], Database]) -> None:
        self._clock, self._database = clock, database
        self._found: dict[str, tuple[float, StoredKey]] = {}
        self._uses: dict[str, int] = {}

    async def principal(self, token: str) -> Principal | None:
        if not token.startswith(api_keys.PREFIX):
            return None
        key = await self._look_up(token)
        if key is None:
            return None
        now_ms = to_ms(self._clock.now())
        if key.expires_ms is not None and key.expires_ms <= now_ms:
            return None
        self._uses[key.id] = now_ms
        scopes = frozenset(Scope(scope) for scope in key.scopes)
        return Principal(key.name, None if Scope.ADMIN in scopes else key.owner, scopes)

    async def _look_up(self, token: str) -> StoredKey | None:
        name, now = api_keys.hashed(token), self._clock.monotonic()
        kept = self._found.get(name)
        if kept is not None and now - kept[0] < _KEPT_S:
            return kept[1]
        async with self._database().read() as connection:
            key = await api_keys.by_token(connection, token, to_ms(self._clock.now()))
        if len(self._found) >= _KEPT:
            self._found.clear()
        if key is None:
            self._found.pop(name, None)
        else:
            self._found[name] = (now, key)
        return key

    async def make(self, *, name: str, owner: str, scopes: tuple[str, ...], expires_ms: int | None) -> MadeKey:
        token = api_keys.new_token()
        now_ms = to_ms(self._clock.now())
        key = StoredKey(f"key-{secrets.token_hex(8)}", name, owner, scopes, now_ms, expires_ms, None, None)
        async with self._database().write() as connection:
            await api_keys.insert(connection, key, token)
        log.info("An API key was made", event_name="key.made", key=key.id, owner=owner, scopes=list(scopes))
        return MadeKey(key, token)

    async def listed(self) -> list[StoredKey]:
        await self._note_uses()
        async with self._database().read() as connection:
            return await api_keys.listed(connection)

    async def revoke(self, key_id: str) -> bool:
        """False when there is no such key. Revoking twice is fine."""
        async with self._database().write() as connection:
            found = await api_keys.get(connection, key_id)
            if found is not None:
                await api_keys.revoke(connection, key_id, to_ms(self._clock.now()))
        self._found.clear()
        if found is not None:
            log.info("An API key was revoked", event_name="key.revoked", key=key_id)
        return found is not None

    async def run(self) -> None:
        """The loop that notes when keys were last used."""
        while True:
            await self._clock.sleep(_NOTE_USES_EVERY_S)
            try:
                await self._note_uses()
            except STORE_ERRORS as error:
                log.warning("Uses of keys could not be noted", event_name="key.store", error=type(error).__name__)

    async def _note_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if uses:
            async with self._database().write() as connection:
                await api_keys.used(connection, uses)
