"""All routes of the bot service on one page, each with the scope it needs."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.api_keys import handlers as api_keys
from bot_service.api.events import handlers as events
from bot_service.api.health import handlers as health
from bot_service.api.health import statistics
from bot_service.api.messages import handlers as messages
from bot_service.api.sessions import commands, pairing
from bot_service.api.sessions import handlers as sessions
from bot_service.api.sessions import health as session_health
from bot_service.api.watchdog import heartbeat, keepalive, repair
from bot_service.api.webhooks import deliveries
from bot_service.api.webhooks import handlers as webhooks
from bot_service.domain.session_record import CommandKind
from shared.contract.heartbeat import PATH as HEARTBEAT
from shared.contract.keepalive import PATH as KEEPALIVE
from shared.web import livez, metrics
from shared.web.middleware import Handler

ONE = "/api/sessions/{id}"
WEBHOOK = "/api/webhooks/{webhookId}"


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
        Route("GET", "/livez", livez.handler(app[keys.RUN].guard), Scope.PUBLIC),
        Route(
            "GET",
            "/metrics",
            metrics.handler(app[keys.METRICS].registry, None, lambda: statistics.refresh(app)),
            Scope.METRICS,
        ),
        Route("GET", HEARTBEAT, heartbeat.heartbeat, Scope.WATCHDOG, stream=True),
        Route("POST", "/api/repair", repair.repair, Scope.WATCHDOG),
        Route("GET", KEEPALIVE, keepalive.read, Scope.STATS),
        Route("POST", KEEPALIVE, keepalive.push, Scope.WATCHDOG),
        Route("GET", "/api/metrics", statistics.read, Scope.STATS),
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
        # Messages
        Route("POST", f"{ONE}/messages", messages.send, Scope.SEND),
        Route("GET", f"{ONE}/messages", messages.index, Scope.READ),
        Route("GET", f"{ONE}/messages/{{messageId}}", messages.read, Scope.READ),
        Route("GET", f"{ONE}/messages/{{messageId}}/media", messages.media, Scope.READ),
        Route("POST", f"{ONE}/read", messages.mark_read, Scope.SEND),
        Route("POST", f"{ONE}/typing", messages.typing, Scope.SEND),
        # Events, webhooks and their deliveries
        Route("GET", "/api/events", events.stream, Scope.READ, stream=True),
        Route("GET", "/api/webhooks", webhooks.index, Scope.READ),
        Route("POST", "/api/webhooks", webhooks.create, Scope.SESSION),
        Route("GET", WEBHOOK, webhooks.read, Scope.READ),
        Route("PATCH", WEBHOOK, webhooks.change, Scope.SESSION),
        Route("DELETE", WEBHOOK, webhooks.delete, Scope.SESSION),
        Route("POST", f"{WEBHOOK}/test", webhooks.test, Scope.SESSION),
        Route("POST", f"{WEBHOOK}/secret", webhooks.rotate, Scope.SESSION),
        Route("GET", "/api/deliveries", deliveries.index, Scope.READ),
        Route("POST", "/api/deliveries/replay", deliveries.replay, Scope.SESSION),
        Route("GET", "/api/deliveries/{webhookId}/{eventId}", deliveries.read, Scope.READ),
        # Keys
        Route("GET", "/api/keys", api_keys.index, Scope.ADMIN),
        Route("POST", "/api/keys", api_keys.create, Scope.ADMIN),
        Route("DELETE", "/api/keys/{keyId}", api_keys.revoke, Scope.ADMIN),
    ]


def mount(app: web.Application, page: list[Route]) -> None:
    for route in page:
        app.router.add_route(route.method, route.path, route.handler)
        if route.method == "GET" and not route.stream:
            app.router.add_route("HEAD", route.path, route.handler)


def scopes(routes: list[Route]) -> dict[tuple[str, str], Scope]:
    """What :func:`bot_service.access.principals.gate` checks."""
    return {(route.method, route.path): route.scope for route in routes}
