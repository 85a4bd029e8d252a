"""Request handler: malformed requests get a problem document instead of a logged traceback.

No body is unpacked, what a client sends after its answer is dropped unread, and a body that
arrives too slowly is refused.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from shared import logs
from shared.web import errors, expect
from shared.web.acceptor import Acceptor, raise_descriptors
from shared.web.connections import Connection, Connections, Limits, Phase, is_reserved
from shared.web.head_reader import BUFFER, READ_BYTES, HeadReader
from shared.web.turns import Turns

# Most clients send their whole body before they read, and a reset would lose the answer. So this
# much of a body is still read, at half a millisecond of processor time for each MB; then the
# connection is closed.
DROPPED_BYTES = 8 * 1024 * 1024
DROPPED_S = 2.0
PIECE_BYTES = 16 * 1024
_DROPPED = memoryview(bytearray(256 * 1024))

log = logs.get(__name__)


class RequestHandler(web.RequestHandler, asyncio.BufferedProtocol):
    """One connection. Readable requests go through the middlewares of the application."""

    __slots__ = (
        "_began",
        "_connection",
        "_connections",
        "_dropped",
        "_pipelined",
        "_received",
        "_request",
        "_served",
        "_unread",
    )

    def __init__(
        self, manager: web.Server, connection: Connection, connections: Connections, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        # By default aiohttp unpacks bodies while it parses them, before any check of the caller.
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is none, as in AppRunner
            auto_decompress=False,
            lingering_time=DROPPED_S,
            read_bufsize=READ_BYTES,
        )
        self._connection, self._connections = connection, connections
        connection.is_slow = self._is_slow
        self._request: web.BaseRequest | None = None
        self._served, self._began, self._received = 0, 0.0, 0
        self._unread: StreamReader | None = None
        self._dropped = 0
        self._pipelined = False

    def get_buffer(self, sizehint: int) -> memoryview:
        return BUFFER if self._unread is None else _DROPPED

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what arrived, or drop it when it belongs to an answered request."""
        if self._unread is None:
            self._received += nbytes
            if self._connection.phase is Phase.IDLE:
                self._connections.enter(self._connection, Phase.HEAD)
            self.data_received(bytes(BUFFER[:nbytes]))
            return
        self._dropped += nbytes
        if self._dropped > DROPPED_BYTES or self._connections.is_crowded:
            self._unread.feed_eof()  # aiohttp stops waiting and closes

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.forget(self._connection)
        self._connection.is_slow = None
        super().connection_lost(exc)

    async def begin(self, request: web.BaseRequest, turns: Turns) -> bool:
        """Before each request: later ones of a connection wait for a turn as the first one did.

        False when there is no room for this request.
        """
        self._request, self._began, self._received = request, self._loop.time(), 0
        self._connections.enter(self._connection, Phase.UNKNOWN)
        self._served += 1
        if self._served == 1:
            return True
        reserved = is_reserved(request.path)
        await turns.wait(first=reserved, pipelined=self._pipelined)
        return reserved or self._connections.has_room

    def caller_is_identified(self) -> None:
        """No newer connection replaces this one before its request is answered."""
        self._connections.enter(self._connection, Phase.BUSY)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer; close the connection after it when the body was not read to its end."""
        self._request = None
        if not request.content.is_eof():
            self._unread = request.content
            resp.force_close()
        elif self._connections.is_crowded and not is_reserved(request.path):
            resp.force_close()
        _write_in_pieces(resp)
        written = await super().finish_response(request, resp, start_time)
        if self._unread is not None and self.transport is not None:
            self.transport.write_eof()
        self._pipelined = bool(self._messages)
        self._connections.enter(self._connection, Phase.IDLE)
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
        response.headers.update(errors.ANSWER_HEADERS)
        response.force_close()
        return response

    def _is_slow(self, now: float) -> bool:
        """Refuse a body below the least rate; True when the connection must be closed instead."""
        request, limits = self._request, self._connections.limits
        if request is None or request.content.is_eof() or self.transport is None or not self.transport.is_reading():
            return False
        over_s = now - self._began - limits.body_grace_s
        if over_s <= 0 or self._received >= over_s * limits.body_bytes_per_s:
            return False
        if over_s > limits.body_grace_s:
            return True  # the handler does not read, so it did not notice
        if request.content.exception() is None:
            request.content.set_exception(errors.too_slow())
        return False


class _Pieces(Payload):
    """A body in memory, written piece by piece. aiohttp's own payload of this kind copies it."""

    _value: bytes

    @property
    def size(self) -> int:
        return len(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        whole = memoryview(self._value)
        for start in range(0, len(whole), PIECE_BYTES):
            await writer.write(whole[start : start + PIECE_BYTES])
            await writer.drain()


def _write_in_pieces(response: web.StreamResponse) -> None:
    """Write a large body as its client takes it: the transport copies what it cannot send at once."""
    if isinstance(response, web.Response) and not response.prepared:
        body = response.body
        if isinstance(body, bytes) and len(body) > PIECE_BYTES:
            response.body = _Pieces(body)


async def listen(runner: web.AppRunner, sockets: list[socket.socket], limits: Limits | None = None) -> list[Acceptor]:
    """Accept connections on ``sockets`` for the application of ``runner``, which is set up."""
    server, loop, turns = runner.server, asyncio.get_running_loop(), Turns()
    if server is None:
        raise RuntimeError("the runner is not set up")
    refusals = Refusals(loop)
    connections = Connections((limits or Limits()).within(raise_descriptors()), refused=refusals.count)
    server.request_handler = _in_turn(server.request_handler, turns)
    server.request_factory = expect.deferred(server.request_factory)

    def take_over(connection: Connection, transport: asyncio.Transport, head: bytes) -> None:
        handler = RequestHandler(server, connection, connections, loop=loop)
        transport.set_write_buffer_limits(high=PIECE_BYTES)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(head)

    def make(connection: Connection) -> HeadReader:
        return HeadReader(connection, connections, turns, take_over)

    return [Acceptor(sock, connections, make, refused=refusals.count) for sock in sockets]


def _in_turn(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], turns: Turns
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        if isinstance(protocol, RequestHandler) and not await protocol.begin(request, turns):
            response = errors.too_busy().response()
            response.headers.update(errors.ANSWER_HEADERS)
            response.force_close()
            return response
        return await handle(request)

    return handler


class Refusals:
    """Counts refused connections by cause; the log has one line per cause and minute."""

    EVERY_S = 60.0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._counts: dict[str, int] = {}

    def count(self, cause: str) -> None:
        if cause not in self._counts:
            self._counts[cause] = 0
            log.warning(f"Connections are refused: {cause}", event_name="server.refused", cause=cause)
            self._loop.call_later(self.EVERY_S, self._sum_up, cause)
        else:
            self._counts[cause] += 1

    def _sum_up(self, cause: str) -> None:
        more = self._counts.pop(cause)
        if more:
            text = f"{more} more connections were refused: {cause}"
            log.warning(text, event_name="server.refused", cause=cause, count=more)
