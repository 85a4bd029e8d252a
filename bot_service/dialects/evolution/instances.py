"""Evolution's operations on instances, over the use cases of sessions."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.dialects.evolution import proxies, requests, views, webhooks
from bot_service.dialects.evolution.context import find
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import CommandKind, SessionRecord
from bot_service.domain.states import LINKED, LIVE
from bot_service.engines.port import EngineError
from bot_service.sessions.commands import ChangeSession, CreateSession
from bot_service.sessions.notifications import Event
from bot_service.sessions.pairing_codes import PairingCode
from bot_service.sessions.registry import Search
from shared.web import body
from shared.web.body import json_response

MOST_INSTANCES = 100_000
# A client waits for the first code. It can call again.
CODE_WITHIN_S = 10.0
_NOT_HERE = {
    "token": "an instance has no key of its own: use one of this service",
    "rabbitmq": "events go to webhooks and to the event stream",
    "sqs": "events go to webhooks and to the event stream",
    "chatwootAccountId": "Chatwoot is reached through a webhook",
}
_SETTINGS_NOT_HERE = ("alwaysOnline", "readMessages", "readStatus", "syncFullHistory")


async def info(request: web.Request) -> web.Response:
    version = request.app[keys.RUN].boot.version
    text = "Veilleur works, and speaks to clients of Evolution API"
    return json_response({"status": 200, "message": text, "version": version, "clientName": "veilleur"})


async def create(request: web.Request) -> web.Response:
    """With ``qrcode`` it starts, and the answer has the code to scan."""
    wanted = await body.read(request, requests.NewInstance)
    _refuse_what_is_not_here(wanted)
    webhook = webhooks.made_of(wanted.webhook) if wanted.webhook and wanted.webhook.url else None
    if webhook is not None:
        request.app[keys.WEBHOOKS].commands.check(webhook.url, webhook.events)
    metadata = views.with_settings({}, wanted)
    given: dict[str, Any] = {"id": wanted.instanceName, "start": False, "metadata": metadata}
    if wanted.proxyHost:
        given["proxy"] = proxies.read(
            requests.SetProxy(
                True,
                wanted.proxyHost,
                wanted.proxyPort,
                wanted.proxyProtocol,
                wanted.proxyUsername,
                wanted.proxyPassword,
            )
        )
    made = body.convert(given, CreateSession)
    commands = request.app[keys.SESSIONS].commands
    record = await commands.create(principal(request), made)
    if webhook is not None:
        await request.app[keys.WEBHOOKS].commands.set_dialect(principal(request), record.id, webhooks.NAME, [webhook])
    if wanted.qrcode:  # after its webhook, which gets the first code too
        record = await commands.command(record.id, CommandKind.START)
    answer: dict[str, Any] = {
        "instance": {
            "instanceName": record.id,
            "instanceId": record.id,
            "integration": views.INTEGRATION,
            "webhook_wa_business": "",
            "access_token_wa_business": "",
            "status": "created",
        },
        # The caller's key is good for it. One for this instance alone is none of this service.
        "hash": {"apikey": ""},
        "settings": views.settings(record),
    }
    if wanted.qrcode:
        answer["qrcode"] = await _codes(request, record, wanted.number)
    return json_response(answer, status=201)


def _refuse_what_is_not_here(wanted: requests.NewInstance) -> None:
    if wanted.integration != views.INTEGRATION:
        raise invalid("integration", f"must be {views.INTEGRATION}: sessions are linked devices")
    for name, why in _NOT_HERE.items():
        value = getattr(wanted, name)
        if value and not (isinstance(value, dict) and not value.get("enabled")):
            raise invalid(name, why)
    _refuse_settings(wanted)


def _refuse_settings(wanted: requests.Settings) -> None:
    for name in _SETTINGS_NOT_HERE:
        if getattr(wanted, name):
            raise invalid(name, "this service does not do that: it must be false")


async def connect(request: web.Request) -> web.Response:
    """Starts the instance; the codes to link it, or its state when it has a phone."""
    record = find(request)
    if record.state not in LIVE:
        record = await request.app[keys.SESSIONS].commands.command(record.id, CommandKind.START)
    if record.jid is not None:
        return json_response(views.state(record))
    return json_response(await _codes(request, record, request.query.get("number")))


async def _codes(request: web.Request, record: SessionRecord, number: str | int | None) -> dict[str, Any]:
    """The QR code, and with ``number`` the code to type into that phone; ``count`` 0 without any yet."""
    shown = await _first_code(request, record.id)
    if shown is None:
        return {"count": 0}
    codes = views.codes(shown)
    if number:
        codes |= views.codes(await request.app[keys.SESSIONS].commands.pairing_code(record.id, str(number)))
    return codes


async def _first_code(request: web.Request, session: str) -> PairingCode | None:
    """The QR code now, or as soon as there is one."""
    sessions, changed = request.app[keys.SESSIONS], asyncio.Event()

    def on_event(event: Event) -> None:
        if event.session == session:
            changed.set()

    unsubscribe = sessions.bus.subscribe(on_event)
    try:
        async with asyncio.timeout(CODE_WITHIN_S):
            while True:
                changed.clear()
                record, shown = sessions.registry.get(session), sessions.commands.code(session)
                if shown is not None or record is None or record.state not in LIVE - LINKED:
                    return shown
                await changed.wait()
    except TimeoutError:
        return None
    finally:
        unsubscribe()


async def connection_state(request: web.Request) -> web.Response:
    return json_response(views.state(find(request)))


async def index(request: web.Request) -> web.Response:
    """All, or the one that ``instanceName`` or ``instanceId`` names."""
    queries, who = request.app[keys.SESSIONS].queries, principal(request)
    name = request.query.get("instanceName") or request.query.get("instanceId")
    if name:
        return json_response([views.instance(queries.find(who, name))])
    records, _, _ = queries.page(who, Search(), after=None, limit=MOST_INSTANCES)
    return json_response([views.instance(record) for record in records])


async def restart(request: web.Request) -> web.Response:
    record = await request.app[keys.SESSIONS].commands.command(find(request).id, CommandKind.RESTART)
    return json_response(views.state(record))


async def logout(request: web.Request) -> web.Response:
    await request.app[keys.SESSIONS].commands.logout(find(request).id)
    return _done("Instance logged out")


async def delete(request: web.Request) -> web.Response:
    """Unlinks the phone first, if it can be reached."""
    record, commands = find(request), request.app[keys.SESSIONS].commands
    if record.state in LINKED:
        with contextlib.suppress(EngineError):
            await commands.logout(record.id)
    await commands.delete(record.id)
    return _done("Instance deleted")


def _done(text: str) -> web.Response:
    return json_response({"status": "SUCCESS", "error": False, "response": {"message": text}})


async def set_settings(request: web.Request) -> web.Response:
    record, wanted = find(request), await body.read(request, requests.Settings)
    _refuse_settings(wanted)
    changes = body.convert({"metadata": views.with_settings(record.metadata, wanted)}, ChangeSession)
    record = await request.app[keys.SESSIONS].commands.change(principal(request), record.id, changes)
    return json_response({"settings": {"instanceName": record.id, "settings": views.settings(record)}}, status=201)


async def find_settings(request: web.Request) -> web.Response:
    return json_response(views.settings(find(request)))
