"""Request handler: malformed requests get a problem document instead of a logged traceback.

No body is unpacked, and what a client sends after its answer is dropped unread.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import StreamReader, web

from shared import logs
from shared.web import errors

BACKLOG = 1024
# Most clients send their whole body before they read, and a reset would lose the answer. So this
# much of a body is still read, at half a millisecond of processor time for each MB; then the
# connection is closed.
DROPPED_BYTES = 8 * 1024 * 1024
DROPPED_S = 2.0

log = logs.get(__name__)


class RequestHandler(web.RequestHandler):
    """One connection. Readable requests go through the middlewares of the application."""

    __slots__ = ("_dropped", "_unread")

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        # By default aiohttp unpacks bodies while it parses them, before any check of the caller.
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is none, as in AppRunner
            auto_decompress=False,
            lingering_time=DROPPED_S,
        )
        self._unread: StreamReader | None = None
        self._dropped = 0

    def data_received(self, data: bytes) -> None:
        """Parse ``data``, or drop it when it belongs to an answered request."""
        if self._unread is None:
            super().data_received(data)
            return
        self._dropped += len(data)
        if self._dropped > DROPPED_BYTES:
            self._unread.feed_eof()  # aiohttp stops waiting and closes

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer; close the connection after it when the body was not read to its end."""
        if not request.content.is_eof():
            self._unread = request.content
            resp.force_close()
        written = await super().finish_response(request, resp, start_time)
        if self._unread is not None and self.transport is not None:
            self.transport.write_eof()
        return written

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that reached no handler or that could not be answered; closes."""
        if status >= 500:
            super().handle_error(request, status, exc, message)  # logs; raises after a begun answer
            problem = errors.Problem(status, "internal", "an internal error; the log has it")
        elif request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        else:
            # Public servers get such requests all day, so by default the log has no line for them.
            why = (message or "").strip().split("\n")[0].rstrip(":") or "it cannot be read"
            log.debug("A request is not HTTP", event_name="http.unreadable", status=status, why=type(exc).__name__)
            problem = errors.Problem(status, "bad_request", f"the request is not valid: {why}")
        response = problem.response()
        response.force_close()
        return response


async def listen(runner: web.AppRunner, sockets: list[socket.socket]) -> list[asyncio.Server]:
    """Accept connections on ``sockets`` for the application of ``runner``, which is set up."""
    server, loop = runner.server, asyncio.get_running_loop()
    if server is None:
        raise RuntimeError("the runner is not set up")

    def handler() -> RequestHandler:
        return RequestHandler(server, loop=loop)

    return [await loop.create_server(handler, sock=sock, backlog=BACKLOG) for sock in sockets]
