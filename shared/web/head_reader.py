"""Reads the head of a connection's first request; the request handler takes over with a whole head.

Until then a connection costs a few hundred bytes: no parser, no task, no buffer of its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

from shared.web import errors
from shared.web.connections import Connection, Connections, Phase, is_reserved
from shared.web.turns import Turns

# Every connection reads into this one buffer: the loop calls `get_buffer`, fills it and calls
# `buffer_updated` without anything in between.
READ_BYTES = 16 * 1024
BUFFER = memoryview(bytearray(READ_BYTES))
# As much is read and dropped after a refusal, so that the client can read why.
_DROPPED_BYTES, _DROPPED_S = 256 * 1024, 1.0

_BLANK_LINE = b"\r\n\r\n"
_REQUEST_LINE = re.compile(rb"(?:\r\n)*[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40} (\S{1,8190}) HTTP/1\.[01]\r\n")

# Takes a connection over with what was read.
TakeOver = Callable[[Connection, asyncio.Transport, bytes], None]


class HeadReader(asyncio.BufferedProtocol):
    """A connection before its first whole head."""

    __slots__ = ("_connection", "_connections", "_dropped", "_head", "_take_over", "_transport", "_turns")

    def __init__(self, connection: Connection, connections: Connections, turns: Turns, take_over: TakeOver) -> None:
        self._connection, self._connections, self._turns = connection, connections, turns
        self._take_over = take_over
        self._head = b""
        self._dropped: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._connection.transport = cast(asyncio.Transport, transport)
        if self._connection.closed:  # it was the oldest before it began
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.forget(self._connection)

    def get_buffer(self, sizehint: int) -> memoryview:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._dropped is not None:
            self._dropped += nbytes
            if self._dropped > _DROPPED_BYTES:
                self._transport.abort()
            return
        searched = max(0, len(self._head) - len(_BLANK_LINE) + 1)
        self._head += bytes(BUFFER[:nbytes])
        if self._head.find(_BLANK_LINE, searched) >= 0:
            self._complete()
        elif len(self._head) > self._connections.limits.head_bytes:
            self._refuse(errors.head_too_large(self._connections.limits.head_bytes))
        elif not _may_be_http(self._head):
            self._refuse(errors.bad_request("the request is not valid: it is not HTTP/1.1"))

    def eof_received(self) -> bool:
        return False  # a half request is closed

    def _complete(self) -> None:
        line = _REQUEST_LINE.match(self._head)
        if line is None:
            self._refuse(errors.bad_request("the request is not valid: its first line is not that of HTTP/1.1"))
        elif (reserved := is_reserved(line[1].partition(b"?")[0].decode("latin-1"))) or self._connections.has_room:
            # Nothing more is read from it before its turn.
            self._transport.pause_reading()
            self._connections.enter(self._connection, Phase.UNKNOWN)
            self._turns.add(self._begin, first=reserved)
        else:
            self._refuse(errors.too_busy())

    def _begin(self) -> None:
        if self._connection.closed or self._transport.is_closing():
            return
        self._transport.resume_reading()
        self._connections.enter(self._connection, Phase.UNKNOWN)
        head, self._head = self._head, b""
        self._take_over(self._connection, self._transport, head)

    def _refuse(self, problem: errors.Problem) -> None:
        self._dropped, self._head = 0, b""
        self._transport.write(problem.raw())
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_DROPPED_S, self._transport.abort)


def _may_be_http(head: bytes) -> bool:
    """Whether an incomplete head can still become one: TLS, text and endless lines cannot."""
    first, end, _ = head.lstrip(b"\r\n").partition(b"\n")
    if end:
        return _REQUEST_LINE.match(first + end) is not None
    return len(first) <= 8190 and (not first or first[:1].isalpha())
