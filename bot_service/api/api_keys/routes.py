"""``/api/keys`` and ``/api/login-links``, for administrators; handlers, views and routes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.access.keyring import CreateKey, KeyScope, StoredKey
from bot_service.access.login_links import LINK_LASTS_S
from bot_service.access.principals import Scope
from bot_service.api.server.access import principal
from bot_service.api.server.request import iso_time
from bot_service.api.server.route import Response, Route
from shared.clock import from_ms, iso
from shared.web import body
from shared.web.body import json_response
from shared.web.own_hosts import OWN_HOSTS


class KeyView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A key without the key."""

    id: str
    name: str
    owner: str
    scopes: tuple[KeyScope, ...]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class NewKey(KeyView, frozen=True, rename="camel", kw_only=True):
    """``key`` is shown now and never again."""

    key: Annotated[str, msgspec.Meta(min_length=20)]


class KeyList(msgspec.Struct, frozen=True):
    keys: list[KeyView]


class LoginLink(msgspec.Struct, frozen=True, rename="camel"):
    """An address that signs in once."""

    url: str
    expires_at: str


async def create(request: web.Request) -> web.Response:
    made = await request.app[keys.ACCESS].keyring.make(await body.read(request, CreateKey))
    return json_response(NewKey(**msgspec.structs.asdict(_view(made.key)), key=made.token), status=201)


async def index(request: web.Request) -> web.Response:
    return json_response(KeyList([_view(key) for key in await request.app[keys.ACCESS].keyring.listed()]))


async def revoke(request: web.Request) -> web.Response:
    await request.app[keys.ACCESS].keyring.revoke(request.match_info["keyId"])
    return web.Response(status=204)


async def make_login_link(request: web.Request) -> web.Response:
    code = await request.app[keys.ACCESS].login_links.make_anywhere(principal(request).key_id)
    until = request.app[keys.CLOCK].now() + timedelta(seconds=LINK_LASTS_S)
    # The request's own address is not the one that people open, and its sender chooses it.
    settings, own = request.app[keys.SETTINGS], f"{request.scheme}://{request.host}"
    local = own if request.app[OWN_HOSTS].include(request.host) else f"http://localhost:{settings.port}"
    base = settings.reached_at or local
    return json_response(LoginLink(f"{base}/login?code={code}", iso(until)), status=201)


def _view(key: StoredKey) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        owner=key.owner,
        scopes=msgspec.convert(key.scopes, tuple[KeyScope, ...]),
        created_at=iso(from_ms(key.created_ms)),
        expires_at=iso_time(key.expires_ms),
        last_used_at=iso_time(key.last_used_ms),
        revoked_at=iso_time(key.revoked_ms),
    )


ROUTES = [
    Route(
        "POST", "/api/login-links", make_login_link, Scope.ADMIN,
        "Service", "Create a login link",
        "An address that signs in to the dashboard with the key of this request, once, within an hour.",
        {201: Response("The link.", LoginLink,
                     example={"url": "http://localhost:3000/login?code=…", "expiresAt": "2026-11-23T10:16:02.000Z"})},
    ),
    Route("GET", "/api/keys", index, Scope.ADMIN,
        "Keys", "List keys", "Revoked ones too; never the keys themselves.",
              {200: Response("The keys.", KeyList)}),
    Route(
        "POST", "/api/keys", create, Scope.ADMIN,
        "Keys", "Create a key", "It is shown in this answer and never again; only a hash is kept.",
        {201: Response("The key.", NewKey)}, body=CreateKey,
        example={"name": "Shop", "owner": "shop", "scopes": ["session", "read", "send"]},
    ),
    Route("DELETE", "/api/keys/{keyId}", revoke, Scope.ADMIN,
        "Keys", "Revoke a key", "It is refused from now on. Its event streams, downloads, logins and login links end at once; what it made stays with its owner.",
              {204: Response("It is revoked.")}),
]  # fmt: skip
