"""Takes connections: what is no HTTP, or too long, is answered with a problem document and is no error of ours."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from shared import logs
from shared.web import errors

BACKLOG = 1024

log = logs.get(__name__)


class Door(web.RequestHandler):
    """One connection. Requests that can be read go the usual way, through the middlewares of the application."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that never reached a handler, or whose answer could not be written; closes."""
        if status >= 500:
            super().handle_error(request, status, exc, message)  # writes the log, and raises when an answer has begun
            problem = errors.Problem(status, "internal", "an error of ours; the log has it")
        elif request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        else:
            # Everything that listens in public hears such requests all day: they are no lines of a log by default.
            why = (message or "").strip().split("\n")[0].rstrip(":") or "it cannot be read"
            log.debug("A request is not HTTP", event_name="http.unreadable", status=status, why=type(exc).__name__)
            problem = errors.Problem(status, "bad_request", f"the request is not valid: {why}")
        response = problem.response()
        response.force_close()
        return response


async def listen(runner: web.AppRunner, sockets: list[socket.socket]) -> list[asyncio.Server]:
    """Take connections on ``sockets`` for the application of ``runner``, which is set up."""
    server, loop = runner.server, asyncio.get_running_loop()
    if server is None:
        raise RuntimeError("the runner is not set up")

    def door() -> Door:
        return Door(server, loop=loop, access_log=None)  # type: ignore[arg-type]  # None is none, as in AppRunner

    return [await loop.create_server(door, sock=sock, backlog=BACKLOG) for sock in sockets]
