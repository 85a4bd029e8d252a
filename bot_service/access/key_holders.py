"""Whose key it is: when somebody signs in with one, and again at every page, so that a revoked key ends its logins."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import ADMINISTRATOR, Principal, Scope
from bot_service.store import api_keys as stored_keys
from bot_service.store.api_keys import StoredKey
from shared.clock import to_ms
from shared.settings import Secret
from shared.web import auth


async def by_token(request: web.Request, token: str, administrator: Secret) -> tuple[Principal, str | None] | None:
    """The holder of ``token`` and the key's id (None for the administrator's own)."""
    if auth.same(token, administrator):
        return ADMINISTRATOR, None
    if not token.startswith(stored_keys.PREFIX):
        return None
    async with request.app[keys.DATABASE].read() as connection:
        key = await stored_keys.by_token(connection, token, _now_ms(request))
    return (_principal(key), key.id) if key is not None else None


async def by_id(request: web.Request, key_id: str) -> Principal | None:
    """The holder of a key that is still good."""
    async with request.app[keys.DATABASE].read() as connection:
        key = await stored_keys.get(connection, key_id)
    if key is None or key.revoked_ms is not None:
        return None
    if key.expires_ms is not None and key.expires_ms <= _now_ms(request):
        return None
    return _principal(key)


def _principal(key: StoredKey) -> Principal:
    scopes = frozenset(Scope(scope) for scope in key.scopes)
    return Principal(key.name, None if Scope.ADMIN in scopes else key.owner, scopes)


def _now_ms(request: web.Request) -> int:
    return to_ms(request.app[keys.CLOCK].now())
