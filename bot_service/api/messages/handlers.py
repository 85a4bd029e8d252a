"""The handlers of messages: send, list, read, fetch files, mark read, show typing."""

from __future__ import annotations

from aiohttp import web

from bot_service import keys
from bot_service.access.downloads import download
from bot_service.api.messages import form
from bot_service.api.messages.views import ChatPage, MessagePage, chat_view, message_view
from bot_service.api.server.access import principal
from bot_service.api.server.request import idempotency_key, integer, page_limit, session_of
from bot_service.messages.commands import MessageSearch, StoredMessage
from bot_service.messages.outbox import Accepted
from bot_service.messages.requests import EditMessage, ForwardMessage, MarkRead, PostStatus, SendMessage, ShowTyping
from shared.web import body
from shared.web.body import json_response


async def send(request: web.Request) -> web.Response:
    """202 with the queued message; 200 with the earlier one of the same Idempotency-Key."""
    record, key = session_of(request), idempotency_key(request)
    commands, content = request.app[keys.MESSAGES].commands, None
    if request.content_type == "multipart/form-data":
        wanted, content = await form.read(request, commands.media_limit_bytes)
    else:
        wanted = await body.read(request, SendMessage, limit=request.client_max_size)
    return _answer(await commands.send(record, wanted, content=content, key=key))


async def post_status(request: web.Request) -> web.Response:
    record, key = session_of(request), idempotency_key(request)
    wanted = await body.read(request, PostStatus, limit=request.client_max_size)
    return _answer(await request.app[keys.MESSAGES].commands.post_status(record, wanted, key=key))


async def edit(request: web.Request) -> web.Response:
    record, key, wanted = session_of(request), idempotency_key(request), await body.read(request, EditMessage)
    changes = request.app[keys.MESSAGES].changes
    return _answer(await changes.edit(record, await _target(request), wanted, key=key))


async def revoke(request: web.Request) -> web.Response:
    record, key = session_of(request), idempotency_key(request)
    return _answer(await request.app[keys.MESSAGES].changes.revoke(record, await _target(request), key=key))


async def forward(request: web.Request) -> web.Response:
    record, key, wanted = session_of(request), idempotency_key(request), await body.read(request, ForwardMessage)
    changes = request.app[keys.MESSAGES].changes
    return _answer(await changes.forward(record, await _target(request), wanted, key=key))


async def _target(request: web.Request) -> StoredMessage:
    commands, message_id = request.app[keys.MESSAGES].commands, request.match_info["messageId"]
    return await commands.get(principal(request), session_of(request), message_id)


def _answer(accepted: Accepted) -> web.Response:
    message = accepted.message
    location = f"/api/sessions/{message.session}/messages/{message.message_id}"
    status = 200 if accepted.repeated else 202
    return json_response(message_view(message), status=status, headers={"Location": location})


async def index(request: web.Request) -> web.Response:
    """The newest first; ``next`` is the ``before`` of the page that follows."""
    return await _page(request, request.query.get("chat"))


async def history(request: web.Request) -> web.Response:
    """The messages of one chat."""
    return await _page(request, request.match_info["chatId"])


async def _page(request: web.Request, chat: str | None) -> web.Response:
    who, record, query, limit = principal(request), session_of(request), request.query, page_limit(request)
    before, commands = integer(request, "before", 0, 0, 10**18), request.app[keys.MESSAGES].commands
    narrowed = MessageSearch(chat, query.get("direction"), query.get("state"), before)
    if (text := query.get("search")) is not None:
        rows, following = await commands.search(who, record, narrowed, text, limit=limit)
    else:
        rows = await commands.page(who, record, narrowed, limit=limit)
        following = rows[-1].seq if len(rows) == limit else None
    return json_response(MessagePage([message_view(row) for row in rows], following))


async def chats(request: web.Request) -> web.Response:
    """The chat with the newest message first."""
    record, limit = session_of(request), page_limit(request)
    before = integer(request, "before", 0, 0, 10**18)
    found = await request.app[keys.MESSAGES].commands.chats(principal(request), record, before=before, limit=limit)
    following = found[-1].last.seq if len(found) == limit else None
    return json_response(ChatPage([chat_view(chat) for chat in found], following))


async def read(request: web.Request) -> web.Response:
    record, commands = session_of(request), request.app[keys.MESSAGES].commands
    message = await commands.get(principal(request), record, request.match_info["messageId"])
    return json_response(message_view(message, await commands.waits_for(record, message)))


async def media(request: web.Request) -> web.StreamResponse:
    """The file as a download."""
    who, record = principal(request), session_of(request)
    found, file = await request.app[keys.MESSAGES].commands.file(who, record, request.match_info["messageId"])
    return download(found, file, request.app[keys.ACCESS].requests, who)


async def mark_read(request: web.Request) -> web.Response:
    record = session_of(request)
    await request.app[keys.MESSAGES].commands.mark_read(record, await body.read(request, MarkRead))
    return web.Response(status=204)


async def show_typing(request: web.Request) -> web.Response:
    record = session_of(request)
    await request.app[keys.MESSAGES].commands.show_typing(record, await body.read(request, ShowTyping))
    return web.Response(status=204)
