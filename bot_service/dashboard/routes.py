"""All routes of the dashboard on one page. Each looks at the cookie itself, so the API's gate lets them through."""

from __future__ import annotations

from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.api.server.routes import Route
from bot_service.dashboard import (
    commands,
    deliveries_page,
    docs_page,
    keys_page,
    list_page,
    live_page,
    new_page,
    session_page,
    signing_in,
    stream,
    webhooks_page,
)
from bot_service.dashboard.desk import DESK, command, page
from bot_service.domain.session_record import CommandKind

READ, SESSION, SEND = Scope.READ, Scope.SESSION, Scope.SEND


def table(app: web.Application) -> list[Route]:
    pages = app[DESK].pages
    return [
        Route("GET", "/", page(READ, list_page.sessions), Scope.PUBLIC),
        Route("GET", "/new", page(SESSION, new_page.show), Scope.PUBLIC),
        Route("POST", "/new", command(SESSION, commands.create), Scope.PUBLIC),
        Route("GET", "/sessions/{id}", page(READ, session_page.session), Scope.PUBLIC),
        *(
            Route("POST", f"/sessions/{{id}}/{kind.value}", command(SESSION, commands.command(kind)), Scope.PUBLIC)
            for kind in (CommandKind.START, CommandKind.STOP, CommandKind.RESTART)
        ),
        Route("POST", "/sessions/{id}/logout", command(SESSION, commands.logout), Scope.PUBLIC),
        Route("POST", "/sessions/{id}/delete", command(SESSION, commands.delete), Scope.PUBLIC),
        Route("POST", "/sessions/{id}/pairing-code", command(SESSION, commands.pairing_code), Scope.PUBLIC),
        Route("POST", "/sessions/{id}/messages", command(SEND, commands.send), Scope.PUBLIC),
        Route("GET", "/deliveries", page(READ, deliveries_page.show), Scope.PUBLIC),
        Route("POST", "/deliveries/replay", command(SESSION, deliveries_page.replay), Scope.PUBLIC),
        Route("GET", "/webhooks", page(READ, webhooks_page.show), Scope.PUBLIC),
        Route("POST", "/webhooks", command(SESSION, webhooks_page.create), Scope.PUBLIC),
        Route("POST", "/webhooks/{webhookId}/test", command(SESSION, webhooks_page.test), Scope.PUBLIC),
        Route("POST", "/webhooks/{webhookId}/delete", command(SESSION, webhooks_page.delete), Scope.PUBLIC),
        Route("GET", "/keys", page(Scope.ADMIN, keys_page.show), Scope.PUBLIC),
        Route("POST", "/keys", command(Scope.ADMIN, keys_page.create), Scope.PUBLIC),
        Route("POST", "/keys/{keyId}/revoke", command(Scope.ADMIN, keys_page.revoke), Scope.PUBLIC),
        Route("GET", "/live", page(READ, live_page.show), Scope.PUBLIC),
        Route("GET", "/events", page(READ, stream.events), Scope.PUBLIC, stream=True),
        Route("GET", "/login", signing_in.show, Scope.PUBLIC),
        Route("POST", "/login", signing_in.sign_in, Scope.PUBLIC),
        Route("POST", "/logout", signing_in.sign_out, Scope.PUBLIC),
        Route("GET", "/docs", docs_page.show, Scope.PUBLIC),
        Route("GET", "/docs/files/{name}", docs_page.file, Scope.PUBLIC),
        Route("GET", "/static/{digest}/{name}", pages.assets.serve, Scope.PUBLIC),
        Route("POST", "/api/login-links", signing_in.make_link, Scope.ADMIN),
    ]
