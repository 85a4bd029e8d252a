"""Reads bearer tokens from requests and compares them in constant time."""

from __future__ import annotations

import hmac
from typing import Protocol, runtime_checkable

from aiohttp import web

from shared.settings import Secret
from shared.web import errors

# A token that a middleware found where a request of another API's client has it.
TOKEN: web.RequestKey[str] = web.RequestKey("token", str)


def bearer(request: web.Request) -> str | None:
    """The token of ``Authorization: Bearer …`` or ``X-Api-Key``, or of :data:`TOKEN`, or None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("X-Api-Key") or request.get(TOKEN) or None


def same(given: str, expected: Secret) -> bool:
    """Whether both are equal; the time of the comparison does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.reveal().encode())


def require(request: web.Request, expected: Secret) -> None:
    """401 without a token, 403 with another one."""
    given = bearer(request)
    if given is None:
        raise errors.unauthorized()
    if not same(given, expected):
        raise errors.wrong_key("this token is not the right one")
    identified(request)


@runtime_checkable
class IdentifiesCallers(Protocol):
    """A connection that can be closed for a newer one until its caller is identified."""

    def caller_is_identified(self) -> None: ...


def identified(request: web.Request) -> None:
    """The caller of ``request`` has shown a good key, token or login."""
    if isinstance(request.protocol, IdentifiesCallers):
        request.protocol.caller_is_identified()
