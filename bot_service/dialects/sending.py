"""What the dialects share of messages: send one and wait for the server, and find one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.api.server.access import principal
from bot_service.api.server.request import idempotency_key
from bot_service.domain.message import STATUS_FONTS
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.messages.commands import StoredMessage
from bot_service.messages.outbox import Accepted
from bot_service.messages.requests import PostStatus, SendMessage
from shared.web import body

# A file in base64, and what is around it.
_FILE_FACTOR, _AROUND_FILE = 4 / 3, 64 * 1024


def file_body_limit(request: web.Request) -> int:
    """How many bytes the body of a request with a file may have."""
    return int(request.app[keys.MESSAGES].commands.media_limit_bytes * _FILE_FACTOR) + _AROUND_FILE


async def send(
    request: web.Request, record: SessionRecord, parts: dict[str, Any], within_s: float, *, number: int = 0
) -> StoredMessage:
    """Queue the message with these ``parts`` of the API, once per ``Idempotency-Key``.

    Returns it once it is sent or has failed, or after ``within_s`` seconds; it is sent later in any
    case. ``number`` counts the messages of one request. Parts that are None are left out.
    """
    key = idempotency_key(request)
    if key is not None and number:
        key = f"{key}/{number}"
    wanted = body.convert({name: value for name, value in parts.items() if value is not None}, SendMessage)
    return await ended(request, await request.app[keys.MESSAGES].commands.send(record, wanted, key=key), within_s)


async def post_status(
    request: web.Request, record: SessionRecord, parts: dict[str, Any], within_s: float
) -> StoredMessage:
    """:func:`send` for a status."""
    wanted = body.convert({name: value for name, value in parts.items() if value is not None}, PostStatus)
    commands, key = request.app[keys.MESSAGES].commands, idempotency_key(request)
    return await ended(request, await commands.post_status(record, wanted, key=key), within_s)


def font(number: float | None) -> int:
    """A font of statuses; the first for one that phones do not know."""
    return int(number) if number in STATUS_FONTS else 0


def refuse_chosen(field: str, receivers: Sequence[str] | None) -> None:
    """A status has no receivers of its own. Refused: ``invalid``."""
    if receivers:
        raise invalid(field, "must be empty: the status privacy set on the phone chooses who gets a status")


async def ended(request: web.Request, accepted: Accepted, within_s: float) -> StoredMessage:
    """The message once it is sent or has failed, or after ``within_s`` seconds."""
    return await request.app[keys.MESSAGES].commands.until_ended(accepted.message, within_s)


async def stored(request: web.Request, record: SessionRecord, message_id: str) -> StoredMessage:
    """A message that the caller may see. Raises :class:`Refused` ``not_found``."""
    return await request.app[keys.MESSAGES].commands.get(principal(request), record, message_id)
