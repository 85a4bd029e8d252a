"""Evolution's operations that send. Every send is this service's queued, durable message."""

from __future__ import annotations

import contextlib
import mimetypes
from typing import Any

from aiohttp import web

from bot_service import keys
from bot_service.dialects import sending
from bot_service.dialects.evolution import requests, views
from bot_service.dialects.evolution.context import find, server
from bot_service.domain.addresses import address
from bot_service.domain.refused import invalid
from bot_service.domain.session_record import SessionRecord
from bot_service.engines.port import EngineError
from bot_service.messages.commands import StoredMessage
from bot_service.messages.requests import EditMessage, ShowTyping
from shared.web import body, errors
from shared.web.body import json_response

# Less than the 4 s after which Apprise gives up and would send again.
SENT_WITHIN_S = 3.0
_VOICE = "audio/ogg; codecs=opus"
# The first bytes of files, in base64, and their type.
_SOUNDS = {"T2dnU": _VOICE, "SUQz": "audio/mpeg", "//": "audio/mpeg", "UklGR": "audio/wav"}
_FILES = _SOUNDS | {"iVBOR": "image/png", "/9j/": "image/jpeg"}
_ELSE = {"image": "image/jpeg", "video": "video/mp4", "audio": "audio/mp4"}


async def send_text(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendText)
    return await _send(request, wanted, {"type": "text", "text": wanted.text})


async def send_media(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendMedia, limit=sending.file_body_limit(request))
    given = wanted.mimetype or mimetypes.guess_type(wanted.fileName or "")[0]
    media = _media(wanted.media, "media", given, wanted.fileName)
    return await _send(request, wanted, {"type": wanted.mediatype, "text": wanted.caption or None, "media": media})


async def send_audio(request: web.Request) -> web.Response:
    """As a voice message. The file is sent as it is: phones play Opus in Ogg everywhere."""
    wanted = await body.read(request, requests.SendAudio, limit=sending.file_body_limit(request))
    sound = next((kind for start, kind in _SOUNDS.items() if wanted.audio.startswith(start)), "audio/mp4")
    media = _media(wanted.audio, "audio", sound) | {"voice": True}
    return await _send(request, wanted, {"type": "audio", "media": media}, typing="recording")


async def send_sticker(request: web.Request) -> web.Response:
    """A picture in WebP."""
    wanted = await body.read(request, requests.SendSticker, limit=sending.file_body_limit(request))
    media = _media(wanted.sticker, "sticker", "image/webp")
    return await _send(request, wanted, {"type": "sticker", "media": media})


def _media(given: str, field: str, mime_type: str | None, file_name: str | None = None) -> dict[str, Any]:
    """``given`` is the address of a file, or the file in base64, also as a ``data:`` address."""
    name = {"fileName": file_name} if file_name else {}
    if given.startswith(("http://", "https://")):
        return {"url": given, **name}
    if given.startswith("data:"):
        head, _, given = given.partition(",")
        mime_type = head.removeprefix("data:").removesuffix(";base64")
    if not given:
        raise invalid(field, "must be the address of a file, or the file in base64")
    if not mime_type:
        raise invalid("mimetype", "is needed with a file in base64, for example image/png")
    return {"data": given, "mimeType": mime_type, **name}


async def send_location(request: web.Request) -> web.Response:
    """Name and address are one text."""
    wanted = await body.read(request, requests.SendLocation)
    name = ", ".join(part for part in (wanted.name, wanted.address) if part)
    place = {"latitude": wanted.latitude, "longitude": wanted.longitude, "name": name or None}
    return await _send(request, wanted, {"type": "location", **place})


async def send_contact(request: web.Request) -> web.Response:
    """One message for each card; answered with the last."""
    wanted = await body.read(request, requests.SendContact)
    record, sent = find(request), None
    cards = []
    for number, card in enumerate(wanted.contact):
        phone = card.phoneNumber or (card.wuid or "").partition("@")[0]
        if not card.fullName or not phone:
            raise invalid(f"contact.{number}", "needs fullName and phoneNumber")
        cards.append({"type": "contact", "name": card.fullName, "contactPhone": str(phone)})
    options = await _options(request, record, wanted)
    for number, parts in enumerate(cards):
        sent = await sending.send(request, record, parts | options, SENT_WITHIN_S, number=number)
    assert sent is not None, "at least one card is required"  # noqa: S101  held by the type
    return _answer(request, record, sent)


async def send_poll(request: web.Request) -> web.Response:
    wanted = await body.read(request, requests.SendPoll)
    poll = {"question": wanted.name, "options": wanted.values, "selectable": wanted.selectableCount}
    return await _send(request, wanted, {"type": "poll", "poll": poll})


async def send_status(request: web.Request) -> web.Response:
    """``content`` is the text, or the file as in ``media``. The phone chooses who gets it."""
    record = find(request)
    wanted = await body.read(request, requests.SendStatus, limit=sending.file_body_limit(request))
    sending.refuse_chosen("statusJidList", None if wanted.allContacts else wanted.statusJidList)
    parts: dict[str, Any] = {"type": wanted.type}
    if wanted.type == "text":
        parts |= {"text": wanted.content, "font": sending.font(wanted.font)}
    else:
        given = next((kind for start, kind in _FILES.items() if wanted.content.startswith(start)), _ELSE[wanted.type])
        parts["media"] = _media(wanted.content, "content", given)
    if wanted.type in ("text", "audio"):
        parts["backgroundColor"] = wanted.backgroundColor or None
    else:
        parts["text"] = wanted.caption or None
    return _answer(request, record, await sending.post_status(request, record, parts, SENT_WITHIN_S))


async def send_reaction(request: web.Request) -> web.Response:
    record, wanted = find(request), await body.read(request, requests.SendReaction)
    parts = {"type": "reaction", "to": wanted.key.remoteJid, "text": wanted.reaction, "reactionTo": wanted.key.id}
    return _answer(request, record, await sending.send(request, record, parts, SENT_WITHIN_S))


async def update_message(request: web.Request) -> web.Response:
    record, wanted = find(request), await body.read(request, requests.UpdateMessage)
    target = await sending.stored(request, record, wanted.key.id)
    changes = body.convert({"text": wanted.text}, EditMessage)
    accepted = await request.app[keys.MESSAGES].changes.edit(record, target, changes)
    return _answer(request, record, await sending.ended(request, accepted, SENT_WITHIN_S), status=200)


async def delete_message(request: web.Request) -> web.Response:
    record, wanted = find(request), await body.read(request, requests.DeleteMessage)
    target = await sending.stored(request, record, wanted.id)
    accepted = await request.app[keys.MESSAGES].changes.revoke(record, target)
    return _answer(request, record, await sending.ended(request, accepted, SENT_WITHIN_S))


async def _send(
    request: web.Request, wanted: requests.Options, parts: dict[str, Any], *, typing: str = "composing"
) -> web.Response:
    record = find(request)
    parts |= await _options(request, record, wanted, typing=typing)
    return _answer(request, record, await sending.send(request, record, parts, SENT_WITHIN_S))


async def _options(
    request: web.Request, record: SessionRecord, wanted: requests.Options, *, typing: str = "composing"
) -> dict[str, Any]:
    """The parts of a message that every send may have, after its ``delay``."""
    to = address(str(wanted.number), "number")
    mentions = [str(person) for person in wanted.mentioned]
    if wanted.mentionsEveryOne and to.endswith("@g.us"):
        group = await request.app[keys.MESSAGES].directory.group(record, to)
        mentions = [member.jid for member in group.members]
    if wanted.delay:
        with contextlib.suppress(EngineError):  # without a connection the message waits in the queue
            await show(request, record, to, typing, wanted.delay)
    return {"to": to, "mentions": mentions, "replyTo": wanted.quoted.key.id if wanted.quoted else None}


async def show(request: web.Request, record: SessionRecord, chat: str, presence: str, for_ms: int) -> None:
    """The chat sees ``presence`` for ``for_ms``. Raises :class:`EngineError`."""
    commands = request.app[keys.MESSAGES].commands
    await commands.show_typing(record, body.convert({"chat": chat, "state": presence}, ShowTyping))
    if for_ms:
        await request.app[keys.CLOCK].sleep(for_ms / 1000)
        await commands.show_typing(record, ShowTyping(chat, "paused"))


def _answer(request: web.Request, record: SessionRecord, sent: StoredMessage, status: int = 201) -> web.Response:
    """A failed message is an error here, because Evolution's clients look at nothing else."""
    if sent.state == "failed":
        raise errors.Problem(400, "not_sent", f"the message {sent.message_id} was not sent: {sent.error}")
    return json_response(views.sent(record, sent, server(request)), status=status)
