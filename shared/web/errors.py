"""Turns errors into RFC 9457 problem documents with a stable ``code`` and an HTTP status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

PROBLEM_TYPE = "application/problem+json"


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
        body: dict[str, Any] = {
            "type": f"urn:veilleur:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.fields:
            body["errors"] = [{"field": name, "message": message} for name, message in self.fields.items()]
        body |= self.extra
        return web.Response(
            body=msgspec.json.encode(body), status=self.status, content_type=PROBLEM_TYPE, headers=self.headers
        )


def bad_request(detail: str, **extra: Any) -> Problem:
    return Problem(400, "bad_request", detail, **extra)


def unauthorized(detail: str = "a key is needed: send it as Authorization: Bearer <key>") -> Problem:
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def forbidden(detail: str = "this key may not do that") -> Problem:
    return Problem(403, "forbidden", detail)


def not_found(what: str) -> Problem:
    return Problem(404, "not_found", f"{what} does not exist")


def conflict(code: str, detail: str, **extra: Any) -> Problem:
    return Problem(409, code, detail, **extra)


def too_large(limit_bytes: int) -> Problem:
    return Problem(413, "too_large", f"the body may hold at most {limit_bytes} bytes")


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
