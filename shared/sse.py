"""Server-sent events: formats them, streams them to one reader, and reads them line by line."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

KEEP_ALIVE = b": still here\n\n"


def event(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """One event. ``data`` is JSON without line breaks."""
    if event_id is None:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), data)


def retry(milliseconds: int) -> bytes:
    """How long a browser waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds


async def open_response(request: web.Request, first: bytes) -> web.StreamResponse:
    """The begun response to ``request`` with ``first`` written. Raises ``ConnectionResetError``."""
    from aiohttp import web  # the command line reads events and starts faster without a server

    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    await response.write(first)
    return response


class EventStream:
    """The queue of one reader, ``size`` events long. A slow reader loses the oldest events."""

    def __init__(self, size: int) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=size)

    def put(self, data: bytes | None) -> None:
        """Queue ``data`` without waiting; None ends the stream after what is queued."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(data)

    async def write_to(
        self, response: web.StreamResponse, *, keep_alive_s: float | None = None, keep_alive: bytes = KEEP_ALIVE
    ) -> None:
        """Write until the end of the stream or until the reader leaves, and ``keep_alive`` in between."""
        with contextlib.suppress(ConnectionResetError):
            while True:
                try:
                    async with asyncio.timeout(keep_alive_s):
                        data = await self._queue.get()
                except TimeoutError:
                    data = keep_alive
                if data is None:
                    return
                await response.write(data)


class EventReader:
    """Puts the lines of a stream together to events of at most ``limit`` characters."""

    def __init__(self, limit: int = 1024 * 1024) -> None:
        self._name, self._data, self._limit = "message", "", limit

    def feed(self, raw: bytes) -> tuple[str, str] | None:
        """The (name, data) of the event that the line ``raw`` ends, else None.

        Raises ``ValueError`` for an event that is too long.
        """
        if len(self._data) + len(raw) > self._limit:
            raise ValueError(f"an event of more than {self._limit} characters")
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        field, _, value = line.partition(":")
        if field == "event":
            self._name = value.strip()
        elif field == "data":
            self._data += value.strip()
        elif not line:
            found, self._name, self._data = (self._name, self._data), "message", ""
            return found if found[1] else None
        return None
