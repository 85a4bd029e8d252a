"""The webhook of an instance, as Evolution has it, over the webhooks of this service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.dialects.evolution import events, requests, views
from bot_service.dialects.evolution.context import find
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.events.dialects import DialectBody, Envelope
from bot_service.sessions.pairing_codes import PairingCode
from bot_service.store.deliveries import Webhook
from bot_service.webhooks.commands import DialectWebhook
from bot_service.webhooks.custom_headers import refuse_own
from shared.web import body
from shared.web.body import json_response

NAME = "evolution"
_ENCODE = msgspec.json.Encoder().encode


class _Options(msgspec.Struct, omit_defaults=True):
    """What the store keeps of a webhook, beside its address."""

    events: list[str]
    by_events: bool = False
    headers: dict[str, str] = {}


async def set_webhook(request: web.Request) -> web.Response:
    """An instance has one. Without an address and not enabled, it has none."""
    record, given = find(request), await body.read(request, requests.SetWebhook)
    wanted = given.webhook or given
    commands, who = request.app[keys.WEBHOOKS].commands, principal(request)
    made = [] if not wanted.url and not wanted.enabled else [made_of(wanted)]
    await commands.set_dialect(who, record.id, NAME, made)
    shown = _shown(request, record)
    older = {"instanceName": record.id, "webhook": {name: shown[name] for name in ("url", "events", "enabled")}}
    return json_response(shown | {"webhook": older}, status=201)


async def find_webhook(request: web.Request) -> web.Response:
    """Without the values of its headers, which may be secrets."""
    return json_response(_shown(request, find(request)))


def made_of(wanted: requests.WebhookFields) -> DialectWebhook:
    """Raises :class:`Refused` ``invalid``."""
    if wanted.base64 or wanted.webhookBase64:
        raise invalid("webhookBase64", "must be false: /chat/getBase64FromMediaMessage has the file of a message")
    unknown = [name for name in wanted.events if name not in events.SOURCES]
    if unknown:
        raise invalid("events", f"no event is called {unknown[0][:40]}; there are {', '.join(events.SOURCES)}")
    # Clients copy this one from an example; it is the type that bodies have.
    headers = {
        name: value
        for name, value in (wanted.headers or {}).items()
        if (name.lower(), value) != ("content-type", "application/json")
    }
    for name in headers:
        refuse_own(name, "headers")
    names = wanted.events or list(events.SOURCES)
    options = _Options(names, wanted.byEvents or wanted.webhookByEvents, headers)
    sources = {source for name in names for source in events.SOURCES[name]}
    return DialectWebhook(wanted.url, tuple(sorted(sources)), _ENCODE(options), wanted.enabled)


def _shown(request: web.Request, record: SessionRecord) -> dict[str, Any]:
    visible = request.app[keys.WEBHOOKS].commands.visible(principal(request), record.id)
    webhook = next((each for each in visible if each.dialect == NAME), None)
    if webhook is None:
        return {"enabled": False, "url": "", "events": []}
    options = _options(webhook)
    return {
        "id": webhook.id,
        "enabled": webhook.active,
        "url": webhook.url,
        "events": options.events,
        "webhookByEvents": options.by_events,
        "webhookBase64": False,
        "headers": dict.fromkeys(options.headers, "***"),
        "instanceId": record.id,
    }


def _options(webhook: Webhook) -> _Options:
    return msgspec.json.decode(webhook.options or b'{"events":[]}', type=_Options)


class EvolutionWebhooks:
    """Bodies, headers and addresses as Evolution's.

    ``find(session)`` is the session as it is now, ``code(session)`` what a phone can scan now.
    """

    def __init__(
        self,
        find: Callable[[str], SessionRecord | None],
        code: Callable[[str], PairingCode | None],
        server: str,
    ) -> None:
        self._find, self._code, self._server = find, code, server

    def bodies(self, webhook: Webhook, event: Envelope) -> list[DialectBody]:
        session = event.session or webhook.session or ""
        record, options = self._find(session), _options(webhook)
        if record is None or (views.ignores_groups(record) and _of_group(event)):
            return []
        shown = events.envelopes(record, event, lambda: self._code(session), webhook.url, self._server)
        wanted = {events.BODY_NAMES.get(name, name.replace("_", ".").lower()) for name in options.events} | {"test"}
        return [DialectBody(name, _ENCODE(content)) for name, content in shown if name in wanted]

    def url(self, webhook: Webhook, event_type: str) -> str:
        """With ``webhookByEvents`` the name of the event is the end of the path."""
        if not _options(webhook).by_events:
            return webhook.url
        parts = urlsplit(webhook.url)
        return parts._replace(path=f"{parts.path.rstrip('/')}/{event_type.replace('.', '-')}").geturl()

    def headers(self, webhook: Webhook, _delivery: str, _body: bytes, _at: datetime) -> dict[str, str]:
        return _options(webhook).headers


def _of_group(event: Envelope) -> bool:
    return event.type.startswith("group.") or str(event.data.get("chat", "")).endswith("@g.us")
