"""Reads a body into a typed value; raises 400, 413, or 422 with the wrong field.

The Content-Type is ignored: ``curl -d`` and ``fetch`` send other types by default.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from aiohttp import web

from shared.web import errors

T = TypeVar("T")

_AT_PATH = re.compile(r"^(?P<message>.*) - at `\$(?P<path>[^`]*)`$", re.S)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_UNKNOWN = re.compile(r"contains unknown field `(?P<name>[^`]+)`")


async def read(request: web.Request, kind: type[T], *, optional: bool = False) -> T:
    """The body as ``kind``; with ``optional`` an empty one is ``{}``. Raises :class:`Problem`."""
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise errors.too_large(request.client_max_size) from None
    return decode(raw or (b"{}" if optional else b""), kind)


def decode(raw: bytes, kind: type[T]) -> T:
    """``raw`` JSON as ``kind``. Raises :class:`errors.Problem` 400 or 422."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise invalid_from(error) from None
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
        raise invalid_from(error) from None


def invalid_from(error: msgspec.ValidationError) -> errors.Problem:
    """The error of msgspec as a 422 that names the field."""
    text = str(error)
    match = _AT_PATH.match(text)
    message, path = (match["message"], match["path"].lstrip(".")) if match else (text, "")
    for pattern in (_MISSING, _UNKNOWN):
        found = pattern.search(message)
        if found:
            path = f"{path}.{found['name']}".lstrip(".")
    return errors.invalid(path or "body", message)


def json_response(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A response with ``value``, a msgspec struct or plain JSON value."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )
