"""Evolution's operations on chats: history, presence, numbers, pictures, files."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.dialects import paging, sending
from bot_service.dialects.evolution import requests, views
from bot_service.dialects.evolution.context import find, server
from bot_service.dialects.evolution.messages import show
from bot_service.domain.addresses import address
from bot_service.domain.refused import invalid
from bot_service.messages import rendering
from bot_service.messages.commands import MessageSearch, StoredChat, StoredMessage
from bot_service.messages.directory import CheckNumbers
from bot_service.messages.people import ChangePresence
from bot_service.messages.requests import MarkRead
from shared.web import body
from shared.web.body import json_response

_OF_ACCOUNT = ("available", "unavailable")
_PRESENCES = ("composing", "recording", "paused", *_OF_ACCOUNT)


async def check_numbers(request: web.Request) -> web.Response:
    """In the order asked for."""
    record, wanted = find(request), await body.read(request, requests.CheckNumbers)
    numbers = body.convert({"numbers": [str(number).partition("@")[0] for number in wanted.numbers]}, CheckNumbers)
    found = await request.app[keys.MESSAGES].directory.check_numbers(record, numbers)
    return json_response(
        [
            {"exists": each.exists, "jid": each.jid or address(each.number, "numbers"), "number": each.number}
            for each in found
        ]
    )


async def mark_read(request: web.Request) -> web.Response:
    """Own messages among them need no receipt."""
    record, wanted = find(request), await body.read(request, requests.ReadMessages)
    by_author: dict[tuple[str, str | None], list[str]] = {}
    for key in wanted.readMessages:
        chat = address(key.remoteJid, "readMessages.remoteJid")
        if key.fromMe:
            continue
        author = None
        if chat.endswith("@g.us"):
            author, _ = rendering.author_of(await sending.stored(request, record, key.id))
        by_author.setdefault((chat, author), []).append(key.id)
    for (chat, author), ids in by_author.items():
        given: dict[str, Any] = {"chat": chat, "messageIds": ids} | ({"sender": author} if author else {})
        await request.app[keys.MESSAGES].commands.mark_read(record, body.convert(given, MarkRead))
    return json_response({"message": "Read messages", "read": "success"}, status=201)


async def send_presence(request: web.Request) -> web.Response:
    """For ``delay`` milliseconds; the answer comes after them."""
    record, wanted = find(request), await body.read(request, requests.Presence)
    options = wanted.options or requests.PresenceOptions(wanted.presence or "", wanted.delay)
    if options.presence not in _PRESENCES:
        raise invalid("presence", f"must be one of {', '.join(_PRESENCES)}")
    chat = address(str(wanted.number), "number")
    if options.presence in _OF_ACCOUNT:
        shown = body.convert({"state": options.presence}, ChangePresence)
        await request.app[keys.MESSAGES].people.set_presence(record, shown)
    else:
        await show(request, record, chat, options.presence, options.delay)
    return json_response({"presence": options.presence}, status=201)


async def picture(request: web.Request) -> web.Response:
    """Null without a picture or without the right to see it."""
    record, wanted = find(request), await body.read(request, requests.ChatNumber)
    chat = address(str(wanted.number), "number")
    found = await request.app[keys.MESSAGES].directory.picture(record, chat, preview=False)
    return json_response({"wuid": chat, "profilePictureUrl": found.url if found else None})


async def find_messages(request: web.Request) -> web.Response:
    """The newest first. ``total`` and ``pages`` count what is known to be there: one more than shown."""
    record, wanted = find(request), await body.read(request, requests.FindMessages, optional=True)
    key = (wanted.where.key if wanted.where else None) or requests.MessageKeyFilter()
    commands, who = request.app[keys.MESSAGES].commands, principal(request)
    if key.id:
        rows = [await sending.stored(request, record, key.id)]
    else:

        async def fetch(before: int, limit: int) -> list[StoredMessage]:
            search = MessageSearch(chat=key.remoteJid or None, before=before)
            return await commands.page(who, record, search, limit=limit)

        rows = await paging.rows_from(fetch, lambda row: row.seq, skip=wanted.skip, limit=wanted.size + 1)
    shown, more = rows[: wanted.size], len(rows) > wanted.size
    found = {
        "total": wanted.skip + len(rows),
        "pages": wanted.page + more,
        "currentPage": wanted.page,
        "records": [views.message(record, row, server(request)) for row in shown],
    }
    return json_response({"messages": found})


async def find_chats(request: web.Request) -> web.Response:
    """The chat with the newest message first."""
    record, wanted = find(request), await body.read(request, requests.FindChats, optional=True)
    commands, who = request.app[keys.MESSAGES].commands, principal(request)
    chat = wanted.where.remoteJid if wanted.where else None

    async def fetch(before: int, limit: int) -> list[StoredChat]:
        return await commands.chats(who, record, before=before, limit=limit, chat=chat or None)

    found = await paging.rows_from(fetch, lambda each: each.last.seq, skip=wanted.skip, limit=wanted.size)
    return json_response([views.chat(record, each, server(request)) for each in found])


async def media(request: web.Request) -> web.Response:
    """The file of a message in base64, as it is: nothing is converted."""
    record, wanted = find(request), await body.read(request, requests.MediaMessage)
    message_id = wanted.message.key.id
    found, file = await request.app[keys.MESSAGES].commands.file(principal(request), record, message_id)
    content = await file.content()
    row = await sending.stored(request, record, message_id)
    return json_response(
        {
            "mediaType": f"{row.type}Message",
            "fileName": found.file_name or message_id,
            "size": {"fileLength": len(content)},
            "mimetype": found.mime_type,
            "caption": rendering.message_of(row).text,
            "base64": await asyncio.to_thread(lambda: base64.b64encode(content).decode()),
        },
        status=201,
    )
