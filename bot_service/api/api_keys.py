"""``/api/keys``: keys with scopes for owners, made, listed and revoked by an administrator; shown once."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.api.delivery_schemas import CreateKey
from bot_service.api.schemas import moment
from bot_service.store.keys import StoredKey
from shared.clock import to_ms
from shared.web import body, errors
from shared.web.body import json_response


async def create(request: web.Request) -> web.Response:
    wish, app = await body.read(request, CreateKey), request.app
    expires_ms = None if wish.expires_in is None else to_ms(app[keys.CLOCK].now()) + wish.expires_in
    made = await app[keys.KEYRING].make(
        name=wish.name, owner=wish.owner, scopes=tuple(dict.fromkeys(wish.scopes)), expires_ms=expires_ms
    )
    return json_response({**view(made.key), "key": made.token}, status=201)


async def index(request: web.Request) -> web.Response:
    return json_response({"keys": [view(key) for key in await request.app[keys.KEYRING].listed()]})


async def revoke(request: web.Request) -> web.Response:
    """The key is refused from now on; it stays listed as revoked."""
    if not await request.app[keys.KEYRING].revoke(request.match_info["keyId"]):
        raise errors.not_found("this key")
    return web.Response(status=204)


def view(key: StoredKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": key.scopes,
        "createdAt": moment(key.created_ms),
        "expiresAt": moment(key.expires_ms),
        "lastUsedAt": moment(key.last_used_ms),
        "revokedAt": moment(key.revoked_ms),
    }
