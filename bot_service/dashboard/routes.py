"""All routes of the dashboard on one page. Each looks at the cookie itself, so the API's gate lets them through."""

from __future__ import annotations

from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.api.server.routes import Route
from bot_service.dashboard import commands, stream
from bot_service.dashboard.context import DESK, command, page
from bot_service.dashboard.pages import api_keys, deliveries, docs, live, login, new_session, session, webhooks
from bot_service.dashboard.pages import sessions as list_page
from bot_service.domain.session_record import CommandKind

READ, SESSION, SEND = Scope.READ, Scope.SESSION, Scope.SEND


def table(app: web.Application) -> list[Route]:
    pages = app[DESK].pages
    return [
        Route("GET", "/", page(READ, list_page.sessions), Scope.PUBLIC),
        Route("GET", "/new", page(SESSION, new_session.show), Scope.PUBLIC),
        Route("POST", "/new", command(SESSION, commands.create), Scope.PUBLIC),
        Route("GET", "/sessions/{id}", page(READ, session.session), Scope.PUBLIC),
        *(
            Route("POST", f"/sessions/{{id}}/{kind.value}", command(SESSION, commands.command(kind)), Scope.PUBLIC)
            for kind in (CommandKind.START, CommandKind.STOP, CommandKind.RESTART)
        ),
        Route("POST", "/sessions/{id}/logout", command(SESSION, commands.logout), Scope.PUBLIC),
        Route("POST", "/sessions/{id}/delete", command(SESSION, commands.delete), Scope.PUBLIC),
        Route("POST", "/sessions/{id}/pairing-code", command(SESSION, commands.pairing_code), Scope.PUBLIC),
        Route("POST", "/sessions/{id}/messages", command(SEND, commands.send), Scope.PUBLIC),
        Route("GET", "/deliveries", page(READ, deliveries.show), Scope.PUBLIC),
        Route("POST", "/deliveries/replay", command(SESSION, deliveries.replay), Scope.PUBLIC),
        Route("GET", "/webhooks", page(READ, webhooks.show), Scope.PUBLIC),
        Route("POST", "/webhooks", command(SESSION, webhooks.create), Scope.PUBLIC),
        Route("POST", "/webhooks/{webhookId}/test", command(SESSION, webhooks.test), Scope.PUBLIC),
        Route("POST", "/webhooks/{webhookId}/delete", command(SESSION, webhooks.delete), Scope.PUBLIC),
        Route("GET", "/keys", page(Scope.ADMIN, api_keys.show), Scope.PUBLIC),
        Route("POST", "/keys", command(Scope.ADMIN, api_keys.create), Scope.PUBLIC),
        Route("POST", "/keys/{keyId}/revoke", command(Scope.ADMIN, api_keys.revoke), Scope.PUBLIC),
        Route("GET", "/live", page(READ, live.show), Scope.PUBLIC),
        Route("GET", "/events", page(READ, stream.events), Scope.PUBLIC, stream=True),
        Route("GET", "/login", login.show, Scope.PUBLIC),
        Route("POST", "/login", login.sign_in, Scope.PUBLIC),
        Route("POST", "/logout", login.sign_out, Scope.PUBLIC),
        Route("GET", "/docs", docs.show, Scope.PUBLIC),
        Route("GET", "/docs/files/{name}", docs.file, Scope.PUBLIC),
        Route("GET", "/static/{digest}/{name}", pages.assets.serve, Scope.PUBLIC),
        Route("POST", "/api/login-links", login.make_link, Scope.ADMIN),
    ]
