"""All routes of the bot service on one page, each with the scope it needs."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bot_service import keys
from bot_service.api import health
from bot_service.api.access import Scope
from shared.web import livez, metrics
from shared.web.middleware import Handler


@dataclass(frozen=True, slots=True)
class Route:
    """``stream`` marks answers without an end, which HEAD must not begin."""

    method: str
    path: str
    handler: Handler
    scope: Scope
    stream: bool = False


def table(app: web.Application) -> list[Route]:
    """Handlers read what they use from the application; these few are built with it."""
    registry = app[keys.METRICS]
    return [
        Route("GET", "/health", health.health, Scope.PUBLIC),
        Route("GET", "/readyz", health.readyz, Scope.PUBLIC),
        Route("GET", "/livez", livez.handler(app[keys.GUARD]), Scope.PUBLIC),
        Route("GET", "/metrics", metrics.handler(registry, None), Scope.METRICS),
    ]


def mount(app: web.Application, page: list[Route]) -> None:
    for route in page:
        app.router.add_route(route.method, route.path, route.handler)
        if route.method == "GET" and not route.stream:
            app.router.add_route("HEAD", route.path, route.handler)


def scopes(routes: list[Route]) -> dict[tuple[str, str], Scope]:
    """What :func:`bot_service.api.access.gate` checks."""
    return {(route.method, route.path): route.scope for route in routes}
