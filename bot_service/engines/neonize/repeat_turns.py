"""Gives each message that the library sends again a turn, as sends and decryptions of its session have them.

The library answers each request for a message in a goroutine of its own, without its lock on sending.
Two at once, or one beside a send, may seal two messages with the same key: the receiver drops the second
one as a repeat, and it is lost. Called with lines of `Client`; the goroutine of a line waits until the
call returns.
"""

from __future__ import annotations

import threading

from bot_service.engines.neonize import log_lines
from bot_service.engines.neonize.log_lines import Repeat
from bot_service.engines.neonize.receipt_gate import ReceiptGate
from bot_service.engines.neonize.turn_taking import SendTurn

# A line that does not come must not stop all further answers.
TURN_S = 3.0


class RepeatTurns:
    """Of one client. Callable from any thread."""

    def __init__(self, gate: ReceiptGate) -> None:
        self._gate = gate
        # One answer at a time waits at the gate, so that many at once do not crowd out a send.
        self._line = threading.Lock()
        self._free = threading.Event()
        self._free.set()
        self._held: tuple[Repeat, SendTurn] | None = None

    def line(self, text: str) -> None:
        """Waits at the begin of an answer until those before are sent, each at most ``TURN_S``, and until its turn at the gate."""
        if (answer := log_lines.repeat_begins(text)) is not None:
            with self._line:
                self._free.wait(TURN_S)
                self._release(self._held)
                turn = self._gate.begin_send()
                self._free.clear()
                self._held = answer, turn
        elif (held := self._held) is not None and log_lines.repeat_ends(text, held[0]):
            self._release(held)

    def _release(self, held: tuple[Repeat, SendTurn] | None) -> None:
        if held is not None and self._held is held:
            self._gate.end_send(held[1])
            self._held = None
            self._free.set()
