"""The newest lines of this program's log, in memory, for those who may ask for them.

They are the lines of the output, redacted in the same way. A restart forgets them.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

LEVELS = ("debug", "info", "warning", "error", "critical")
KEPT_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """``text`` is the line as JSON. ``time`` is ISO 8601 in UTC. ``session`` is the id as the service knows it."""

    time: str
    level: str
    event: str
    session: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """``level`` is the least; ``event`` a name or a pattern such as ``session.*``; ``since`` an ISO 8601 time in UTC."""

    level: str = "debug"
    event: str = "*"
    session: str | None = None
    since: str = ""

    def takes(self, line: LogLine) -> bool:
        return (
            LEVELS.index(line.level) >= LEVELS.index(self.level)
            and (self.session is None or line.session == self.session)
            and line.time >= self.since
            and (self.event == "*" or fnmatchcase(line.event, self.event))
        )


class RecentLog:
    """Keeps up to ``size`` bytes of lines. Any thread may call it."""

    def __init__(self, size: int = KEPT_BYTES) -> None:
        self.size = size
        self._lines: deque[LogLine] = deque()
        self._used = 0
        self._listeners: tuple[Callable[[LogLine], None], ...] = ()
        # Reentrant: a signal or the garbage collector may interrupt a line with another one.
        self._lock = threading.RLock()

    def add(self, line: LogLine) -> None:
        with self._lock:
            self._lines.append(line)
            self._used += len(line.text)
            while self._used > self.size:
                self._used -= len(self._lines.popleft().text)
            listeners = self._listeners
        for listener in listeners:
            # A listener of an event loop that has ended must not harm who writes to the log.
            with contextlib.suppress(RuntimeError):
                listener(line)

    def find(self, wanted: Wanted, most: int) -> list[LogLine]:
        """The newest lines, by time."""
        with self._lock:
            lines = list(self._lines)
        found = sorted((line for line in lines if wanted.takes(line)), key=lambda line: line.time)
        return found[-most:] if most else []

    def subscribe(self, listener: Callable[[LogLine], None]) -> Callable[[], None]:
        """``listener`` is called by the thread that writes a line. Returns the function that unsubscribes it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def find_and_subscribe(
        self, wanted: Wanted, most: int, listener: Callable[[LogLine], None]
    ) -> tuple[list[LogLine], Callable[[], None]]:
        """:meth:`find` and :meth:`subscribe` at one moment: no line is missing in between, none comes twice."""
        with self._lock:
            return self.find(wanted, most), self.subscribe(listener)


RECENT = RecentLog()
