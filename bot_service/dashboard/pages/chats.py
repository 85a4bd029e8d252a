"""``/sessions/{id}/chats``: the chats of a session, the messages of one, their files, and taking one back."""

from __future__ import annotations

import secrets

from aiohttp import web

from bot_service import keys
from bot_service.access.downloads import download
from bot_service.access.principals import Scope
from bot_service.dashboard.context import render, words
from bot_service.dashboard.guard import Form, back, done
from bot_service.dashboard.login import Login
from bot_service.dashboard.message_list import (
    MessageLine,
    address_name,
    chat_line,
    chat_path,
    message_line,
    session_path,
)
from bot_service.domain.refused import Refused
from bot_service.domain.states import LINKED
from bot_service.messages.commands import MessageSearch, StoredMessage
from bot_service.messages.rendering import message_of

CHATS, MESSAGES = 50, 50
REVOKED_WITHIN_S = 5.0


async def index(request: web.Request, login: Login) -> web.StreamResponse:
    """``?before=`` is where the page before ended."""
    record, t = request.app[keys.SESSIONS].queries.find(login.principal, request.match_info["id"]), words(request)
    commands = request.app[keys.MESSAGES].commands
    found = await commands.chats(login.principal, record, before=_before(request), limit=CHATS)
    here = f"{session_path(record.id)}/chats"
    return render(
        request,
        login,
        "chats.html",
        session=record,
        chats=[chat_line(each, t) for each in found],
        older=f"{here}?before={found[-1].last.seq}" if len(found) == CHATS else "",
    )


async def show(request: web.Request, login: Login) -> web.StreamResponse:
    """The messages of one chat, the newest at the bottom."""
    record, t = request.app[keys.SESSIONS].queries.find(login.principal, request.match_info["id"]), words(request)
    search = MessageSearch(chat=request.match_info["chat"], before=_before(request))
    found = await request.app[keys.MESSAGES].commands.page(login.principal, record, search, limit=MESSAGES)
    here = chat_path(record.id, request.match_info["chat"])
    may_send = login.principal.may(Scope.SEND) and record.state in LINKED
    gone = {message_of(each).revokes for each in found if each.type == "revoke" and each.state != "failed"}
    changes = request.app[keys.MESSAGES].changes

    def line(each: StoredMessage) -> MessageLine:
        revocable = may_send and each.message_id not in gone and changes.is_revocable(each)
        return message_line(each, t, revocable=revocable)

    return render(
        request,
        login,
        "chat.html",
        session=record,
        chat=request.match_info["chat"],
        name=address_name(request.match_info["chat"], t),
        messages=[line(each) for each in reversed(found)],
        older=f"{here}?before={found[-1].seq}" if len(found) == MESSAGES else "",
        here=here,
        may_send=may_send,
        idempotency=secrets.token_urlsafe(16),
    )


async def take_back(request: web.Request, login: Login, form: Form) -> str:
    """Revoke a message, once. Raises :class:`Refused`, ``not_sent`` with the server's reason."""
    record, messages = (
        request.app[keys.SESSIONS].queries.find(login.principal, request.match_info["id"]),
        request.app[keys.MESSAGES],
    )
    target = await messages.commands.get(login.principal, record, request.match_info["messageId"])
    accepted = await messages.changes.revoke(record, target)
    ended = await messages.commands.until_ended(accepted.message, REVOKED_WITHIN_S)
    if ended.state == "failed":
        raise Refused("not_sent", ended.error or "")
    return done(back(request, form), "take-back")


async def file(request: web.Request, login: Login) -> web.StreamResponse:
    who, app = login.principal, request.app
    record = app[keys.SESSIONS].queries.find(who, request.match_info["id"])
    media, kept = await app[keys.MESSAGES].commands.file(who, record, request.match_info["messageId"])
    return download(media, kept, app[keys.ACCESS].requests, who)


def _before(request: web.Request) -> int:
    given = request.query.get("before", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
