"""WAHA's operations on messages and chats. Every send is this service's queued, durable message."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.server.request import integer
from bot_service.dialects import sending
from bot_service.dialects.waha import names, requests, views
from bot_service.dialects.waha.paths import base_of
from bot_service.dialects.waha.sessions import find, named
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.messages import requests as ours
from bot_service.messages.commands import MessageSearch, StoredMessage
from bot_service.messages.directory import CheckNumbers
from bot_service.messages.outbox import Accepted
from shared.web import body
from shared.web.body import json_response

# The call waits so long for "sent"; the message is sent later in any case.
SENT_WITHIN_S = 15.0
# Each is a question to the store.
_MOST_IDS = 100


async def send_text(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendText)
    parts = {"type": "text", "text": wanted.text, "mentions": wanted.mentions}
    return await _send(request, wanted, parts, wanted.reply_to)


async def send_link(request: web.Request) -> web.Response:
    """A text with a preview. Its picture is left out."""
    wanted = await body.read(request, requests.SendLink)
    return await _send(request, wanted, _linked(wanted.text, wanted.preview), wanted.reply_to)


async def send_bare_link(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendBareLink)
    return await _send(request, wanted, _linked(wanted.url, requests.Preview(wanted.url, wanted.title)), None)


def _linked(text: str, preview: requests.Preview) -> dict[str, Any]:
    shown = {"url": preview.url, "title": preview.title, "description": preview.description}
    return {"type": "text", "text": text, "linkPreview": shown}


async def send_text_by_query(request: web.Request) -> web.Response:
    """The oldest way to send: ``phone``, ``text`` and ``session`` in the query."""
    query = request.query
    given = {
        "session": query.get("session", "default"),
        "chatId": query.get("phone", ""),
        "text": query.get("text", ""),
    }
    wanted = body.convert(given, requests.SendText)
    return await _send(request, wanted, {"type": "text", "text": wanted.text}, None, status=200)


async def send_image(request: web.Request) -> web.Response:
    return await _send_file(request, "image")


async def send_file(request: web.Request) -> web.Response:
    return await _send_file(request, "document")


async def send_voice(request: web.Request) -> web.Response:
    return await _send_file(request, "audio")


async def send_video(request: web.Request) -> web.Response:
    return await _send_file(request, "video")


async def _send_file(request: web.Request, kind: str) -> web.Response:
    wanted = await body.read(request, requests.SendFile, limit=sending.file_body_limit(request))
    voice = {"voice": True} if kind == "audio" else {}
    parts = {"type": kind, "text": wanted.caption, "media": file_parts(wanted.file) | voice}
    return await _send(request, wanted, parts, wanted.reply_to)


def file_parts(file: requests.File) -> dict[str, Any]:
    """A file as the API takes it."""
    media = {"mimeType": file.mimetype, "fileName": file.filename, "url": file.url, "data": file.data}
    return {name: value for name, value in media.items() if value is not None}


async def send_location(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendLocation)
    place = {"latitude": wanted.latitude, "longitude": wanted.longitude, "name": wanted.title or None}
    return await _send(request, wanted, {"type": "location", **place}, wanted.reply_to)


async def send_contacts(request: web.Request) -> web.Response:
    """One message for each card; answered with the last."""
    wanted = await body.read(request, requests.SendContacts)
    answer: web.Response | None = None
    for number, card in enumerate(wanted.contacts):
        phone = card.phoneNumber or card.whatsappId
        if not card.fullName or not phone:
            raise invalid("contacts", "need fullName and phoneNumber")
        parts = {"type": "contact", "name": card.fullName, "contactPhone": phone}
        answer = await _send(request, wanted, parts, wanted.reply_to, number=number)
    assert answer is not None, "at least one contact is required"  # noqa: S101  held by the type
    return answer


async def send_poll(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendPoll)
    selectable = 0 if wanted.poll.multipleAnswers else 1
    poll = {"question": wanted.poll.name, "options": wanted.poll.options, "selectable": selectable}
    return await _send(request, wanted, {"type": "poll", "poll": poll}, wanted.reply_to)


async def react(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.Reaction)
    record = find(request, wanted.session)
    target = await _target(request, record, wanted.messageId)
    parts = {"to": target.chat, "type": "reaction", "text": wanted.reaction, "reactionTo": target.message_id}
    sent = await sending.send(request, record, parts, SENT_WITHIN_S)
    return json_response(views.message(record, sent, base_of(request)))


async def forward(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.Forward)
    record = find(request, wanted.session)
    target = await _target(request, record, wanted.messageId)
    to = ours.ForwardMessage(wanted.chatId)
    return await _answer(request, record, await request.app[keys.MESSAGES].changes.forward(record, target, to))


async def edit(request: web.Request) -> web.Response:
    record, wanted = named(request), await body.read(request, requests.Edit)
    target = await _target(request, record, request.match_info["messageId"])
    changes = body.convert({"text": wanted.text}, ours.EditMessage)
    return await _answer(
        request, record, await request.app[keys.MESSAGES].changes.edit(record, target, changes), status=200
    )


async def revoke(request: web.Request) -> web.Response:
    record = named(request)
    target = await _target(request, record, request.match_info["messageId"])
    return await _answer(request, record, await request.app[keys.MESSAGES].changes.revoke(record, target), status=200)


async def _send(
    request: web.Request,
    wanted: requests.Chat,
    parts: dict[str, Any],
    reply_to: str | None,
    *,
    number: int = 0,
    status: int = 201,
) -> web.Response:
    record = find(request, wanted.session)
    parts |= {"to": wanted.chatId, "replyTo": names.plain_id(reply_to) if reply_to else None}
    sent = await sending.send(request, record, parts, SENT_WITHIN_S, number=number)
    return json_response(views.message(record, sent, base_of(request)), status=status)


async def _answer(request: web.Request, record: SessionRecord, accepted: Accepted, status: int = 201) -> web.Response:
    found = await sending.ended(request, accepted, SENT_WITHIN_S)
    return json_response(views.message(record, found, base_of(request)), status=status)


async def _target(request: web.Request, record: SessionRecord, message_id: str) -> StoredMessage:
    return await sending.stored(request, record, names.plain_id(message_id))


async def seen(request: web.Request) -> web.Response:
    """Without ids: the unread messages of the chat."""
    wanted = await body.read(request, requests.Seen)
    record, commands = find(request, wanted.session), request.app[keys.MESSAGES].commands
    ids = wanted.messageIds or ([wanted.messageId] if wanted.messageId else [])
    if not ids:
        search = MessageSearch(chat=wanted.chatId, direction="in")
        ids = [row.message_id for row in await commands.page(principal(request), record, search, limit=20)]
    if ids:
        given: dict[str, Any] = {"chat": wanted.chatId, "messageIds": [names.plain_id(one) for one in ids]}
        if wanted.participant:
            given["sender"] = wanted.participant
        await commands.mark_read(record, body.convert(given, ours.MarkRead))
    return json_response({}, status=201)


async def start_typing(request: web.Request) -> web.Response:
    return await _typing(request, "composing")


async def stop_typing(request: web.Request) -> web.Response:
    return await _typing(request, "paused")


async def _typing(request: web.Request, state: str) -> web.Response:
    wanted = await body.read(request, requests.Chat)
    shown = body.convert({"chat": wanted.chatId, "state": state}, ours.ShowTyping)
    await request.app[keys.MESSAGES].commands.show_typing(find(request, wanted.session), shown)
    return json_response({"result": True}, status=201)


async def check_exists(request: web.Request) -> web.Response:
    record = find(request, request.query.get("session", "default"))
    wanted = body.convert({"numbers": [request.query.get("phone", "")]}, CheckNumbers)
    (found,) = await request.app[keys.MESSAGES].directory.check_numbers(record, wanted)
    if not found.exists or found.jid is None:
        return json_response({"numberExists": False})
    return json_response({"numberExists": True, "chatId": names.chat_out(found.jid)})


async def chats(request: web.Request) -> web.Response:
    """The newest first. ``offset`` counts chats; with ``ids`` only those."""
    limit, offset = integer(request, "limit", 50, 1, 500), integer(request, "offset", 0, 0, 10**6)
    return json_response(await _chats(request, limit, offset, request.query.getall("ids", [])))


async def overview(request: web.Request) -> web.Response:
    """:func:`chats` for more ids than an address has room for."""
    wanted = await body.read(request, requests.Overview)
    ids = wanted.filter.ids or [] if wanted.filter else []
    found = await _chats(request, wanted.pagination.limit, wanted.pagination.offset, ids)
    return json_response(found, status=201)


async def _chats(request: web.Request, limit: int, offset: int, ids: list[str]) -> list[dict[str, Any]]:
    commands, record, who = request.app[keys.MESSAGES].commands, named(request), principal(request)
    if len(ids) > _MOST_IDS:
        raise invalid("ids", f"must be at most {_MOST_IDS}")
    if ids:
        # Two ids may be one person's: by number and by hidden address.
        named_chats = [await commands.chats(who, record, before=0, limit=1, chat=each) for each in ids]
        distinct = {chat.last.chat: chat for found in named_chats for chat in found}
        found = sorted(distinct.values(), key=lambda chat: chat.last.seq, reverse=True)
    else:
        found = await commands.chats(who, record, before=0, limit=limit + offset)
    return [views.chat(record, chat, base_of(request)) for chat in found[offset : offset + limit]]


async def history(request: web.Request) -> web.Response:
    """The newest first. ``offset`` counts messages."""
    return await _history(request, named(request), request.match_info["chatId"])


async def old_history(request: web.Request) -> web.Response:
    """:func:`history` with everything in the query."""
    return await _history(
        request, find(request, request.query.get("session", "default")), request.query.get("chatId", "")
    )


async def _history(request: web.Request, record: SessionRecord, chat: str) -> web.Response:
    unknown = [name for name in request.query if name.startswith("filter.") and request.query[name]]
    if unknown:
        raise invalid(unknown[0], "is not there: the messages of a chat come whole, the newest first")
    limit, offset = integer(request, "limit", 10, 1, 500), integer(request, "offset", 0, 0, 10**6)
    commands = request.app[keys.MESSAGES].commands
    rows = await commands.page(principal(request), record, MessageSearch(chat=chat), limit=limit + offset)
    return json_response([views.message(record, row, base_of(request)) for row in rows[offset:]])


async def one(request: web.Request) -> web.Response:
    record = named(request)
    return json_response(
        views.message(record, await _target(request, record, request.match_info["messageId"]), base_of(request))
    )


async def read_chat(request: web.Request) -> web.Response:
    """The newest ``messages`` that came are read, 30 when it is not said."""
    record, commands = named(request), request.app[keys.MESSAGES].commands
    limit = integer(request, "messages", 30, 1, 500)
    search = MessageSearch(chat=request.match_info["chatId"], direction="in")
    ids = [row.message_id for row in await commands.page(principal(request), record, search, limit=limit)]
    if ids:
        wanted = {"chat": request.match_info["chatId"], "messageIds": ids}
        await commands.mark_read(record, body.convert(wanted, ours.MarkRead))
    return json_response({"ids": ids}, status=201)
