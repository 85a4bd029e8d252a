"""Takes connections: what is no HTTP, or too long, is answered with a problem document and is no error of ours.

Work for strangers ends with their answer: no body is unpacked, and what comes after an answer is dropped unread.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import StreamReader, web

from shared import logs
from shared.web import errors

BACKLOG = 1024
# Most clients send their whole body before they read, and a reset would lose them the answer: so much of a body is
# still taken, at half a millisecond of processor time for each MB, then the connection is cut off.
DROPPED_BYTES = 8 * 1024 * 1024
DROPPED_S = 2.0

log = logs.get(__name__)


class RequestHandler(web.RequestHandler):
    """One connection. Requests that can be read go the usual way, through the middlewares of the application."""

    __slots__ = ("_dropped", "_unread")

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        # aiohttp would unpack bodies while it parses them, before anything can ask who sent them.
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
        """Parse it, or drop it when it belongs to a request that has its answer."""
        if self._unread is None:
            super().data_received(data)
            return
        self._dropped += len(data)
        if self._dropped > DROPPED_BYTES:
            self._unread.feed_eof()  # aiohttp waits for no more, and closes

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer. When the body was not read to its end, it is the last one of this connection."""
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

    def door() -> RequestHandler:
        return RequestHandler(server, loop=loop)

    return [await loop.create_server(door, sock=sock, backlog=BACKLOG) for sock in sockets]
