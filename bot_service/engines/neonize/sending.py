"""Follows an outgoing message: its turn at the gate, and the frame with its id on WhatsApp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bot_service.engines.neonize import log_lines
from bot_service.engines.neonize.device_store import StoreFailed
from bot_service.engines.neonize.receipt_gate import ReceiptGate
from bot_service.engines.neonize.sent_messages import SentMessage, SentMessages
from bot_service.engines.neonize.turn_taking import SendTurn


class Sending:
    """One per client."""

    def __init__(self, gate: ReceiptGate, sent: SentMessages) -> None:
        self._gate, self._sent = gate, sent
        # Also those that no caller waits for: the library sends on.
        self.in_flight: set[str] = set()
        self._message: SentMessage | None = None
        self._turn: SendTurn | None = None

    @contextmanager
    def of(self, message: SentMessage) -> Iterator[None]:
        """While it is sent, none is decrypted until its frame leaves or the send ends."""
        self.in_flight.add(message.id)
        turn = self._gate.begin_send()
        self._message, self._turn = message, turn
        try:
            yield
        finally:
            if self._turn is turn:
                self._message = self._turn = None
            self._gate.end_send(turn)
            self.in_flight.discard(message.id)

    def frame_out(self, text: str) -> None:
        """A frame leaves; the first one with an unknown message id is the message being sent."""
        if text.startswith("<message ") and self._message is not None and not self._message.whatsapp_id:
            stanza = log_lines.parse(text)
            if stanza is not None and self._sent.by_whatsapp_id(stanza.id) is None:
                self._message = SentMessage(self._message.id, stanza.id, self._message.chat)
                self._note(self._message)
                if self._turn is not None:
                    self._gate.end_send(self._turn)

    def _note(self, message: SentMessage) -> None:
        try:
            self._sent.note(message)
        except StoreFailed as error:
            # Its frame must not leave: another replica would send it again.
            self._gate.store_failed(str(error))
            self._gate.before_other_frame()
