"""Reads a message from a multipart form, its file included."""

from __future__ import annotations

from aiohttp import BodyPartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from bot_service.messages.commands import SendMessage
from shared.web import body, errors


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
