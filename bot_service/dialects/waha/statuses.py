"""WAHA's operations on statuses: post one, take it back."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.dialects import sending
from bot_service.dialects.waha import names, requests, views
from bot_service.dialects.waha.messages import SENT_WITHIN_S, file_parts
from bot_service.dialects.waha.paths import base_of
from bot_service.dialects.waha.sessions import named
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from shared.web import body
from shared.web.body import json_response


async def text(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, requests.TextStatus)
    look = {"backgroundColor": wanted.backgroundColor, "font": sending.font(wanted.font)}
    return await _post(request, record, wanted, {"type": "text", "text": wanted.text, **look})


async def image(request: web.Request) -> web.Response:
    return await _post_file(request, "image")


async def voice(request: web.Request) -> web.Response:
    return await _post_file(request, "audio")


async def video(request: web.Request) -> web.Response:
    return await _post_file(request, "video")


async def _post_file(request: web.Request, kind: str) -> web.Response:
    record = named(request)
    wanted = await body.read(request, requests.FileStatus, limit=sending.file_body_limit(request))
    parts: dict[str, Any] = {"type": kind, "media": file_parts(wanted.file)}
    parts |= {"backgroundColor": wanted.backgroundColor} if kind == "audio" else {"text": wanted.caption}
    return await _post(request, record, wanted, parts)


async def _post(
    request: web.Request, record: SessionRecord, wanted: requests.Status, parts: dict[str, Any]
) -> web.Response:
    sending.refuse_chosen("contacts", wanted.contacts)
    sent = await sending.post_status(request, record, parts, SENT_WITHIN_S)
    return json_response(views.message(record, sent, base_of(request)), status=201)


async def delete(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, requests.Status)
    sending.refuse_chosen("contacts", wanted.contacts)
    if not wanted.id:
        raise invalid("id", "is needed: the id of the status")
    target = await sending.stored(request, record, names.plain_id(wanted.id))
    accepted = await request.app[keys.MESSAGES].changes.revoke(record, target)
    found = await sending.ended(request, accepted, SENT_WITHIN_S)
    return json_response(views.message(record, found, base_of(request)), status=201)
