"""``/sessions/{id}/chats``: the chats of a session, the messages of one, and their files."""

from __future__ import annotations

import secrets

from aiohttp import web

from bot_service import keys
from bot_service.access.downloads import Download
from bot_service.access.principals import Scope
from bot_service.dashboard.context import render, words
from bot_service.dashboard.login import Login
from bot_service.dashboard.message_list import address_name, chat_line, chat_path, message_line, session_path
from bot_service.domain.states import LINKED
from bot_service.messages.commands import MessageSearch

CHATS, MESSAGES = 50, 50


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
    return render(
        request,
        login,
        "chat.html",
        session=record,
        chat=request.match_info["chat"],
        name=address_name(request.match_info["chat"], t),
        messages=[message_line(each, t) for each in reversed(found)],
        older=f"{here}?before={found[-1].seq}" if len(found) == MESSAGES else "",
        here=here,
        may_send=login.principal.may(Scope.SEND) and record.state in LINKED,
        idempotency=secrets.token_urlsafe(16),
    )


async def file(request: web.Request, login: Login) -> web.StreamResponse:
    who, app = login.principal, request.app
    record = app[keys.SESSIONS].queries.find(who, request.match_info["id"])
    media, path = await app[keys.MESSAGES].commands.file(who, record, request.match_info["messageId"])
    return Download(media, path, app[keys.ACCESS].requests, who)


def _before(request: web.Request) -> int:
    given = request.query.get("before", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
