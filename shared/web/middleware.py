"""Wraps every handler: problems become documents, crashes a 500, requests are measured.

A request with an encoded body reaches no handler.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from shared import logs
from shared.clock import Clock
from shared.web import errors
from shared.web.wrong_keys import WRONG_KEYS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ShapeOf = Callable[[web.Request], Callable[[errors.Problem], web.Response] | None]
Measure = Callable[[str, str, int, float], None]

log = logs.get(__name__)


def problems(clock: Clock, measure: Measure | None = None, shape_of: ShapeOf = lambda _: None) -> Middleware:
    """The outermost middleware. ``measure(route pattern, method, status, seconds)``; ``shape_of(request)``
    makes the answer to a problem where it is no document of this service."""

    def answer(request: web.Request, problem: errors.Problem) -> web.Response:
        shape = shape_of(request)
        return problem.response() if shape is None else shape(problem)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = clock.monotonic()
        response: web.StreamResponse
        try:
            _refuse_encoded(request)
            response = await handler(request)
        except errors.Problem as problem:
            if isinstance(problem, errors.WrongKey) and WRONG_KEYS in request.app:
                arrived = clock.monotonic()
                await request.app[WRONG_KEYS].refuse(request)
                started += clock.monotonic() - arrived  # the wait is no slowness of this program
            response = answer(request, problem)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = answer(request, errors.from_http_exception(error))
        except (ConnectionResetError, TimeoutError):
            raise
        except Exception:
            reference = secrets.token_hex(6)
            log.exception("Request failed", event_name="http.crash", route=route_of(request), reference=reference)
            detail = f"an internal error; the log has it under reference {reference}"
            response = answer(request, errors.Problem(500, "internal", detail, reference=reference))
        if measure is not None:
            measure(route_of(request), request.method, response.status, clock.monotonic() - started)
        return response

    return middleware


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``, so that streams have the headers too."""
    for name, value in errors.ANSWER_HEADERS.items():
        if name == hdrs.SERVER:
            response.headers[name] = value  # aiohttp has set its own, with versions
        else:
            response.headers.setdefault(name, value)


def _refuse_encoded(request: web.Request) -> None:
    """Raise a 415: no body is unpacked, and an encoded body would be misread.

    A transfer coding is 415 too, where RFC 9112 recommends 501: a client must not be able to cause
    server errors.
    """
    for header, plain in ((hdrs.CONTENT_ENCODING, "identity"), (hdrs.TRANSFER_ENCODING, "chunked")):
        codings = ",".join(request.headers.getall(header, ())).split(",")
        if {coding.strip(" \t").lower() for coding in codings} - {"", plain}:
            raise errors.unsupported_encoding()


def route_of(request: web.Request) -> str:
    """The route's pattern (``/api/sessions/{id}``), or ``unmatched``: bounded, without ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"
