"""``GET /sessions/{id}``: one session: its state, the codes to link a phone, a test message, messages, history."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import segno
from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.sessions.lookup import session_of
from bot_service.dashboard import view_models
from bot_service.dashboard.context import DESK
from bot_service.dashboard.login import Login
from bot_service.dashboard.message_list import latest
from bot_service.dashboard.page_context import base_context
from bot_service.dashboard.pages.sessions import last_frame_ms
from bot_service.domain.session_record import SessionRecord
from bot_service.domain.states import LINKED, LIVE, State
from shared.web.ui.svg import Svg

HISTORY = 20


@dataclass(frozen=True, slots=True, repr=False)
class Pairing:
    """``qr`` is a picture, ``code`` what to type; either may be missing for a moment."""

    qr: Svg | None
    code: str


async def session(request: web.Request, login: Login) -> web.StreamResponse:
    record = session_of(request)
    t = request.app[DESK].pages.words(request)
    kept = await request.app[keys.SESSIONS].store.transitions(record.id)
    may_command = login.principal.may(Scope.SESSION)
    return request.app[DESK].pages.render(
        request,
        "session.html",
        **base_context(request, login),
        session=view_models.headline(record, t),
        commands=view_models.buttons(record, t) if may_command else [],
        facts=view_models.facts(record, last_frame_ms(request, record), record.inbound_ms, t),
        pairing=_pairing(request, record) if may_command else None,
        may_send=login.principal.may(Scope.SEND) and record.state in LINKED,
        may_logout=view_models.may_logout(record),
        may_command=may_command,
        idempotency=secrets.token_urlsafe(16),
        messages=await latest(request, record, t),
        history=[view_models.step(change, t) for change in kept[:HISTORY]],
    )


def _pairing(request: web.Request, record: SessionRecord) -> Pairing | None:
    """The codes that a phone can use now; None as soon as a phone is linked: the panel goes away by itself."""
    codes = request.app[DESK].codes
    if record.state not in LIVE or record.jid is not None or record.state not in (State.PAIRING, State.STARTING):
        codes.pop(record.id, None)
        return None
    now_ms = request.app[keys.SESSIONS].supervisor.now_ms()
    typed = codes.get(record.id)
    if typed is not None and typed.expires_ms <= now_ms:
        codes.pop(record.id, None)
        typed = None
    scanned = request.app[keys.SESSIONS].commands.code(record.id)
    text = typed.code if typed is not None else ""
    return Pairing(qr_picture(scanned.code) if scanned is not None else None, text)


def qr_picture(text: str) -> Svg:
    """Black on white, as wide as its box; the paper around it is the page's."""
    made = segno.make(text, error="l", micro=False)
    return Svg(made.svg_inline(border=2, omitsize=True, svgclass=None, lineclass=None))
