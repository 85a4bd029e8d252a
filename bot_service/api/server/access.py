"""Checks the key of every request against the scope of its route; the only place that does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot_service import keys
from bot_service.access.principals import Principal, Scope
from bot_service.access.shown_ids import answer_with_own_ids
from shared.settings import Secret
from shared.web import auth, errors
from shared.web.middleware import Handler

_PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)
Lookup = Callable[[str], Awaitable[Principal | None]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The secrets of this program."""

    administrator: Secret
    watchdog: Secret
    metrics: Secret | None
    public_stats: bool


def principal(request: web.Request) -> Principal:
    """The caller of a route that needs a key."""
    return request[_PRINCIPAL]


def gate(scopes: Mapping[tuple[str, str], Scope], tokens: Tokens, by_token: Lookup) -> Middleware:
    """401 without a good key, 403 with one that lacks the scope.

    ``scopes`` maps (method, route pattern) to the scope; a route that is missing there needs ADMIN.
    ``by_token`` finds the holder of a key.
    """

    async def identify(request: web.Request) -> Principal:
        given = auth.bearer(request)
        if given is None:
            raise errors.unauthorized()
        found = await by_token(given)
        if found is None:
            raise errors.wrong_key()
        auth.identified(request)
        return found

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None:
            if request.path.startswith("/api"):
                await identify(request)
            return await handler(request)
        method = "GET" if request.method == "HEAD" else request.method
        scope = scopes.get((method, resource.canonical), Scope.ADMIN)
        if scope is Scope.WATCHDOG:
            auth.require(request, tokens.watchdog)
        elif scope is Scope.METRICS:
            if tokens.metrics is not None:
                auth.require(request, tokens.metrics)
        elif scope is not Scope.PUBLIC and not (scope is Scope.STATS and tokens.public_stats):
            who = await identify(request)
            who.require(Scope.READ if scope is Scope.STATS else scope)
            request[_PRINCIPAL] = who
        if _PRINCIPAL not in request:
            return await handler(request)
        return await answer_with_own_ids(
            request[_PRINCIPAL], request.app[keys.SESSIONS].registry.marked, handler(request)
        )

    return middleware
