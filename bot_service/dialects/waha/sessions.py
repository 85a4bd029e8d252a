"""WAHA's operations on sessions and on the server, over the use cases of this service."""

from __future__ import annotations

import base64
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.sessions import pairing
from bot_service.dialects import proxies
from bot_service.dialects.waha import requests, views, webhooks
from bot_service.domain.refused import invalid, not_found
from bot_service.domain.session_record import CommandKind, SessionRecord
from bot_service.domain.states import LIVE, State
from bot_service.sessions.commands import ChangeSession, CreateSession
from bot_service.sessions.registry import Search
from bot_service.webhooks.commands import Webhook
from shared.clock import to_ms
from shared.web import body
from shared.web.body import json_response

PAGE = 500


def find(request: web.Request, name: str) -> SessionRecord:
    """The session of this name. Raises :class:`Refused` ``not_found``."""
    return request.app[keys.SESSIONS].queries.find(principal(request), name)


def named(request: web.Request) -> SessionRecord:
    return find(request, request.match_info["session"])


async def ping(_: web.Request) -> web.Response:
    return json_response({"message": "pong"})


async def health(_: web.Request) -> web.Response:
    return json_response({"status": "ok", "info": {}, "error": {}, "details": {}})


async def version(request: web.Request) -> web.Response:
    return json_response(views.environment(request.app[keys.RUN].boot.version))


async def server_status(request: web.Request) -> web.Response:
    boot = request.app[keys.RUN].boot
    age_ms = boot.age_ms(request.app[keys.CLOCK])
    return json_response({"startTimestamp": to_ms(boot.started_at), "uptime": age_ms, "worker": {"id": ""}})


def _show(request: web.Request, record: SessionRecord, status: int = 200) -> web.Response:
    hooks = request.app[keys.WEBHOOKS].commands.visible(principal(request), record.id)
    return json_response(views.session(record, webhooks.shown(hooks)), status=status)


async def index(request: web.Request) -> web.Response:
    """With ``all=true`` the stopped ones too."""
    queries, found, after = request.app[keys.SESSIONS].queries, [], None
    while True:
        records, after, _ = queries.page(principal(request), Search(), after=after, limit=PAGE)
        found += records
        if after is None:
            break
    everything = request.query.get("all", "").lower() == "true"
    hooks: dict[str | None, list[Webhook]] = {}
    for webhook in request.app[keys.WEBHOOKS].commands.visible(principal(request)):
        hooks.setdefault(webhook.session, []).append(webhook)
    shown = [record for record in found if everything or record.state is not State.STOPPED]
    return json_response([views.session(record, webhooks.shown(hooks.get(record.id, []))) for record in shown])


async def create(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.NewSession, optional=True)
    config, sessions = wanted.config or requests.Config(), request.app[keys.SESSIONS].commands
    commands, who = request.app[keys.WEBHOOKS].commands, principal(request)
    hooks = webhooks.wanted(commands, config.webhooks or [], config.ignore)
    # Webhooks get the first event of the session too, so they come before the start.
    start = wanted.start and not hooks
    made = body.convert({"id": wanted.name or None, "start": start} | _settings(config), CreateSession)
    record = await sessions.create(who, made)
    if hooks:
        await commands.set_dialect(who, record.id, webhooks.NAME, hooks)
        record = await sessions.command(record.id, CommandKind.START) if wanted.start else record
    return _show(request, record, 201)


async def read(request: web.Request) -> web.Response:
    return _show(request, named(request))


async def change(request: web.Request) -> web.Response:
    """A configuration replaces the one before as a whole, as in WAHA; without one nothing changes."""
    record, wanted = named(request), await body.read(request, requests.ChangedSession, optional=True)
    if wanted.config is not None:
        config, commands, who = wanted.config, request.app[keys.WEBHOOKS].commands, principal(request)
        hooks = webhooks.wanted(commands, config.webhooks or [], config.ignore, commands.visible(who, record.id))
        changes = body.convert(_settings(config), ChangeSession)
        record = await request.app[keys.SESSIONS].commands.change(who, record.id, changes)
        await commands.set_dialect(who, record.id, webhooks.NAME, hooks)
    return _show(request, record)


def _settings(config: requests.Config) -> dict[str, Any]:
    """Those of the session itself. A proxy that is not given stays, because it is shown to no client."""
    found: dict[str, Any] = {"metadata": config.metadata or {}}
    if config.proxy is not None:
        proxy = config.proxy
        found["proxy"] = proxies.url_of(proxy.server, proxy.username, proxy.password, "config.proxy.server")
    return found


async def delete(request: web.Request) -> web.Response:
    await request.app[keys.SESSIONS].commands.delete(named(request).id)
    return web.Response(status=200)


async def start(request: web.Request) -> web.Response:
    return await _command(request, named(request), CommandKind.START)


async def stop(request: web.Request) -> web.Response:
    return await _command(request, named(request), CommandKind.STOP)


async def restart(request: web.Request) -> web.Response:
    return await _command(request, named(request), CommandKind.RESTART)


async def logout(request: web.Request) -> web.Response:
    record = await request.app[keys.SESSIONS].commands.logout(named(request).id)
    return _show(request, record, 201)


async def _command(request: web.Request, record: SessionRecord, kind: CommandKind) -> web.Response:
    # Like WAHA: to start what runs, or stop what is stopped, changes nothing and is no error.
    running = record.state in LIVE
    if not (kind is CommandKind.START and running) and not (kind is CommandKind.STOP and record.state is State.STOPPED):
        record = await request.app[keys.SESSIONS].commands.command(record.id, kind)
    return _show(request, record, 201)


async def old_start(request: web.Request) -> web.Response:
    """Makes the session when there is none, as the old operation did."""
    wanted = await body.read(request, requests.NamedSession, optional=True)
    sessions = request.app[keys.SESSIONS]
    if sessions.queries.get(principal(request), wanted.name) is None:
        made = body.convert({"id": wanted.name}, CreateSession)
        return _show(request, await sessions.commands.create(principal(request), made), 201)
    return await _command(request, find(request, wanted.name), CommandKind.START)


async def old_stop(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.NamedSession, optional=True)
    return await _command(request, find(request, wanted.name), CommandKind.STOP)


async def old_logout(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.NamedSession, optional=True)
    record = await request.app[keys.SESSIONS].commands.logout(find(request, wanted.name).id)
    return _show(request, record, 201)


async def me(request: web.Request) -> web.Response:
    """``null`` without a linked phone."""
    return json_response(views.me(named(request)))


async def qr(request: web.Request) -> web.Response:
    """A picture, or JSON when the caller accepts only that; ``format=raw`` is the text of the code."""
    record = named(request)
    shown = request.app[keys.SESSIONS].commands.code(record.id)
    if shown is None:
        raise not_found(f"a code of a session that is {record.state.value}")
    if request.query.get("format") == "raw":
        # `qr` is what the Python client `waha` reads.
        return json_response({"value": shown.code, "qr": shown.code})
    picture = pairing.picture(shown, "png")
    if "application/json" in request.headers.get("Accept", "") and "image/" not in request.headers.get("Accept", ""):
        return json_response({"mimetype": "image/png", "data": base64.b64encode(picture).decode()})
    return web.Response(body=picture, content_type="image/png")


async def request_code(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, requests.RequestCode)
    if wanted.method:
        raise invalid("method", "must be left out: a code is typed into the phone")
    code = await request.app[keys.SESSIONS].commands.pairing_code(record.id, wanted.phoneNumber)
    return json_response({"code": code.code}, status=201)
