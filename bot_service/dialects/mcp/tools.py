"""The tools that programs of language models may call, over the use cases of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from bot_service import keys
from bot_service.access.principals import Scope
from bot_service.api.messages.views import chat_view, message_view
from bot_service.api.server.access import principal
from bot_service.api.sessions.views import health_view, session_view
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.commands import MessageSearch
from bot_service.messages.requests import SendMessage
from bot_service.sessions.registry import Search
from shared.web import body

SENT_WITHIN_S = 15.0
Limit = Annotated[int, Meta(ge=1, le=200, description="How many at most.")]
Before = Annotated[int, Meta(ge=0, description="The `next` of the page before this one; 0 for the newest.")]
Session = Annotated[str, Meta(min_length=1, max_length=64, description="The id of a session, from list_sessions.")]
Chat = Annotated[
    str,
    Meta(min_length=1, max_length=128, description="A number with country code, such as 33612345678, or a JID."),
]


class ListSessions(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    after: Annotated[str, Meta(description="The `next` of the page before this one.")] | None = None
    limit: Limit = 50


class OfSession(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    session: Session


class ListChats(OfSession, rename="camel", forbid_unknown_fields=True):
    before: Before = 0
    limit: Limit = 50


class ListMessages(OfSession, rename="camel", forbid_unknown_fields=True):
    chat: Annotated[Chat | None, Meta(description="Only this chat.")] = None
    before: Before = 0
    limit: Limit = 50


class ReadMessage(OfSession, rename="camel", forbid_unknown_fields=True):
    message_id: Annotated[str, Meta(min_length=1, max_length=128)]


class SendText(OfSession, rename="camel", forbid_unknown_fields=True):
    to: Chat
    text: Annotated[str, Meta(min_length=1, max_length=65_536)]
    idempotency_key: Annotated[
        str,
        Meta(
            pattern=r"^[!-~]{1,200}(?!\n)$",
            description="A name for this message, such as a UUID. A call with a name that was used sends nothing again.",
        ),
    ]
    reply_to: Annotated[str, Meta(description="The id of the message that this one answers.")] | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """``call`` gets the request with the caller's key, and the arguments."""

    about: str
    scope: Scope
    arguments: type[msgspec.Struct]
    call: Callable[[web.Request, Any], Awaitable[dict[str, Any]]]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        (found,), components = msgspec.json.schema_components([self.arguments], ref_template="#/$defs/{name}")
        return dict(components.pop(found["$ref"].removeprefix("#/$defs/"))) | (
            {"$defs": components} if components else {}
        )


def _session(request: web.Request, name: str) -> SessionRecord:
    return request.app[keys.SESSIONS].queries.find(principal(request), name)


async def _list_sessions(request: web.Request, wanted: ListSessions) -> dict[str, Any]:
    records, following, total = request.app[keys.SESSIONS].queries.page(
        principal(request), Search(), after=wanted.after, limit=wanted.limit
    )
    return {"sessions": [session_view(record) for record in records], "next": following, "total": total}


async def _session_health(request: web.Request, wanted: OfSession) -> dict[str, Any]:
    record = _session(request, wanted.session)
    return {"health": health_view(record, request.app[keys.SESSIONS].queries.health(record))}


async def _list_chats(request: web.Request, wanted: ListChats) -> dict[str, Any]:
    record, commands = _session(request, wanted.session), request.app[keys.MESSAGES].commands
    found = await commands.chats(principal(request), record, before=wanted.before, limit=wanted.limit)
    following = found[-1].last.seq if len(found) == wanted.limit else None
    return {"chats": [chat_view(chat) for chat in found], "next": following}


async def _list_messages(request: web.Request, wanted: ListMessages) -> dict[str, Any]:
    record, commands = _session(request, wanted.session), request.app[keys.MESSAGES].commands
    search = MessageSearch(chat=wanted.chat, before=wanted.before)
    rows = await commands.page(principal(request), record, search, limit=wanted.limit)
    following = rows[-1].seq if len(rows) == wanted.limit else None
    return {"messages": [message_view(row) for row in rows], "next": following}


async def _read_message(request: web.Request, wanted: ReadMessage) -> dict[str, Any]:
    record, commands = _session(request, wanted.session), request.app[keys.MESSAGES].commands
    found = await commands.get(principal(request), record, wanted.message_id)
    return {"message": message_view(found, await commands.waits_for(record, found))}


async def _send_text(request: web.Request, wanted: SendText) -> dict[str, Any]:
    record, commands = _session(request, wanted.session), request.app[keys.MESSAGES].commands
    given = {"to": wanted.to, "text": wanted.text} | ({"replyTo": wanted.reply_to} if wanted.reply_to else {})
    accepted = await commands.send(record, body.convert(given, SendMessage), key=wanted.idempotency_key)
    found = await commands.until_ended(accepted.message, SENT_WITHIN_S)
    return {"message": message_view(found, await commands.waits_for(record, found)), "repeated": accepted.repeated}


TOOLS: dict[str, Tool] = {
    "list_sessions": Tool(
        "The WhatsApp accounts that this key may see, each with its state and why.",
        Scope.READ, ListSessions, _list_sessions,
    ),
    "session_health": Tool(
        "Whether a session is ready to send and receive, part by part.",
        Scope.READ, OfSession, _session_health,
    ),
    "list_chats": Tool(
        "The chats of a session, that with the newest message first, with the number of unread messages.",
        Scope.READ, ListChats, _list_chats,
    ),
    "list_messages": Tool(
        "Messages that a session received and sent, the newest first.",
        Scope.READ, ListMessages, _list_messages,
    ),
    "read_message": Tool(
        "One message with its state: queued, sent, delivered, read or failed.",
        Scope.READ, ReadMessage, _read_message,
    ),
    "send_message": Tool(
        "Send a text to a person or a group. It is stored first, and sent later if the session is not connected.",
        Scope.SEND, SendText, _send_text,
    ),
}  # fmt: skip
