"""``/sessions/{id}``: state, pairing codes, messages, history, and the forms of one session."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import segno
from aiohttp import web

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.dashboard import view_models
from bot_service.dashboard.context import DASHBOARD, render, words
from bot_service.dashboard.guard import Form, Submit, back, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.message_list import message_line
from bot_service.dashboard.pages import simulator
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import CommandKind, SessionRecord
from bot_service.domain.states import LINKED, LIVE, State
from bot_service.messages.commands import MessageSearch
from bot_service.messages.requests import SendMessage
from shared.translation import N_
from shared.web.ui.svg import Svg

HISTORY = 20
LATEST_MESSAGES = 15


@dataclass(frozen=True, slots=True, repr=False)
class Pairing:
    """``qr`` is a picture, ``code`` what to type; either may be missing for a moment."""

    qr: Svg | None
    code: str


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    record, sessions, t = _session(request, login), request.app[keys.SESSIONS], words(request)
    transitions = await sessions.queries.transitions(record)
    messages = await request.app[keys.MESSAGES].commands.page(
        login.principal, record, MessageSearch(), limit=LATEST_MESSAGES
    )
    may_command = login.principal.may(Scope.SESSION)
    return render(
        request,
        login,
        "session.html",
        session=view_models.headline(record, t),
        commands=view_models.buttons(record, t) if may_command else [],
        facts=view_models.facts(record, sessions.queries.last_frame_ms(record), record.inbound_ms, t),
        pairing=_pairing(request, record) if may_command else None,
        may_send=login.principal.may(Scope.SEND) and record.state in LINKED,
        removal=view_models.Removal.of(record) if may_command else None,
        simulator=simulator.panel(record, t) if may_command and simulator.is_used(request) else None,
        idempotency=secrets.token_urlsafe(16),
        messages=[message_line(each, t) for each in messages],
        history=[view_models.transition(change, t) for change in transitions[:HISTORY]],
    )


def _session(request: web.Request, login: Login) -> SessionRecord:
    return request.app[keys.SESSIONS].queries.find(login.principal, request.match_info["id"])


def _pairing(request: web.Request, record: SessionRecord) -> Pairing | None:
    """The codes that a phone can use now; None, which hides the panel, once a phone is linked."""
    codes, sessions = request.app[DASHBOARD].pairing_codes, request.app[keys.SESSIONS]
    if record.state not in LIVE or record.jid is not None or record.state not in (State.PAIRING, State.STARTING):
        codes.pop(record.id, None)
        return None
    typed = codes.get(record.id)
    if typed is not None and typed.expires_ms <= sessions.supervisor.now_ms():
        codes.pop(record.id, None)
        typed = None
    scanned = sessions.commands.code(record.id)
    text = typed.code if typed is not None else ""
    return Pairing(_qr_picture(scanned.code) if scanned is not None else None, text)


def _qr_picture(text: str) -> Svg:
    """Black on white, as wide as its box; the page draws the white margin."""
    code = segno.make(text, error="l", micro=False)
    return Svg(code.svg_inline(border=2, omitsize=True, svgclass=None, lineclass=None))


def command(kind: CommandKind) -> Submit:
    """The form that starts, stops or restarts."""

    async def submit(request: web.Request, login: Login, form: Form) -> str:
        await request.app[keys.SESSIONS].commands.command(_session(request, login).id, kind)
        return done(back(request, form), kind.value)

    return submit


async def logout(request: web.Request, login: Login, form: Form) -> str:
    await request.app[keys.SESSIONS].commands.logout(_session(request, login).id)
    return done(back(request, form), "logout")


async def delete(request: web.Request, login: Login, form: Form) -> str:
    """With ``unlink`` the phone is unlinked first; when that fails nothing is deleted."""
    session, commands = _session(request, login).id, request.app[keys.SESSIONS].commands
    if form.get("unlink"):
        await commands.logout(session)
    await commands.delete(session)
    return done("/", "delete")


async def pairing_code(request: web.Request, login: Login, form: Form) -> str:
    session = _session(request, login).id
    code = await request.app[keys.SESSIONS].commands.pairing_code(session, str(form.get("phone", "")))
    request.app[DASHBOARD].pairing_codes[session] = code
    return back(request, form)


async def send(request: web.Request, login: Login, form: Form) -> str:
    """A text, once per form: a second click on the same button sends nothing more."""
    record, text = _session(request, login), str(form.get("text", "")).strip()
    if not 1 <= len(text) <= 4096:
        raise invalid("text", N_("must have 1 to 4096 characters"))
    key = f"dashboard-{str(form.get('idempotency', ''))[:100]}"
    wanted = SendMessage(to=str(form.get("to", "")), text=text)
    await request.app[keys.MESSAGES].commands.send(record, wanted, key=key)
    return done(back(request, form), "send")
