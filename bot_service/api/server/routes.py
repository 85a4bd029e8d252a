"""All routes of the API, collected from the resources, and the document that describes them."""

from __future__ import annotations

from functools import cache

from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.api_keys import routes as api_keys
from bot_service.api.channels import routes as channels
from bot_service.api.deliveries import routes as deliveries
from bot_service.api.events import routes as events
from bot_service.api.health import routes as health
from bot_service.api.logs import routes as logs
from bot_service.api.messages import routes as messages
from bot_service.api.people import routes as people
from bot_service.api.replicas import routes as replicas
from bot_service.api.server.openapi import document
from bot_service.api.server.route import Response, Route
from bot_service.api.sessions import routes as sessions
from bot_service.api.watchdog import routes as watchdog
from bot_service.api.webhooks import routes as webhooks
from bot_service.api.webhooks.event_types import WEBHOOK_CALLS


async def _openapi(request: web.Request) -> web.StreamResponse:
    return web.Response(body=_document(request.app[keys.RUN].boot.version), content_type="application/json")


@cache
def _document(version: str) -> bytes:
    return document(ROUTES, version=version, webhooks=WEBHOOK_CALLS)


ROUTES = [
    *sessions.ROUTES,
    *health.ROUTES,
    *replicas.ROUTES,
    *logs.ROUTES,
    *watchdog.ROUTES,
    *messages.ROUTES,
    *people.ROUTES,
    *channels.ROUTES,
    *events.ROUTES,
    *webhooks.ROUTES,
    *deliveries.ROUTES,
    *api_keys.ROUTES,
    Route(
        "GET", "/api/openapi.json", _openapi, Scope.PUBLIC,
        "Service", "This description", "OpenAPI 3.1, made from the types that validate.",
        {200: Response("The document.", dict)},
    ),
]  # fmt: skip
SCOPES = {(route.method, route.path): route.scope for route in ROUTES}


def mount(app: web.Application) -> None:
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
        if route.method == "GET" and not route.stream:
            app.router.add_route("HEAD", route.path, route.handler)
