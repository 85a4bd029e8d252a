"""``/api/keys``: keys with scopes for owners, made, listed and revoked by an administrator; shown once."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.access.keyring import MadeKey
from bot_service.api.messages.answers import KeyList, key_view, new_key
from bot_service.api.messages.schemas import CreateKey
from shared.clock import to_ms
from shared.web import body, errors
from shared.web.body import json_response


async def create(request: web.Request) -> web.Response:
    made = await make(request.app, await body.read(request, CreateKey))
    return json_response(new_key(made.key, made.token), status=201)


async def make(app: web.Application, wish: CreateKey) -> MadeKey:
    """For the API and the dashboard alike."""
    expires_ms = None if wish.expires_in is None else to_ms(app[keys.CLOCK].now()) + wish.expires_in
    return await app[keys.KEYRING].make(
        name=wish.name, owner=wish.owner, scopes=tuple(dict.fromkeys(wish.scopes)), expires_ms=expires_ms
    )


async def index(request: web.Request) -> web.Response:
    return json_response(KeyList([key_view(key) for key in await request.app[keys.KEYRING].listed()]))


async def revoke(request: web.Request) -> web.Response:
    """The key is refused from now on; it stays listed as revoked."""
    if not await request.app[keys.KEYRING].revoke(request.match_info["keyId"]):
        raise errors.not_found("this key")
    return web.Response(status=204)
