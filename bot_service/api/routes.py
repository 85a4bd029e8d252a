"""All routes of the bot service on one page, each with the scope it needs."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bot_service import keys
from bot_service.api import commands, health, heartbeat, pairing, repair, session_health, sessions
from bot_service.api.access import Scope
from bot_service.domain.record import CommandKind
from shared.contract.heartbeat import PATH as HEARTBEAT
from shared.web import livez, metrics
from shared.web.middleware import Handler

ONE = "/api/sessions/{id}"


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
    return [
        Route("GET", "/health", health.health, Scope.PUBLIC),
        Route("GET", "/readyz", health.readyz, Scope.PUBLIC),
        Route("GET", "/livez", livez.handler(app[keys.GUARD]), Scope.PUBLIC),
        Route("GET", "/metrics", metrics.handler(app[keys.METRICS], None), Scope.METRICS),
        Route("GET", HEARTBEAT, heartbeat.heartbeat, Scope.WATCHDOG, stream=True),
        Route("POST", "/api/repair", repair.repair, Scope.WATCHDOG),
        # Sessions
        Route("GET", "/api/sessions", sessions.index, Scope.READ),
        Route("POST", "/api/sessions", sessions.create, Scope.SESSION),
        Route("GET", ONE, sessions.read, Scope.READ),
        Route("PATCH", ONE, sessions.change, Scope.SESSION),
        Route("DELETE", ONE, sessions.delete, Scope.SESSION),
        Route("POST", f"{ONE}/start", commands.command(CommandKind.START), Scope.SESSION),
        Route("POST", f"{ONE}/stop", commands.command(CommandKind.STOP), Scope.SESSION),
        Route("POST", f"{ONE}/restart", commands.command(CommandKind.RESTART), Scope.SESSION),
        Route("POST", f"{ONE}/logout", commands.logout, Scope.SESSION),
        Route("GET", f"{ONE}/qr", pairing.qr, Scope.SESSION),
        Route("POST", f"{ONE}/pairing-code", pairing.pairing_code, Scope.SESSION),
        Route("GET", f"{ONE}/health", session_health.health, Scope.READ),
        Route("GET", f"{ONE}/transitions", session_health.transitions, Scope.READ),
        Route("POST", f"{ONE}/simulate", commands.simulate, Scope.SESSION),
    ]


def mount(app: web.Application, page: list[Route]) -> None:
    for route in page:
        app.router.add_route(route.method, route.path, route.handler)
        if route.method == "GET" and not route.stream:
            app.router.add_route("HEAD", route.path, route.handler)


def scopes(routes: list[Route]) -> dict[tuple[str, str], Scope]:
    """What :func:`bot_service.api.access.gate` checks."""
    return {(route.method, route.path): route.scope for route in routes}
