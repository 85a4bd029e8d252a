"""The proxy of an instance: that of the session, which administrators set."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.dialects.evolution import requests
from bot_service.dialects.evolution.context import find
from bot_service.dialects.proxies import url_of
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.sessions.commands import ChangeSession
from shared.web import body
from shared.web.body import json_response


def read(wanted: requests.SetProxy) -> str:
    """Its address. Raises :class:`Refused` ``invalid``."""
    if not wanted.host or not wanted.port:
        raise invalid("host", "and port are needed")
    server = f"{wanted.protocol}://{wanted.host}:{wanted.port}"
    return url_of(server, wanted.username, wanted.password, "host")


async def set_proxy(request: web.Request) -> web.Response:
    """It takes effect at the next start of the instance."""
    record, wanted = find(request), await body.read(request, requests.SetProxy)
    changes = body.convert({"proxy": read(wanted) if wanted.enabled else None}, ChangeSession)
    record = await request.app[keys.SESSIONS].commands.change(principal(request), record.id, changes)
    shown = _shown(record) or {"enabled": False, "host": "", "port": "", "protocol": "", "username": "", "password": ""}
    return json_response({"proxy": {"instanceName": record.id, "proxy": shown}}, status=201)


async def find_proxy(request: web.Request) -> web.Response:
    """Null without one."""
    return json_response(_shown(find(request)))


def _shown(record: SessionRecord) -> dict[str, Any] | None:
    """Without user and password, which are shown to no caller."""
    if record.proxy is None:
        return None
    parts = urlsplit(record.proxy.shown)
    port = str(parts.port or "")
    return {
        "enabled": True,
        "host": parts.hostname or "",
        "port": port,
        "protocol": parts.scheme,
        "username": "",
        "password": "",
    }
