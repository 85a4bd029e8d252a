"""``GET /api/sessions/{id}/qr`` as JSON, PNG, SVG or text, and ``POST …/pairing-code``."""

from __future__ import annotations

import io

import msgspec
import segno
from aiohttp import web

from bot_service import keys
from bot_service.api.server.request import iso_time, session_of
from bot_service.api.sessions.views import PairingCodeView, QrView
from bot_service.domain.inputs import Phone
from bot_service.domain.refused import Refused, invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.sessions.pairing_codes import PairingCode
from shared.web import body, errors
from shared.web.body import json_response

FORMATS = {"json": "application/json", "png": "image/png", "svg": "image/svg+xml", "text": "text/plain"}


class PairByCode(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    phone: Phone


async def qr(request: web.Request) -> web.Response:
    record, kind = session_of(request), _format(request)
    shown = request.app[keys.SESSIONS].commands.code(record.id)
    if shown is None:
        raise _no_code(record)
    expires = iso_time(shown.expires_ms) or ""
    if kind == "json":
        return json_response(QrView(shown.code, expires, shown.round))
    return web.Response(
        body=picture(shown, kind),
        content_type=FORMATS[kind],
        charset="utf-8" if kind == "text" else None,
        headers={"X-Expires-At": expires},
    )


def _format(request: web.Request) -> str:
    asked = request.query.get("format")
    if asked is not None:
        if asked.lower() not in FORMATS:
            raise invalid("format", "must be one of " + ", ".join(FORMATS))
        return asked.lower()
    for wanted in _wanted(request.headers.get("Accept", "") or "*/*"):
        for name, kind in FORMATS.items():
            if wanted in (kind, kind.split("/")[0] + "/*", "*/*"):
                return name
    raise errors.Problem(406, "not_acceptable", "offered are " + ", ".join(FORMATS.values()))


def _wanted(accept: str) -> list[str]:
    """The media types of an ``Accept`` header, the preferred first, without those it refuses."""
    found = []
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 1.0
        if weight > 0:
            found.append((-weight, kind.count("*"), kind))
    return [kind for _, _, kind in sorted(found, key=lambda each: each[:2])]


def picture(shown: PairingCode, kind: str) -> bytes:
    """The code as ``png``, ``svg`` or ``text``."""
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


def _no_code(record: SessionRecord) -> Refused:
    detail = f"the session is {record.state.value} and shows no code now"
    return Refused("no_qr", detail, state=record.state.value, reason=record.reason)


async def pairing_code(request: web.Request) -> web.Response:
    session = session_of(request).id
    wanted = await body.read(request, PairByCode)
    shown = await request.app[keys.SESSIONS].commands.pairing_code(session, wanted.phone.lstrip("+"))
    return json_response(PairingCodeView(shown.code, iso_time(shown.expires_ms)))
