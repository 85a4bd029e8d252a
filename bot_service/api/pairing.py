"""``GET /api/sessions/{id}/qr`` as JSON, PNG, SVG or text, and ``POST …/pairing-code``."""

from __future__ import annotations

import io

import segno
from aiohttp import web

from bot_service import keys
from bot_service.api.lookup import problems, session_of
from bot_service.api.schemas import PairByCode, PairingCodeView, QrView, moment
from bot_service.domain.record import Record
from bot_service.sessions.codes import Shown
from shared.web import body, errors
from shared.web.body import json_response

FORMATS = {"json": "application/json", "png": "image/png", "svg": "image/svg+xml", "text": "text/plain"}


async def qr(request: web.Request) -> web.Response:
    record, kind = session_of(request), _format(request)
    shown = request.app[keys.SESSIONS].code(record.id)
    if shown is None:
        raise _no_code(record)
    expires = moment(shown.expires_ms) or ""
    if kind == "json":
        return json_response(QrView(shown.code, expires, shown.round))
    return web.Response(
        body=_picture(shown, kind),
        content_type=FORMATS[kind],
        charset="utf-8" if kind == "text" else None,
        headers={"X-Expires-At": expires},
    )


def _format(request: web.Request) -> str:
    asked = request.query.get("format")
    if asked is not None:
        if asked not in FORMATS:
            raise errors.invalid("format", "must be one of " + ", ".join(FORMATS))
        return asked
    accept = request.headers.get("Accept", "*/*")
    offers = [part.split(";")[0].strip() for part in accept.split(",")]
    for offer in offers:
        for name, kind in FORMATS.items():
            if offer == kind or (offer == "image/*" and name == "png"):
                return name
    if any(offer in ("*/*", "application/*", "") for offer in offers):
        return "json"
    raise errors.Problem(406, "not_acceptable", "offered are " + ", ".join(FORMATS.values()))


def _picture(shown: Shown, kind: str) -> bytes:
    code = segno.make(shown.code, error="l", micro=False)
    if kind == "text":
        text = io.StringIO()
        code.terminal(out=text, compact=True, border=2)
        return text.getvalue().encode()
    out = io.BytesIO()
    if kind == "png":
        code.save(out, kind="png", scale=8, border=4)
    else:
        code.save(out, kind="svg", scale=8, border=4, xmldecl=False)
    return out.getvalue()


def _no_code(record: Record) -> errors.Problem:
    detail = f"the session is {record.state.value} and shows no code now"
    return errors.conflict("no_qr", detail, state=record.state.value, reason=record.reason)


async def pairing_code(request: web.Request) -> web.Response:
    session = session_of(request).id
    wish = await body.read(request, PairByCode)
    with problems():
        shown = await request.app[keys.SESSIONS].pairing_code(session, wish.phone.lstrip("+"))
    return json_response(PairingCodeView(shown.code, moment(shown.expires_ms)))
