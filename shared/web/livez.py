"""Serves ``GET /livez``: whether the event loop turns; a thread answers when it does not.

The thread accepts from the same listening sockets, only while the loop is stalled.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import cast

import msgspec
from aiohttp import web

from shared.loop_guard import LoopGuard
from shared.web.middleware import Handler

STALLED_AFTER_S = 5.0
# A connection may wait as long with its request; the oldest is closed when there are too many.
_REQUEST_S = 1.0
_MOST_WAITING = 64


def _body(age_s: float, alive: bool) -> bytes:
    return msgspec.json.encode({"status": "ok" if alive else "stalled", "loopAgeMs": int(age_s * 1000)})


def handler(guard: LoopGuard) -> Handler:
    """The handler of a loop that turns: 200."""

    async def livez(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=_body(guard.age_s, True), content_type="application/json")

    return livez


class StallResponder:
    """Answers every request with 503 while the loop has been stalled for ``after_s`` seconds."""

    def __init__(self, guard: LoopGuard, sockets: list[socket.socket], *, after_s: float = STALLED_AFTER_S) -> None:
        self._guard = guard
        self._sockets = [sock.dup() for sock in sockets]
        self._after_s = after_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall-answerer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close its copies of the sockets."""
        self._stopped.set()
        self._thread.join(timeout=2)
        for sock in self._sockets:
            sock.close()

    def _run(self) -> None:
        # Sleeps until a stall could be long enough, so that a loop that turns costs almost nothing.
        while not self._stopped.wait(max(0.1, self._after_s - self._guard.age_s)):
            if self._guard.age_s >= self._after_s:
                self._serve()

    def _serve(self) -> None:
        """Answer until the loop turns again. All connections at once: some may never send anything."""
        waiting: dict[socket.socket, float] = {}
        with selectors.DefaultSelector() as selector:
            for listener in self._sockets:
                selector.register(listener, selectors.EVENT_READ)
            while self._guard.age_s >= self._after_s and not self._stopped.is_set():
                for key, _ in selector.select(0.25):
                    sock = cast(socket.socket, key.fileobj)
                    if sock in waiting:
                        selector.unregister(sock)
                        del waiting[sock]
                        self._answer(sock)
                    elif (connection := _accepted(sock)) is None:
                        self._stopped.wait(0.02)  # the socket may stay ready
                    else:
                        waiting[connection] = time.monotonic()
                        selector.register(connection, selectors.EVENT_READ)
                self._close_oldest(waiting, selector)
        for connection in waiting:
            connection.close()

    def _close_oldest(self, waiting: dict[socket.socket, float], selector: selectors.BaseSelector) -> None:
        # The oldest is the first: all wait equally long.
        for connection, since in list(waiting.items()):
            if len(waiting) <= _MOST_WAITING and time.monotonic() - since < _REQUEST_S:
                return
            selector.unregister(connection)
            del waiting[connection]
            connection.close()

    def _answer(self, connection: socket.socket) -> None:
        body = _body(self._guard.age_s, False)
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            connection.recv(65536)
            connection.send(head.encode() + body)  # an empty buffer takes the whole answer
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            connection.close()


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        connection, _ = listener.accept()
    except OSError:  # the loop woke up and was faster, or no descriptor is left
        return None
    connection.setblocking(False)
    return connection
