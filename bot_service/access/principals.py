"""Who may call what: every route names one scope, and this is the only place that checks it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Middleware

from shared.settings import Secret
from shared.web import auth, errors
from shared.web.middleware import Handler


class Scope(StrEnum):
    """What a route needs. ADMIN holds SESSION, READ and SEND of every owner."""

    PUBLIC = "public"  # no key at all
    STATS = "stats"  # no key while PUBLIC_STATS is true, READ otherwise
    METRICS = "metrics"  # METRICS_TOKEN when there is one
    WATCHDOG = "watchdog"  # WATCHDOG_TOKEN and nothing else
    ADMIN = "admin"
    SESSION = "session"
    READ = "read"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. ``owner`` None sees the sessions of all owners."""

    name: str
    owner: str | None
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        return Scope.ADMIN in self.scopes or scope in self.scopes


ADMINISTRATOR = Principal("administrator", None, frozenset({Scope.ADMIN}))
PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)


class KeyLookup(Protocol):
    """Finds the principal of a key that is not the administrator's."""

    async def principal(self, token: str) -> Principal | None: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """The secrets of this program."""

    administrator: Secret
    watchdog: Secret
    metrics: Secret | None
    public_stats: bool


def principal(request: web.Request) -> Principal:
    """The caller that the middleware let through."""
    return request[PRINCIPAL]


def gate(scopes: dict[tuple[str, str], Scope], tokens: Tokens, keys: KeyLookup | None) -> Middleware:
    """401 without a good key, 403 with one that lacks the scope. ``scopes`` maps (method, route pattern) to its scope."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is None:
            if request.path.startswith("/api"):
                await _identify(request, tokens, keys)
            return await handler(request)
        method = "GET" if request.method == "HEAD" else request.method
        scope = scopes.get((method, resource.canonical), Scope.PUBLIC if resource.canonical == "/" else Scope.ADMIN)
        if scope is Scope.WATCHDOG:
            auth.require(request, tokens.watchdog)
        elif scope is Scope.METRICS:
            if tokens.metrics is not None:
                auth.require(request, tokens.metrics)
        elif scope is not Scope.PUBLIC and not (scope is Scope.STATS and tokens.public_stats):
            who = await _identify(request, tokens, keys)
            if not who.may(Scope.READ if scope is Scope.STATS else scope):
                raise errors.forbidden(f"this key lacks the scope {scope.value}")
            request[PRINCIPAL] = who
        return await handler(request)

    return middleware


async def _identify(request: web.Request, tokens: Tokens, keys: KeyLookup | None) -> Principal:
    given = auth.bearer(request)
    if given is None:
        raise errors.unauthorized()
    if auth.same(given, tokens.administrator):
        return ADMINISTRATOR
    found = await keys.principal(given) if keys is not None else None
    if found is None:
        raise errors.forbidden("this key is not known")
    return found
