"""``GET /api/openapi.json``: the description of this very application, made once, at the first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import msgspec
from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.api.messages.openapi import TOLD
from bot_service.api.server.openapi import document
from bot_service.api.sessions.openapi import OPERATIONS
from shared.web.middleware import Handler


def made(scopes: Mapping[tuple[str, str], Scope], version: str) -> bytes:
    """The document as JSON; operations whose route is not mounted are left out."""
    described = [(each, scopes[each.method, each.path]) for each in OPERATIONS if (each.method, each.path) in scopes]
    return msgspec.json.encode(document(described, version=version, told=TOLD))


def handler(scopes: Mapping[tuple[str, str], Scope], version: Callable[[], str]) -> Handler:
    """``scopes`` is read at the first request: by then all routes are mounted."""

    @cache
    def body() -> bytes:
        return made(scopes, version())

    async def openapi(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body(), content_type="application/json")

    return openapi
