"""Lets the library send messages again one after the other.

It answers each request for a message in a goroutine of its own, without its lock on sending.
Two at once may seal two messages with the same key: the receiver drops the second one as a repeat, and it
is lost. Called with lines of `Client`; the goroutine of a line waits until the call returns.
"""

from __future__ import annotations

import threading

from bot_service.engines.neonize import log_lines

# A line that does not come must not stop all further answers.
TURN_S = 3.0


class RepeatTurns:
    """Of one client. Callable from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_taken = False

    def line(self, text: str) -> None:
        """Waits at the begin of an answer until the one before is sent, at most ``TURN_S``."""
        if log_lines.repeat_begins(text):
            with self._changed:
                self._changed.wait_for(lambda: not self._is_taken, TURN_S)
                self._is_taken = True
        elif log_lines.repeat_ends(text):
            with self._changed:
                self._is_taken = False
                self._changed.notify()
