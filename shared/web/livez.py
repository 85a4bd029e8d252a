"""Serves ``GET /livez``: whether the event loop turns; a thread answers when it does not.

The thread accepts from the same listening sockets, only while the loop is stalled.
"""

from __future__ import annotations

import select
import socket
import threading

import msgspec
from aiohttp import web

from shared.loop_guard import LoopGuard
from shared.web.middleware import Handler

STALLED_AFTER_S = 5.0


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
            while self._guard.age_s >= self._after_s and not self._stopped.is_set():
                ready, _, _ = select.select(self._sockets, [], [], 0.25)
                for sock in ready:
                    self._answer(sock)

    def _answer(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:  # the loop woke up and was faster
            return
        try:
            connection.settimeout(1.0)
            connection.recv(65536)
            body = _body(self._guard.age_s, False)
            head = (
                "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            connection.close()
