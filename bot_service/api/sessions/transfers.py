"""The handlers that move a pairing to another service: export, import, take back."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.server.request import session_of
from bot_service.api.sessions.views import session_view
from bot_service.transfers.imports import ImportSession
from bot_service.transfers.sealed import LONGEST, SHORTEST
from shared.web import body
from shared.web.body import json_response


class ExportSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """``passphrase`` encrypts the file; it is kept nowhere."""

    passphrase: Annotated[str, Meta(min_length=SHORTEST, max_length=LONGEST)]


class ExportedView(msgspec.Struct, frozen=True, rename="camel"):
    """``file`` in base64."""

    session: str
    file: bytes


async def export(request: web.Request) -> web.Response:
    session, wanted = session_of(request).id, await body.read(request, ExportSession)
    file = await request.app[keys.TRANSFERS].exports.export(session, wanted.passphrase)
    return json_response(ExportedView(session, file))


async def import_(request: web.Request) -> web.Response:
    wanted = await body.read(request, ImportSession, limit=request.client_max_size)
    record = await request.app[keys.TRANSFERS].imports.run(principal(request), wanted)
    return json_response(session_view(record), status=201, headers={"Location": f"/api/sessions/{record.id}"})


async def take_back(request: web.Request) -> web.Response:
    record = await request.app[keys.TRANSFERS].exports.take_back(session_of(request).id)
    return json_response(session_view(record))
