"""What the dashboard's forms do: the same calls as the API's, with the same judgement."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from bot_service import keys
from bot_service.api.sessions.lookup import problems, session_of
from bot_service.api.sessions.schemas import DEFAULT_OWNER, CreateSession
from bot_service.dashboard.context import DESK, Form, back, done
from bot_service.dashboard.login import Login
from bot_service.domain.message import OutgoingMessage
from bot_service.domain.session_record import CommandKind
from bot_service.events.ids import new_message_id
from bot_service.messages.outbox import KeyReused, QueueFull, SendFrozen, fingerprint
from bot_service.messages.validation import InvalidMessage, address
from bot_service.sessions.commands import NewSession, SessionExists
from shared.web import body, errors

Act = Callable[[web.Request, Login, Form], Awaitable[str]]


def command(kind: CommandKind) -> Act:
    async def act(request: web.Request, _login: Login, form: Form) -> str:
        session = session_of(request).id
        with problems():
            await request.app[keys.SESSIONS].commands.command(session, kind)
        return done(back(request, form), kind.value)

    return act


async def logout(request: web.Request, _login: Login, form: Form) -> str:
    session = session_of(request).id
    with problems():
        await request.app[keys.SESSIONS].commands.logout(session)
    return done(back(request, form), "logout")


async def delete(request: web.Request, _login: Login, _form: Form) -> str:
    session = session_of(request).id
    with problems():
        await request.app[keys.SESSIONS].commands.delete(session)
    request.app[DESK].codes.pop(session, None)
    return done("/", "delete")


async def create(request: web.Request, login: Login, form: Form) -> str:
    given = {name: str(form.get(name, "")).strip() for name in ("id", "name", "owner")}
    wish = body.convert({name: value for name, value in given.items() if value}, CreateSession)
    who = login.principal
    if who.owner is not None and wish.owner not in (None, who.owner):
        raise errors.forbidden("only an administrator makes sessions for another owner")
    with problems():
        try:
            new = NewSession(wish.owner or who.owner or DEFAULT_OWNER, wish.id, wish.name, {})
            record = await request.app[keys.SESSIONS].commands.create(new, start=True)
        except SessionExists:
            raise errors.conflict("conflict", "a session with this id exists already") from None
    return f"/sessions/{quote(record.id, safe='')}"


async def pairing_code(request: web.Request, _login: Login, form: Form) -> str:
    session = session_of(request).id
    phone = re.sub(r"[^0-9]", "", str(form.get("phone", "")))
    if not 6 <= len(phone) <= 15:
        raise errors.invalid("phone", "must be a telephone number in international form")
    with problems():
        request.app[DESK].codes[session] = await request.app[keys.SESSIONS].commands.pairing_code(session, phone)
    return done(back(request, form), "pairing-code")


async def send(request: web.Request, _login: Login, form: Form) -> str:
    """A text, once per form: a second click on the same button sends nothing more."""
    session, text = session_of(request).id, str(form.get("text", "")).strip()
    if not 1 <= len(text) <= 4096:
        raise errors.invalid("text", "must have 1 to 4096 characters")
    try:
        to = address(str(form.get("to", "")))
    except InvalidMessage as error:
        raise errors.invalid("to", error.why) from None
    message = OutgoingMessage(id=new_message_id(), to=to, type="text", text=text)
    key = f"dashboard-{str(form.get('idempotency', ''))[:100]}"
    try:
        await request.app[keys.MESSAGES].outbox.accept(session, message, key=key, print_=fingerprint(message))
    except SendFrozen as refused:
        raise errors.conflict("wrong_state", refused.frozen.reason.value) from None
    except KeyReused:
        raise errors.conflict("expired", "this form was sent before, with another text") from None
    except QueueFull:
        raise errors.Problem(429, "limited", "so many messages wait already") from None
    request.app[keys.SESSIONS].supervisor.life.touch(session)
    return done(back(request, form), "send")
