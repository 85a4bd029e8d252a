"""Reads a body into a typed value; raises 400, 413, or 422 with the wrong field.

The Content-Type is ignored: ``curl -d`` and ``fetch`` send other types by default.
"""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from shared.web import errors, expect

T = TypeVar("T")

_MOST_FIELDS = 500

_AT_PATH = re.compile(r"^(?P<message>.*) - at (?:`key` in )?`\$(?P<path>[^`]*)`$", re.S)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_UNKNOWN = re.compile(r"contains unknown field `(?P<name>[^`]+)`")


# JSON without a file, and the fields of a form.
BODY_BYTES = 1024 * 1024
FORM_BYTES = 256 * 1024
# The body of a request as it was read, in a program that may have to pass the request on.
BODY: web.RequestKey[bytes] = web.RequestKey("body", bytes)
KEEPS_BODIES: web.AppKey[bool] = web.AppKey("keeps_bodies", bool)
# A login is read before anybody has proved anything.
LOGIN_BYTES = 4 * 1024


async def read(request: web.Request, kind: type[T], *, optional: bool = False, limit: int | None = None) -> T:
    """The body of an identified caller as ``kind``; with ``optional`` an empty one is ``{}``.

    Raises :class:`errors.Problem`, 413 as soon as more than ``limit`` bytes have arrived, by
    default :data:`BODY_BYTES`.
    """
    raw = await read_bytes(request, limit or min(BODY_BYTES, request.client_max_size))
    return decode(raw or (b"{}" if optional else b""), kind)


async def read_form(request: web.Request, *, limit: int = FORM_BYTES) -> MultiDictProxy[str]:
    """The fields of a form; no files. Raises :class:`errors.Problem` 400, 413 and 415."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise errors.Problem(415, "unsupported_media_type", "the body must be a form")
    raw = await read_bytes(request, limit)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise errors.bad_request("the body is no form in UTF-8, or has too many fields") from None
    return MultiDictProxy(MultiDict(pairs))


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The body, at most ``limit`` bytes of it in memory. Raises :class:`errors.Problem` 400, 408, 413."""
    if (request.content_length or 0) > limit:
        raise errors.too_large(limit)
    await expect.ask_for_body(request)
    pieces, size = [], 0
    try:
        while piece := await request.content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise errors.too_large(limit)
    except web.RequestPayloadError:
        raise errors.bad_request("the body is not what its headers say") from None
    raw = b"".join(pieces)
    if KEEPS_BODIES in request.app:
        request[BODY] = raw
    return raw


def decode(raw: bytes, kind: type[T]) -> T:
    """``raw`` JSON as ``kind``. Raises :class:`errors.Problem` 400 or 422."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise invalid_from(error, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.bad_request(f"the body is not JSON: {error}") from None
    except RecursionError:
        raise errors.bad_request("the body is nested too deeply") from None


def convert(values: object, kind: type[T], *, strict: bool = True) -> T:
    """The values of a form as ``kind``; without ``strict`` numbers and booleans are read from text.

    Raises :class:`errors.Problem` 422.
    """
    try:
        return msgspec.convert(values, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise invalid_from(error, kind) from None


def invalid_from(error: msgspec.ValidationError, kind: object) -> errors.Problem:
    """The error of msgspec about a ``kind`` as a 422 that names the field and what is accepted."""
    text = str(error)
    match = _AT_PATH.match(text)
    message, path = (match["message"], match["path"].lstrip(".")) if match else (text, "")
    for pattern in (_MISSING, _UNKNOWN):
        found = pattern.search(message)
        if found:
            path = f"{path}.{found['name']}".lstrip(".")
    from shared.web.field_errors import explained  # errors are rare, and what explains them takes time to import

    return errors.invalid(path or "body", explained(message, path, kind))


def json_response(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A response with ``value``, a msgspec struct or plain JSON value."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )
