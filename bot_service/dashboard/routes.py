"""All routes of the dashboard. Each checks the cookie itself; the gate of the API passes them."""

from __future__ import annotations

from aiohttp import web

from bot_service.access.principals import Scope
from bot_service.dashboard import stream
from bot_service.dashboard.context import DASHBOARD
from bot_service.dashboard.guard import form, page
from bot_service.dashboard.pages import (
    api_keys,
    chats,
    deliveries,
    delivery,
    docs,
    live,
    login,
    new_session,
    replicas,
    session,
    sessions,
    simulator,
    webhook,
    webhooks,
)
from bot_service.domain.session_record import CommandKind

READ, SESSION, SEND = Scope.READ, Scope.SESSION, Scope.SEND


def table(app: web.Application) -> list[web.RouteDef]:
    return [
        web.get("/", page(READ, sessions.show)),
        web.post("/sessions", form(SESSION, sessions.command)),
        web.get("/new", page(SESSION, new_session.show)),
        web.post("/new", form(SESSION, new_session.create)),
        web.get("/sessions/{id}", page(READ, session.show)),
        *(
            web.post(f"/sessions/{{id}}/{kind.value}", form(SESSION, session.command(kind)))
            for kind in (CommandKind.START, CommandKind.STOP, CommandKind.RESTART)
        ),
        web.post("/sessions/{id}/logout", form(SESSION, session.logout)),
        web.post("/sessions/{id}/delete", form(SESSION, session.delete)),
        web.post("/sessions/{id}/pairing-code", form(SESSION, session.pairing_code)),
        web.post("/sessions/{id}/messages", form(SEND, session.send)),
        web.post("/sessions/{id}/simulate", form(SESSION, simulator.run)),
        web.get("/sessions/{id}/chats", page(READ, chats.index)),
        web.get("/sessions/{id}/chats/{chat}", page(READ, chats.show)),
        web.get("/sessions/{id}/messages/{messageId}/file", page(READ, chats.file)),
        web.post("/sessions/{id}/messages/{messageId}/revoke", form(SEND, chats.take_back)),
        web.get("/deliveries", page(READ, deliveries.show)),
        web.get("/deliveries/{webhookId}/{eventId}", page(READ, delivery.show)),
        web.post("/deliveries/replay", form(SESSION, deliveries.replay)),
        web.get("/webhooks", page(READ, webhooks.show)),
        web.post("/webhooks", form(SESSION, webhooks.create)),
        web.get("/webhooks/{webhookId}", page(READ, webhook.show)),
        web.post("/webhooks/{webhookId}", form(SESSION, webhook.change)),
        web.post("/webhooks/{webhookId}/pause", form(SESSION, webhook.activate(active=False))),
        web.post("/webhooks/{webhookId}/resume", form(SESSION, webhook.activate(active=True))),
        web.post("/webhooks/{webhookId}/secret", form(SESSION, webhook.rotate_secret)),
        web.post("/webhooks/{webhookId}/test", form(SESSION, webhook.test)),
        web.post("/webhooks/{webhookId}/delete", form(SESSION, webhook.delete)),
        web.get("/replicas", page(Scope.ADMIN, replicas.show)),
        web.get("/keys", page(Scope.ADMIN, api_keys.show)),
        web.post("/keys", form(Scope.ADMIN, api_keys.create)),
        web.post("/keys/{keyId}/revoke", form(Scope.ADMIN, api_keys.revoke)),
        web.get("/live", page(READ, live.show)),
        web.get("/events", page(READ, stream.events), allow_head=False),
        web.get("/login", login.show),
        web.post("/login", login.sign_in),
        web.post("/logout", login.sign_out),
        web.get("/docs", docs.show),
        web.get("/docs/files/{name}", docs.file),
        web.get("/static/{digest}/{name}", app[DASHBOARD].pages.assets.serve),
    ]
