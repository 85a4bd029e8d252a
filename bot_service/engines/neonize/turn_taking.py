"""Turns of sends and decryptions of one session: no send while a message is not journaled.

A ratchet may go back after a kill only when nothing was sent on it. Not thread-safe.
"""

from __future__ import annotations


class SendTurn:
    """One send, from before its keys are used until its changes are in the store."""


class TurnTaking:
    """After a decryption a waiting send comes first; after a send, a waiting decryption."""

    def __init__(self) -> None:
        self.sends_waiting = self.decryptions_waiting = 0
        self._send: SendTurn | None = None
        self._send_was_last = False

    @property
    def is_sending(self) -> bool:
        return self._send is not None

    def send_may_begin(self) -> bool:
        return self._send is None and not (self.decryptions_waiting and self._send_was_last)

    def begin_send(self, turn: SendTurn) -> None:
        self._send, self._send_was_last = turn, True

    def end_send(self, turn: SendTurn) -> bool:
        """False when it does not have the turn."""
        if self._send is not turn:
            return False
        self._send = None
        return True

    def decryption_may_begin(self) -> bool:
        return self._send is None and not (self.sends_waiting and not self._send_was_last)

    def begin_decryption(self) -> None:
        """A send that did not end in time loses its turn."""
        self._send, self._send_was_last = None, False
