"""Turns errors into RFC 9457 problem documents with a stable ``code`` and an HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

PROBLEM_TYPE = "application/problem+json"

# On every answer of both programs. Pages bring a policy of their own.
ANSWER_HEADERS = {
    "Server": "veilleur",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


class Problem(Exception):
    """A refused request. ``code`` is stable, ``detail`` for people, ``fields`` are wrong."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.fields, self.headers, self.extra = fields or {}, headers or {}, extra

    def response(self) -> web.Response:
        return web.Response(body=self._document(), status=self.status, content_type=PROBLEM_TYPE, headers=self.headers)

    def _document(self) -> bytes:
        body: dict[str, Any] = {
            "type": f"urn:veilleur:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.fields:
            body["errors"] = [{"field": name, "message": message} for name, message in self.fields.items()]
        return msgspec.json.encode(body | self.extra)

    def raw(self) -> bytes:
        """The whole answer for a connection that has no request; it must be closed after it."""
        body = self._document()
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {PROBLEM_TYPE}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in {**ANSWER_HEADERS, **self.headers}.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def bad_request(detail: str, **extra: Any) -> Problem:
    return Problem(400, "bad_request", detail, **extra)


def unauthorized(detail: str = "a key is needed: send it as Authorization: Bearer <key>") -> Problem:
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def forbidden(detail: str = "this key may not do that") -> Problem:
    return Problem(403, "forbidden", detail)


def unknown_host() -> Problem:
    detail = "this program has no such host name: set PUBLIC_URL or OWN_HOSTS to the one that people use"
    return Problem(421, "unknown_host", detail)


class WrongKey(Problem):
    """A key, token or code that is not good; its answer is slowed."""


def wrong_key(detail: str = "this key is not known") -> WrongKey:
    return WrongKey(403, "forbidden", detail)


def not_found(what: str) -> Problem:
    return Problem(404, "not_found", f"{what} does not exist")


def conflict(code: str, detail: str, **extra: Any) -> Problem:
    return Problem(409, code, detail, **extra)


def too_large(limit_bytes: int) -> Problem:
    return Problem(413, "too_large", f"the body may hold at most {limit_bytes} bytes")


def too_slow() -> Problem:
    return Problem(408, "too_slow", "the body arrives too slowly")


def head_too_large(limit_bytes: int) -> Problem:
    return bad_request(f"the head of a request may hold at most {limit_bytes} bytes")


def too_busy() -> Problem:
    detail = "too many requests are served at the moment"
    return Problem(503, "too_busy", detail, headers={"Retry-After": "5"})


def unsupported_encoding() -> Problem:
    detail = (
        "a body is taken only as it is: send it without Content-Encoding, and with no Transfer-Encoding but chunked"
    )
    return Problem(415, "unsupported_encoding", detail, headers={"Accept-Encoding": "identity"})


def invalid(field: str, message: str) -> Problem:
    """422: ``field`` is the dotted name in the body or the name of the parameter."""
    return Problem(422, "invalid", f"{field}: {message}", fields={field: message})


def from_http_exception(error: web.HTTPException) -> Problem:
    """The errors of aiohttp itself (404 of the router, 405, 413) as problems."""
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    detail = {404: "no such path", 405: "this path does not know that method"}.get(error.status, error.reason)
    return Problem(error.status, codes.get(error.status, f"http_{error.status}"), detail, headers=headers)
