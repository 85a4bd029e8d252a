"""``/api/sessions/{id}/messages``: send once per Idempotency-Key, list, read, fetch files; mark read, show typing."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from bot_service import keys
from bot_service.api.messages.answers import MessagePage, message_view
from bot_service.api.messages.schemas import MarkRead, SendMedia, SendMessage, ShowTyping
from bot_service.api.sessions.lookup import integer, problems, session_of
from bot_service.api.sessions.schemas import moment
from bot_service.api.sessions.waiting import waits_for
from bot_service.domain.message import Media, OutgoingMessage
from bot_service.domain.session_record import SessionRecord
from bot_service.events.ids import new_message_id
from bot_service.messages import rendering
from bot_service.messages.media import MediaRefused
from bot_service.messages.outbox import KeyReused, QueueFull, SendFrozen, fingerprint
from bot_service.messages.rate_limits import Freeze
from bot_service.messages.validation import InvalidMessage, address, missing
from bot_service.store import messages
from bot_service.store.batch_writer import STORE_ERRORS
from bot_service.store.messages import StoredMessage
from shared.web import body, errors
from shared.web.body import json_response

PAGE, LONGEST_PAGE = 50, 500
LONGEST_KEY = 200
ENGINE_TIMEOUT_S = 30.0

_FROZEN = {
    Freeze.BANNED: "WhatsApp has banned this account",
    Freeze.TEMP_BANNED: "WhatsApp has banned this account for a time",
    Freeze.TIMELOCKED: "WhatsApp lets this account write only to chats that wrote to it, for a time",
    Freeze.LOGGED_OUT: "the phone is not linked any more",
    Freeze.NOT_PAIRED: "no phone is linked yet",
    Freeze.OUTDATED: "WhatsApp refuses this version of the client: Veilleur looks by itself for one that is accepted",
    Freeze.FENCED: "another client has taken this account over",
    Freeze.FAILED: "the session has failed and waits for a person",
    Freeze.CLOSED: "the session was closed because it was not used or had its age",
    Freeze.NOT_RUNNING: "the session does not run",
}


async def send(request: web.Request) -> web.Response:
    """202 with the message as it is queued; 200 with the earlier one when the Idempotency-Key came before."""
    record, key = session_of(request), _idempotency_key(request)
    wish, content = await _wish(request)
    message = _composed(wish)
    outbox, media = request.app[keys.MESSAGES].outbox, request.app[keys.MESSAGES].media
    print_ = fingerprint(message, content or (wish.media.data.encode() if wish.media else b"")) if key else None
    stored_file: Media | None = None
    try:
        if key is not None and print_ is not None:
            earlier = await outbox.earlier(record.id, key, print_)
            if earlier is not None:
                return json_response(message_view(earlier))
        if message.media is not None:
            stored_file = await _stored(request, record.id, message, wish, content)
            message = msgspec.structs.replace(message, media=stored_file)
        message = await _with_sender_of_reply(request, record.id, message)
        accepted = await outbox.accept(record.id, message, key=key, print_=print_)
    except MediaRefused as refused:
        raise _media_problem(refused, media.limit_bytes) from None
    except (SendFrozen, KeyReused, QueueFull) as refused:
        if stored_file is not None:
            await media.delete(stored_file)
        raise _refusal(refused, record) from None
    if accepted.repeated and stored_file is not None:
        await media.delete(stored_file)
    request.app[keys.SESSIONS].supervisor.life.touch(record.id)
    location = f"/api/sessions/{record.id}/messages/{accepted.message.message_id}"
    return json_response(
        message_view(accepted.message), status=200 if accepted.repeated else 202, headers={"Location": location}
    )


async def index(request: web.Request) -> web.Response:
    """Newest first. ``?chat=&direction=in|out&state=&limit=&before=``; ``next`` is the ``before`` of the next page."""
    record, query = session_of(request), request.query
    limit = integer(request, "limit", PAGE, 1, LONGEST_PAGE)
    before = integer(request, "before", 0, 0, 10**18) or None
    direction = query.get("direction")
    if direction not in (None, "in", "out"):
        raise errors.invalid("direction", "must be in or out")
    try:
        chat = address(query["chat"]) if "chat" in query else None
    except InvalidMessage as error:
        raise errors.invalid("chat", error.why) from None
    async with request.app[keys.DATABASE].read() as connection:
        rows = await messages.page(
            connection, record.id, limit=limit, before=before, chat=chat, direction=direction, state=query.get("state")
        )
    following = rows[-1].seq if len(rows) == limit else None
    return json_response(MessagePage([message_view(row) for row in rows], following))


async def read(request: web.Request) -> web.Response:
    """One that is queued says why it waits: a freeze with its end, the connection, the last error, or its turn."""
    row = await _message(request)
    return json_response(message_view(row, await waits_for(request, row) if row.state == "queued" else None))


async def media(request: web.Request) -> web.StreamResponse:
    """The file of a message, as a download: nothing of it is ever shown as a page of ours."""
    found = rendering.media_of(await _message(request))
    path = request.app[keys.MESSAGES].media.readable(found) if found is not None else None
    if found is None or path is None:
        raise errors.not_found("a file of this message")
    headers = {
        hdrs.CONTENT_TYPE: found.mime_type,
        hdrs.CONTENT_DISPOSITION: "attachment",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return web.FileResponse(path, headers=headers)


async def mark_read(request: web.Request) -> web.Response:
    record = session_of(request)
    wish = await body.read(request, MarkRead)
    chat = _address(wish.chat, "chat")
    sender = _address(wish.sender, "sender") if wish.sender is not None else chat
    with problems(request):
        async with asyncio.timeout(ENGINE_TIMEOUT_S):
            await request.app[keys.SESSIONS].pool.mark_read(record.id, chat, sender, wish.message_ids)
    request.app[keys.SESSIONS].supervisor.life.touch(record.id)
    return web.Response(status=204)


async def typing(request: web.Request) -> web.Response:
    record = session_of(request)
    wish = await body.read(request, ShowTyping)
    with problems(request):
        async with asyncio.timeout(ENGINE_TIMEOUT_S):
            await request.app[keys.SESSIONS].pool.typing(record.id, _address(wish.chat, "chat"), wish.state)
    request.app[keys.SESSIONS].supervisor.life.touch(record.id)
    return web.Response(status=204)


# --- parts ---


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise errors.invalid("Idempotency-Key", f"must have 1 to {LONGEST_KEY} printable ASCII characters")
    return key


async def _wish(request: web.Request) -> tuple[SendMessage, bytes | None]:
    """The body, and the bytes of the file when it came as a multipart form."""
    if request.content_type != "multipart/form-data":
        return await body.read(request, SendMessage), None
    if "boundary=" not in request.headers.get(hdrs.CONTENT_TYPE, ""):
        raise errors.bad_request("a multipart form needs a boundary")
    limit = request.app[keys.MESSAGES].media.limit_bytes
    try:
        form, content = await _form(request, limit)
    except (ValueError, RuntimeError, HttpProcessingError) as error:
        raise errors.bad_request(f"the multipart form is broken: {_first_line(error)}") from None
    # Every field of a form is text.
    return body.convert(form, SendMessage, strict=False), content


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


async def _form(request: web.Request, limit: int) -> tuple[dict[str, object], bytes | None]:
    """The fields of a multipart form, and the bytes of its file. Raises ``ValueError`` and aiohttp's errors."""
    form: dict[str, object] = {}
    content: bytes | None = None
    file: dict[str, object] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise errors.bad_request("a part of the form has no name")
        if part.name == "file":
            content = await _file_bytes(part, limit)
            if len(content) > limit:
                raise errors.too_large(limit)
            file = {"mimeType": part.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream"), "data": ""}
            if part.filename:
                file["fileName"] = part.filename[:200]
        else:
            raw = await part.read(decode=True)
            form[part.name] = raw.decode("utf-8", "replace")
    extra = {name: form.pop(name) for name in ("seconds", "voice") if name in form}
    if content is not None:
        form["media"] = file | extra
    return form, content


async def _file_bytes(part: BodyPartReader, limit: int) -> bytes:
    pieces, size = [], 0
    while size <= limit and not part.at_eof():
        piece = await part.read_chunk(64 * 1024)
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _composed(wish: SendMessage) -> OutgoingMessage:
    lacking = missing(wish.type, msgspec.to_builtins(wish))
    if lacking is not None:
        raise errors.invalid(lacking, f"is needed for a message of type {wish.type}")
    return OutgoingMessage(
        id=new_message_id(),
        to=_address(wish.to, "to"),
        type=wish.type,
        text=wish.text,
        media=_described(wish.media) if wish.media is not None else None,
        latitude=wish.latitude,
        longitude=wish.longitude,
        name=wish.name,
        contact_phone=wish.contact_phone,
        reaction_to=wish.reaction_to,
        reply_to=wish.reply_to,
    )


def _described(media: SendMedia) -> Media:
    return Media(media.mime_type, media.file_name, seconds=media.seconds, voice=media.voice)


async def _stored(
    request: web.Request, session: str, message: OutgoingMessage, wish: SendMessage, content: bytes | None
) -> Media:
    store = request.app[keys.MESSAGES].media
    described = message.media
    if described is None or wish.media is None:
        raise errors.invalid("media", "is needed")
    if content is not None:
        return await store.from_bytes(session, message.id, described, content)
    whole = msgspec.structs.replace(described, data_base64=wish.media.data)
    return await store.from_base64(session, message.id, whole)


async def _with_sender_of_reply(request: web.Request, session: str, message: OutgoingMessage) -> OutgoingMessage:
    """A reply quotes its sender, whom the store knows."""
    if message.reply_to is None:
        return message
    async with request.app[keys.DATABASE].read() as connection:
        quoted = await messages.get(connection, session, message.reply_to)
    sender = rendering.sender_of(quoted) if quoted is not None else None
    return msgspec.structs.replace(message, reply_to_sender=sender)


def _address(text: str, field: str) -> str:
    try:
        return address(text)
    except InvalidMessage as error:
        raise errors.invalid(field, error.why) from None


def _refusal(refused: SendFrozen | KeyReused | QueueFull, record: SessionRecord) -> errors.Problem:
    if isinstance(refused, SendFrozen):
        reason = refused.frozen.reason
        until = moment(refused.frozen.until_ms)
        state = record.state.value
        return errors.conflict("sending_frozen", _FROZEN[reason], reason=reason.value, until=until, state=state)
    if isinstance(refused, KeyReused):
        return errors.conflict("idempotency_key_reused", str(refused))
    return errors.Problem(429, "queue_full", str(refused), headers={"Retry-After": "30"})


def _media_problem(refused: MediaRefused, limit: int) -> errors.Problem:
    if refused.code == "too_large":
        return errors.too_large(limit)
    if refused.code == "invalid":
        return errors.invalid("media.data", refused.detail)
    return errors.Problem(507, "no_space", refused.detail)


async def _message(request: web.Request) -> StoredMessage:
    record = session_of(request)
    try:
        async with request.app[keys.DATABASE].read() as connection:
            found = await messages.get(connection, record.id, request.match_info["messageId"])
    except STORE_ERRORS as error:
        raise errors.Problem(503, "store_unavailable", "the store cannot be read") from error
    if found is None:
        raise errors.not_found("this message")
    return found
