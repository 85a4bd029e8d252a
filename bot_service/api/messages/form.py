"""Reads a message from a multipart form, its file included."""

from __future__ import annotations

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from bot_service.domain.file_labels import LONGEST_NAME, UNKNOWN_TYPE
from bot_service.messages.requests import SendMessage
from shared.web import body, errors, expect


async def read(request: web.Request, limit: int) -> tuple[SendMessage, bytes | None]:
    """The message and the bytes of its file, at most ``limit``. Raises :class:`errors.Problem`."""
    if "boundary=" not in request.headers.get(hdrs.CONTENT_TYPE, ""):
        raise errors.bad_request("a multipart form needs a boundary")
    try:
        form, content = await _form(request, limit)
    except (ValueError, RuntimeError, HttpProcessingError) as error:
        raise errors.bad_request(f"the multipart form is broken: {_first_line(error)}") from None
    # Every field of a form is text.
    return body.convert(form, SendMessage, strict=False), content


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


async def _form(request: web.Request, limit: int) -> tuple[dict[str, object], bytes | None]:
    """The fields of a form and the bytes of its file. Raises ``ValueError`` and aiohttp's errors."""
    form: dict[str, object] = {}
    content: bytes | None = None
    file: dict[str, object] = {}
    await expect.ask_for_body(request)
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise errors.bad_request("a part of the form has no name")
        name = _utf8(part.name, "the name of a part")
        if name == "file":
            file_name = _utf8(part.filename or "", "the name of the file")
            mime_type = _utf8(part.headers.get(hdrs.CONTENT_TYPE, UNKNOWN_TYPE), "the type of the file")
            content = await _file_bytes(part, limit)
            if len(content) > limit:
                raise errors.too_large(limit)
            file = {"mimeType": mime_type, "data": ""}
            if file_name:
                file["fileName"] = file_name[:LONGEST_NAME]
        else:
            form[name] = (await part.read(decode=True)).decode("utf-8")
    extra = {name: form.pop(name) for name in ("seconds", "voice") if name in form}
    if isinstance(mentions := form.get("mentions"), str):
        form["mentions"] = [one.strip() for one in mentions.split(",") if one.strip()]
    if content is not None:
        form["media"] = file | extra
    return form, content


def _utf8(text: str, what: str) -> str:
    """The parser keeps bytes that are not UTF-8 as lone surrogates, which nothing can store."""
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise errors.bad_request(f"{what} is not UTF-8")
    return text


async def _file_bytes(part: BodyPartReader, limit: int) -> bytes:
    pieces, size = [], 0
    while size <= limit and not part.at_eof():
        piece = await part.read_chunk(64 * 1024)
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)
