"""Passes the lines of this worker's log to the API process, which is asked for them (``GET /api/logs``)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from bot_service.engines.wire.link import Link
from bot_service.engines.wire.protocol import LogLines
from shared.recent_log import RECENT, LogLine

# Of a worker without an API process: the newest ones.
_KEPT = 500
# A link that has so much to write is left to what matters more.
_BUSY_BYTES = 1024 * 1024


class LogForwarder:
    """What cannot be sent yet waits for the next line or the next link."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[LogLine] = deque(maxlen=_KEPT)
        self._link: Link[Any] | None = None
        self.close = RECENT.subscribe(self._add)

    def use(self, link: Link[Any] | None) -> None:
        """Send to ``link`` from now on."""
        self._link = link
        self._send()

    def _add(self, line: LogLine) -> None:
        # On any thread.
        self._waiting.append(line)
        if self._link is not None:
            self._loop.call_soon_threadsafe(self._send)

    def _send(self) -> None:
        link = self._link
        if link is None or link.closed or link.waiting_bytes > _BUSY_BYTES or not self._waiting:
            return
        lines = []
        while self._waiting:
            line = self._waiting.popleft()
            lines.append((line.time, line.level, line.event, line.session, line.text))
        link.offer(LogLines(lines))
