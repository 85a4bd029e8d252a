"""What requests of a dialect have of their own: where the key is, and the shape of a refusal."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from shared.web import auth, errors
from shared.web.middleware import Handler


def edge(
    prefixes: tuple[str, ...],
    shape: Callable[[errors.Problem], web.Response],
    *,
    token: Callable[[web.Request], str | None] = lambda _: None,
) -> Middleware:
    """The middleware of a dialect; other paths pass as they are.

    ``shape`` answers a refusal. ``token`` finds a key that the request does not have where this
    service expects it.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(prefixes):
            return await handler(request)
        if (given := token(request)) is not None:
            request[auth.TOKEN] = given
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            problem = errors.from_http_exception(error)
        except errors.Problem as error:
            problem = error
        # It still reaches the outermost middleware, which slows the answers to wrong keys.
        problem.shape = shape
        raise problem

    return middleware
